# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done to a node from outside: the power button, the plug, the cables, and holding its breath."""

from __future__ import annotations

import os
import shutil
import uuid
from json import dumps

from . import disks, management, network
from .config import Lab, Node
from .daemon import launch, wait_for, write_atomically
from .images import layers
from .shell import LabError, run
from .state import (
    command_lock,
    host_key,
    is_created,
    is_supervised,
    node_group,
    read_cut,
    read_power,
    read_report,
    wait_until_unsupervised,
    write_cut,
    write_power,
)
from .supervisor import POWER_OFF_SIGNAL

START_TIMEOUT = 60.0


def create(lab: Lab, node: Node) -> bool:
    """Give a new node its identity and decide which image it stands on; tells whether it was new."""
    if is_created(node):
        return False
    folders = layers(lab, node.image)
    for folder in folders:
        if not folder.is_dir():
            raise LabError(f"image '{node.image}' of node '{node.name}' is not built; run 'pvc-lab image {node.image}'")
    # Without layers.json the node does not exist: whatever a killed run left of it is not to be trusted.
    for leftover in (node.directory / "upper", node.directory / "work"):
        if leftover.exists():
            shutil.rmtree(leftover)
    for disk in node.disks:
        disks.image_file(node, disk).unlink(missing_ok=True)
    key = host_key(lab, node)
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {node.name}", "-f", key)
    write_atomically(node.directory / "machine-id", uuid.uuid4().hex + "\n")
    write_cut(node, frozenset())
    write_atomically(node.directory / "layers.json", dumps([str(folder) for folder in folders]) + "\n")
    return True


def power_on(lab: Lab, node: Node) -> bool:
    """Switch a node on; tells whether it was off."""
    with command_lock(node):
        return switch_on(lab, node)


def switch_on(lab: Lab, node: Node) -> bool:
    """Switch a node on; the caller holds the command lock."""
    if not is_created(node):
        raise LabError(f"node '{node.name}' is not built; 'make lab' builds it")
    if is_supervised(node):
        if read_report(node).phase != "stopped":
            return False
        wait_until_unsupervised(node, 30)
    clear_remains(lab, node)
    network.ensure_switches(lab)
    write_power(node, "on")
    (node.directory / "run.json").unlink(missing_ok=True)
    launch(f"pvc-lab-{node.name}", ["supervise", node.name], node.directory / "supervisor.log")
    wait_for(lambda: started(node), START_TIMEOUT, f"node '{node.name}' does not start")
    return True


def started(node: Node) -> bool | None:
    """True once the node runs; None while it may still come."""
    report = read_report(node)
    if report.phase == "failed":
        raise LabError(f"node '{node.name}' does not start: {report.error}")
    return True if report.phase == "running" else None


def clear_remains(lab: Lab, node: Node) -> None:
    """Remove what a supervisor that was killed has left: processes first, then cables."""
    group = node_group(node)
    if group is not None:
        group.clear()
    network.unplug(lab, node)


def power_cut(lab: Lab, node: Node) -> bool:
    """Pull the plug: cables first, so that nobody hears a farewell, then every process. Tells whether it was on."""
    with command_lock(node):
        return pull_plug(lab, node)


def pull_plug(lab: Lab, node: Node) -> bool:
    """Pull the plug; the caller holds the command lock."""
    was_on = is_supervised(node)
    write_power(node, "off")
    network.set_cables(lab, node, [entry.name for entry in lab.networks], up=False)
    group = node_group(node)
    if group is not None:
        group.kill()
    wait_until_unsupervised(node, 30)
    clear_remains(lab, node)
    return was_on


def shut_down(lab: Lab, node: Node, timeout: float) -> bool:
    """Press the power button; what does not end in time loses its power. Tells whether the node was on."""
    with command_lock(node):
        if not is_supervised(node):
            write_power(node, "off")
            return False
        write_power(node, "off")
        group = node_group(node)
        leader = read_report(node).leader
        if group is not None and leader in group.pids():
            if group.events()["frozen"]:
                group.freeze(False)
            os.kill(leader, POWER_OFF_SIGNAL)
            try:
                wait_until_unsupervised(node, timeout)
            except LabError:
                pull_plug(lab, node)
        else:
            pull_plug(lab, node)
        return True


