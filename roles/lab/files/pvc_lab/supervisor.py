# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's supervisor: assembles its file system, plugs its cables in, boots it, and boots it again when it reboots.

It runs in the background in a mount namespace of its own, one per node that is switched on. Everything that the node
consists of lives in one control group, so that a power cut is one write.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import IO

from . import disks, network
from .archives import apt_settings, host_apt_settings, host_archives, sources_list
from .cgroup import Group, own_group, unified_mount
from .config import Lab, Node
from .daemon import host_has_systemd, locked, wait_for
from .images import suite_of
from .mounts import overlay
from .seed import node_files, write_files
from .shell import LabError
from .state import Run, host_key, read_cut, read_layers, read_power, report, supervisor_lock, write_power

REBOOT_STATUS = 133
"""systemd-nspawn's exit status when the node asked for a reboot."""

NSPAWN_SETTINGS = {
    # libvirt manages control groups, and cannot do so in the old layout.
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    # The node's network namespace is its own, so its network settings are, too; the others are the host's.
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
}

POWER_OFF_SIGNAL = signal.SIGRTMIN + 4
"""What systemd as PID 1 takes for the power button."""


def supervise(lab: Lab, node: Node) -> None:
    """Keep a node running until it is switched off. Needs private mounts."""
    with locked(supervisor_lock(node), 5, f"node '{node.name}' has a supervisor already"):
        group = prepare_group(node)
        try:
            boots = 0
            overlay(read_layers(node), node.directory / "upper", node.directory / "work", node.root)
            while read_power(node) == "on":
                boots += 1
                if boot_once(lab, node, group, boots) != REBOOT_STATUS:
                    break
        except LabError as error:
            report(node, Run("failed", str(group.path), error=str(error)))
            raise
        else:
            report(node, Run("stopped", str(group.path), boots=boots))
        finally:
            (group / "node").clear()
            network.unplug(lab, node)


def prepare_group(node: Node) -> Group:
    """Two control groups, one for the node and one for this process: a group with children may have no members."""
    top = Group(own_group() if host_has_systemd() else unified_mount() / "pvc-lab" / node.name)
    (top / "node").clear()
    (top / "supervisor").create()
    (top / "supervisor").add(os.getpid())
    return top


def boot_once(lab: Lab, node: Node, group: Group, boots: int) -> int:
    """One life of the node, from power on to its end; gives systemd-nspawn's exit status."""
    report(node, Run("starting", str(group.path), boots=boots))
    seed(lab, node)
    network.plug_in(lab, node, read_cut(node))
    (group / "node").create()
    with open_console(node) as console:
        process = subprocess.Popen(
            nspawn_command(lab, node),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], **NSPAWN_SETTINGS},
            preexec_fn=lambda: (group / "node").add(os.getpid()),
        )
    leader = wait_for(lambda: find_leader(process, group), 30, f"node '{node.name}' does not start")
    report(node, Run("running", str(group.path), leader, boots))
    previous = signal.signal(signal.SIGTERM, lambda _number, _frame: power_button(leader))
    try:
        status = process.wait()
    finally:
        signal.signal(signal.SIGTERM, previous)
        (group / "node").clear()
    if status == 0:
        write_power(node, "off")  # the node was told to power off from within
    return status


def power_button(leader: int, _frame: FrameType | None = None) -> None:
    """The host's systemd stops us, because the host goes down: the node gets the chance to end by itself."""
    os.kill(leader, POWER_OFF_SIGNAL)


def seed(lab: Lab, node: Node) -> None:
    """Lay the lab's files into the node."""
    settings = host_apt_settings()
    files = node_files(
        lab,
        node,
        loops=disks.attach(node),
        sources=sources_list(host_archives(lab.archives), suite_of(lab, node.image), through_cache=True),
        apt_settings=apt_settings(settings, lab.cache_url),
        authorized_keys=(lab.directory / "ssh" / "id_ed25519.pub").read_text(),
        host_key=host_key(lab, node).read_text(),
        machine_id=(node.directory / "machine-id").read_text().strip(),
    )
    write_files(node.root, files)


def open_console(node: Node) -> IO[bytes]:
    """The file that takes what the node's console shows; the one of the boot before is kept."""
    path = node.directory / "console.log"
    if path.exists():
        path.replace(path.with_suffix(".old"))
    return path.open("wb")


def nspawn_command(lab: Lab, node: Node) -> list[str]:
    """systemd-nspawn with all that a hypervisor needs; not registered, so that no systemd is needed outside."""
    command = [
        "systemd-nspawn",
        "--quiet",
        f"--directory={node.root}",
        f"--machine={node.name}",
        "--boot",
        "--register=no",
        "--keep-unit",
        "--capability=all",
        "--drop-capability=CAP_SYS_TIME",  # the clock is the host's
        f"--network-namespace-path=/run/netns/{node.namespace}",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=read-only",
    ]
    cpuinfo = Path("/proc/cpuinfo").read_text()
    return command + [f"--bind={device}" for device in lab.devices if is_usable(device, cpuinfo)]


def is_usable(device: str, cpuinfo: str) -> bool:
    """Whether a node gets a device. KVM that opens on a processor which cannot virtualise would only mislead QEMU."""
    if device == "/dev/kvm" and not re.search(r"^flags\s*:.*\b(vmx|svm)\b", cpuinfo, re.MULTILINE):
        return False
    return Path(device).exists()


def find_leader(process: subprocess.Popen[bytes], group: Group) -> int | None:
    """The node's PID 1, by its number on the host, once it is there."""
    if process.poll() is not None:
        raise LabError(f"systemd-nspawn ended early with status {process.returncode}; see the node's console.log")
    return leader_of((group / "node").pids())


def leader_of(pids: list[int]) -> int | None:
    """The process among these that is number 1 of a namespace of its own."""
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        for row in status.splitlines():
            words = row.split()
            if words[0] == "NSpid:" and len(words) > 2 and words[-1] == "1":
                return pid
    return None
