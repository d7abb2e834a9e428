# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: pvc-lab COMMAND ..."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import cache, guest, images, management, network, power, report
from .bmc import BEHAVIOURS
from .config import Lab, Node, describe_node, load_lab, load_node
from .mounts import enter_private_mounts
from .shell import LabError
from .ssh import known_hosts, ssh_command, wait_until_it_answers
from .status import describe, lab_status
from .supervisor import supervise

STATE_FOLDER = Path(__file__).resolve().parent.parent.parent


def parser() -> argparse.ArgumentParser:
    """All commands and what they take."""
    top = argparse.ArgumentParser(prog="pvc-lab", description="Machines of the lab: power, cables, disks, images.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def node_command(name: str, text: str, *, many: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("nodes" if many else "node", nargs="*" if many else None, metavar="NODE")
        return command

    status = node_command("status", "show the nodes, or all of them")
    status.add_argument("--json", action="store_true", help="for programs")
    status.add_argument("--inside", action="store_true", help="ask the nodes for their services and guests, too")
    node_command("ensure", "build and start nodes, or all of them, repairing what is broken")
    node_command("power-on", "switch nodes on")
    node_command("power-cut", "pull nodes' plugs: cables first, then every process at once")
    stop = node_command("stop", "shut nodes down, or all of them; after a time their power is cut")
    stop.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    wait = node_command("wait", "wait until nodes answer by SSH")
    wait.add_argument("--timeout", type=float, default=90.0, metavar="SECONDS")
    node_command("pause", "freeze every process of nodes")
    node_command("resume", "let paused nodes run on")
    for name, text in (("cut", "cut a node's cables"), ("heal", "mend a node's cables")):
        command = node_command(name, f"{text} to some networks, or to all", many=False)
        command.add_argument("networks", nargs="*", metavar="NETWORK")
        if name == "cut":
            text = "one way: lose what comes in to the node, or what goes out from it; until it is mended or the node boots"
            command.add_argument("--lose", choices=["in", "out"], help=text)
    destroy = node_command("destroy", "remove nodes and their disks; all of them, without names")
    destroy.add_argument("--everything", action="store_true", help="images, packages, keys: the whole state folder")
    bmc = node_command("bmc", "show a node's management controller, or say how it is to treat orders", many=False)
    text = "; ".join(f"{word}: {meaning}" for word, meaning in BEHAVIOURS.items())
    bmc.add_argument("words", nargs="*", metavar="BEHAVIOUR", help=f"{text}. After lag comes the number of seconds")
    ssh = node_command("ssh", "log in to a node, or run a command there", many=False)
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    image = commands.add_parser("image", help="build images unless they are there")
    image.add_argument("images", nargs="+", metavar="IMAGE")
    commands.add_parser("guest", help="build the guest's disk, kernel and initial file system unless they are there")
    commands.add_parser("prune", help="remove images that nothing needs")
    serve = commands.add_parser("cache", help="the package cache")
    serve.add_argument("action", choices=["start", "stop", "run"])
    commands.add_parser("describe", help="take nodes' descriptions, a list in JSON, from standard input")
    commands.add_parser("known-hosts", help="print the nodes' host keys for SSH")
    node_command("bmc-run", "be a node's management controller (used by the other commands)", many=False)
    switch = node_command(
        "bmc-switch", "move a node's power as its management controller does (used by it)", many=False
    )
    switch.add_argument("word", choices=["on", "off"])
    node_command("supervise", "keep a node running (used by the other commands)", many=False)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors are one line and status 1."""
    options = parser().parse_args(arguments)
    try:
        if os.geteuid() != 0:
            raise LabError("pvc-lab needs root; call it with sudo")
        dispatch(load_lab(STATE_FOLDER), options)
    except LabError as error:
        sys.stderr.write(f"pvc-lab: {error}\n")
        return 1
    return 0


def dispatch(lab: Lab, options: argparse.Namespace) -> None:
    """Carry a parsed command out."""
    command: str = options.command
    if command in {"image", "guest", "supervise"} or (command == "cache" and options.action == "run"):
        enter_private_mounts()
    match command:
        case "status":
            show(lab, options)
        case "image":
            for name in options.images:
                say(name, "built" if images.build(lab, name) else "unchanged")
        case "guest":
            say("guest", "built" if guest.build(lab) else "unchanged")
        case "prune":
            for name in images.prune(lab):
                say(name, "removed")
        case "cache":
            run_cache(lab, options.action)
        case "describe":
            for entry in json.load(sys.stdin):
                say(entry["name"], "described" if describe_node(lab, entry) else "unchanged")
        case "known-hosts":
            sys.stdout.write(known_hosts(lab))
        case "destroy":
            destroy(lab, options.nodes, everything=options.everything)
        case "bmc":
            run_controller(lab, load_node(lab, options.node), options.words)
        case "bmc-run":
            management.controller(lab, load_node(lab, options.node)).run()
        case "bmc-switch":
            move = power.power_on if options.word == "on" else power.power_cut
            move(lab, load_node(lab, options.node))
        case "supervise":
            supervise(lab, load_node(lab, options.node))
        case "ssh":
            login = ssh_command(lab, load_node(lab, options.node))
            os.execvp(login[0], [*login, *options.words])  # noqa: S606
        case "cut" if options.lose:
            node = load_node(lab, options.node)
            power.cut_one_way(lab, node, options.networks, options.lose)
            say(node.name, f"what goes {options.lose} is lost")
        case "cut" | "heal":
            change = power.cut if command == "cut" else power.heal
            node = load_node(lab, options.node)
            say(node.name, f"{command} done" if change(lab, node, options.networks) else "unchanged")
        case _:
            change_nodes(lab, command, options)


def say(subject: str, outcome: str) -> None:
    """One line per object; the role takes it for unchanged when the outcome is that word."""
    sys.stdout.write(f"{subject}: {outcome}\n")
    sys.stdout.flush()


def show(lab: Lab, options: argparse.Namespace) -> None:
    """Print the lab's state."""
    status = lab_status(lab, options.nodes or lab.node_names())
    answers = report.ask(lab, status) if options.inside else {}
    if options.json:
        text = report.as_json(status, answers)
    else:
        text = "\n\n".join(part for part in (describe(status), report.describe(answers)) if part)
    sys.stdout.write(text + "\n")


def run_cache(lab: Lab, action: str) -> None:
    """Start, stop or be the package cache."""
    if action == "run":
        cache.serve(lab)
    elif action == "start":
        say("cache", "started" if cache.start(lab) else "unchanged")
    else:
        say("cache", "stopped" if cache.stop(lab) else "unchanged")


def run_controller(lab: Lab, node: Node, words: Sequence[str]) -> None:
    """Show how a node's controller treats orders, or change it."""
    if words:
        say(node.name, " ".join(words) if management.controller(lab, node).behave(words) else "unchanged")
    else:
        for name, value in management.status(lab, node).items():
            say(name, value)


def change_nodes(lab: Lab, command: str, options: argparse.Namespace) -> None:
    """The commands that do the same to one or more nodes, all at once."""

    def answers(node: Node) -> str:
        wait_until_it_answers(lab, node, options.timeout)
        return "answers"

    actions: dict[str, Callable[[Node], str]] = {
        "ensure": lambda node: ", ".join(power.ensure(lab, node)),
        "power-on": lambda node: "powered on" * power.power_on(lab, node),
        "power-cut": lambda node: "power cut" * power.power_cut(lab, node),
        "wait": answers,
        "stop": lambda node: "shut down" * power.shut_down(lab, node, options.timeout),
        "pause": lambda node: "paused" * power.set_frozen(node, True),
        "resume": lambda node: "resumed" * power.set_frozen(node, False),
    }
    names = options.nodes or (lab.node_names() if command in {"ensure", "stop", "wait"} else [])
    if not names:
        raise LabError(f"'{command}' needs the name of a node; the lab has {', '.join(lab.node_names()) or 'none'}")
    nodes = [load_node(lab, name) for name in names]
    if command in {"ensure", "power-on"}:
        network.ensure_switches(lab)
    with ThreadPoolExecutor(len(nodes)) as pool:
        for node, outcome in zip(nodes, pool.map(actions[command], nodes), strict=True):
            say(node.name, outcome or "unchanged")


def destroy(lab: Lab, names: Sequence[str], *, everything: bool) -> None:
    """Remove nodes; with the last one go cache and switches."""
    for name in names or lab.node_names():
        power.destroy(lab, load_node(lab, name))
        say(name, "destroyed")
    if not lab.node_names():
        cache.stop(lab)
        network.remove_switches(lab)
        say("switches", "removed")
        if everything:
            shutil.rmtree(lab.directory)
            say(str(lab.directory), "removed")