def cut(lab: Lab, node: Node, networks: list[str]) -> bool:
    """Cut cables of a node; tells whether one of them was whole."""
    return change_cables(lab, node, networks, up=False)


def heal(lab: Lab, node: Node, networks: list[str]) -> bool:
    """Mend cables of a node; tells whether one of them was cut."""
    return change_cables(lab, node, networks, up=True)


def change_cables(lab: Lab, node: Node, networks: list[str], *, up: bool) -> bool:
    """Cut or mend; without names it is all of them."""
    named = frozenset(lab.network(name).name for name in networks or [entry.name for entry in lab.networks])
    with command_lock(node):
        before = read_cut(node)
        after = before - named if up else before | named
        write_cut(node, after)
        network.set_cables(lab, node, sorted(named), up=up)
        if up:
            network.set_one_way(lab, node, sorted(named), "")
    return before != after


def cut_one_way(lab: Lab, node: Node, networks: list[str], lost: str) -> None:
    """Lose what comes ``in`` or goes ``out`` on cables of a node, until they are mended or the node boots."""
    named = sorted(lab.network(name).name for name in networks or [entry.name for entry in lab.networks])
    with command_lock(node):
        network.set_one_way(lab, node, named, lost)


def set_frozen(node: Node, frozen: bool) -> bool:
    """Stop or continue every process of a node, as a hypervisor below it would; tells whether it changed."""
    with command_lock(node):
        group = node_group(node)
        if group is None or not is_supervised(node):
            raise LabError(f"node '{node.name}' is not running; 'pvc-lab power-on {node.name}' starts it")
        if group.events()["frozen"] == frozen:
            return False
        group.freeze(frozen)
        return True


def ensure(lab: Lab, node: Node) -> list[str]:
    """Make a node whole and running, repairing only what is not; gives what was done, in words."""
    done = []
    with command_lock(node):
        if create(lab, node):
            done.append("created")
        if is_supervised(node) and read_power(node) == "on":
            complaint = broken_parts(lab, node)
            if complaint:
                pull_plug(lab, node)
                done.append(f"restarted, since {complaint}")
        if is_supervised(node):
            group = node_group(node)
            if group is not None and group.events()["frozen"]:
                group.freeze(False)
                done.append("thawed")
        if read_cut(node):
            done.append("healed " + ", ".join(sorted(read_cut(node))))
            write_cut(node, frozenset())
        if mend_cables(lab, node):
            done.append("plugged in again")
        if management.start(lab, node):
            done.append("controller started")
        if management.controller(lab, node).behave(["obey"]):
            done.append("controller obeys again")
        if switch_on(lab, node):
            done.append("powered on")
    return done


def mend_cables(lab: Lab, node: Node) -> bool:
    """Connect the ports of a running node to their switches again, where they are not."""
    changed = False
    ports = network.links(network.SWITCHES) if network.SWITCHES in network.namespaces() else {}
    for entry in lab.networks:
        port = ports.get(node.switch_port(entry))
        if port is not None and (port.get("master") != entry.bridge or not network.is_up(port)):
            network.batch([f"link set {port['ifname']} master {entry.bridge} up"], network.SWITCHES)
            changed = True
    network.set_one_way(lab, node, [entry.name for entry in lab.networks], "")
    return changed


def broken_parts(lab: Lab, node: Node) -> str:
    """What of a running node can only be repaired by a restart; empty when nothing is."""
    report, group = read_report(node), node_group(node)
    if report.phase != "running" or group is None or report.leader not in group.pids():
        return "its processes are gone"
    ports = network.links(network.SWITCHES)
    missing = [entry.name for entry in lab.networks if node.switch_port(entry) not in ports]
    if missing:
        return f"its cables to {', '.join(missing)} are gone"
    attached = disks.attached()
    lost = [disk.name for disk in node.disks if str(disks.image_file(node, disk)) not in attached]
    if lost:
        return f"its disks {', '.join(lost)} have no loop device"
    return ""


def destroy(lab: Lab, node: Node) -> None:
    """Remove a node with everything that it had. Its host key stays, for the next node of that name."""
    with command_lock(node):
        management.stop(lab, node)
        pull_plug(lab, node)
        group = node_group(node)
        if group is not None:
            group.remove()
        disks.detach(node)
        shutil.rmtree(node.directory)
