# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: pvc-lab COMMAND ..."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from . import cache, images, network, power
from .config import Lab, Node, load_lab, load_node
from .mounts import enter_private_mounts
from .shell import LabError
from .state import host_key
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

    status = node_command("status", "show the nodes (all of them by default)")
    status.add_argument("--json", action="store_true", help="for programs")
    node_command("ensure", "build and start nodes, repairing what is broken")
    node_command("power-on", "switch nodes on")
    node_command("power-cut", "pull nodes' plugs: cables first, then every process at once")
    stop = node_command("stop", "shut nodes down; after a time their power is cut")
    stop.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    node_command("pause", "freeze every process of nodes")
    node_command("resume", "let paused nodes run on")
    for name, text in (("cut", "cut a node's cables"), ("heal", "mend a node's cables")):
        command = node_command(name, f"{text} to some networks, or to all", many=False)
        command.add_argument("networks", nargs="*", metavar="NETWORK")
    destroy = node_command("destroy", "remove nodes and their disks")
    destroy.add_argument("--everything", action="store_true", help="images, packages, keys: the whole state folder")
    ssh = node_command("ssh", "log in to a node, or run a command there", many=False)
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    image = commands.add_parser("image", help="build images unless they are there")
    image.add_argument("images", nargs="+", metavar="IMAGE")
    commands.add_parser("prune", help="remove images that nothing needs")
    commands.add_parser("switches", help="put up whatever is missing of the switches")
    serve = commands.add_parser("cache", help="the package cache")
    serve.add_argument("action", choices=["start", "stop", "run"])
    commands.add_parser("known-hosts", help="print the nodes' host keys for SSH")
    node_command("supervise", "keep a node running (used by the other commands)", many=False)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors are one line and status 1."""
    options = parser().parse_args(arguments)
    try:
        if os.geteuid() != 0:
            raise LabError("pvc-lab needs root; call it with sudo")
        return dispatch(load_lab(STATE_FOLDER), options)
    except LabError as error:
        print(f"pvc-lab: {error}", file=sys.stderr)
        return 1


def dispatch(lab: Lab, options: argparse.Namespace) -> int:
    """Carry a parsed command out."""
    command: str = options.command
    if command in {"image", "supervise"} or (command == "cache" and options.action == "run"):
        enter_private_mounts()
    if command == "status":
        status = lab_status(lab, options.nodes or lab.node_names())
        print(json.dumps(status, indent=2) if options.json else describe(status))
    elif command == "image":
        for name in options.images:
            say(name, "built" if images.build(lab, name) else "unchanged")
    elif command == "prune":
        for name in images.prune(lab):
            say(name, "removed")
    elif command == "switches":
        say("switches", "repaired" if network.ensure_switches(lab) else "unchanged")
    elif command == "cache":
        run_cache(lab, options.action)
    elif command == "known-hosts":
        print(known_hosts(lab), end="")
    elif command == "destroy":
        destroy(lab, options.nodes, everything=options.everything)
    elif command == "supervise":
        supervise(lab, load_node(lab, options.node))
    elif command == "ssh":
        log_in(lab, load_node(lab, options.node), options.words)
    else:
        change_nodes(lab, options)
    return 0


def say(subject: str, outcome: str) -> None:
    """One line per object; the role takes it for unchanged when the outcome is that word."""
    print(f"{subject}: {outcome}", flush=True)


def run_cache(lab: Lab, action: str) -> None:
    """Start, stop or be the package cache."""
    if action == "run":
        cache.serve(lab)
    elif action == "start":
        say("cache", "started" if cache.start(lab) else "unchanged")
    else:
        say("cache", "stopped" if cache.stop(lab) else "unchanged")


def change_nodes(lab: Lab, options: argparse.Namespace) -> None:
    """The commands that do something to one or more nodes."""
    command: str = options.command
    if command in {"cut", "heal"}:
        node = load_node(lab, options.node)
        change = power.cut if command == "cut" else power.heal
        say(node.name, f"{command} done" if change(lab, node, options.networks) else "unchanged")
        return
    if not options.nodes:
        raise LabError(f"'{command}' needs the name of a node; the lab has {', '.join(lab.node_names()) or 'none'}")
    for name in options.nodes:
        node = load_node(lab, name)
        if command == "ensure":
            say(name, ", ".join(power.ensure(lab, node)) or "unchanged")
        elif command == "power-on":
            say(name, "powered on" if power.power_on(lab, node) else "unchanged")
        elif command == "power-cut":
            say(name, "power cut" if power.power_cut(lab, node) else "unchanged")
        elif command == "stop":
            say(name, "shut down" if power.shut_down(lab, node, options.timeout) else "unchanged")
        else:
            say(name, f"{command}d" if power.set_frozen(node, command == "pause") else "unchanged")


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


def known_hosts(lab: Lab) -> str:
    """Lines for SSH's known_hosts, one per node that has a key."""
    rows = []
    for name in lab.node_names():
        node = load_node(lab, name)
        public = host_key(lab, node).with_suffix(".pub")
        if public.exists():
            kind, key = public.read_text().split()[:2]
            rows.append(f"{node.addresses[lab.networks[0].name].ip},{name} {kind} {key}\n")
    return "".join(rows)


def log_in(lab: Lab, node: Node, words: Sequence[str]) -> None:
    """Become an SSH client to a node."""
    folder = lab.directory / "ssh"
    options = ["-i", str(folder / "id_ed25519"), "-o", f"UserKnownHostsFile={folder / 'known_hosts'}"]
    address = str(node.addresses[lab.networks[0].name].ip)
    command = ["ssh", *options, "-o", "LogLevel=ERROR", f"root@{address}", *words]
    os.execvp(command[0], command)
