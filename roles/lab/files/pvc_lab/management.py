# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes' management controllers: each on the lab host's address in the first network, and wired to its node's power."""

from __future__ import annotations

import os
import secrets
import signal
import string
from typing import Any

from .bmc import USER, Bmc
from .config import Lab, Node
from .daemon import LAUNCHER, is_locked, launch, wait_for
from .state import supervisor_lock

IPMI_PORTS, REDFISH_PORTS = 9000, 9300
"""To these the last part of the node's address in the first network is added."""


def password(lab: Lab) -> str:
    """The one password of all controllers; empty before the first was started."""
    try:
        return (lab.directory / "secrets" / "bmc").read_text().split()[0]
    except FileNotFoundError:
        return ""


def make_password(lab: Lab) -> None:
    """Make the password unless there is one, the way Ansible's lookup would."""
    path = lab.directory / "secrets" / "bmc"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        letters = string.ascii_letters + string.digits
        path.write_text("".join(secrets.choice(letters) for _turn in range(16)) + "\n")


def controller(lab: Lab, node: Node) -> Bmc:
    """The controller of a node. The node is off when its switch is, and nothing of it runs any more."""
    number = int(node.addresses[lab.networks[0].name].ip) & 0xFF
    lock = supervisor_lock(node).name
    return Bmc(
        name=node.name,
        directory=node.directory / "bmc",
        host=str(lab.networks[0].host.ip),
        ipmi_port=IPMI_PORTS + number,
        redfish_port=REDFISH_PORTS + number,
        password=password(lab),
        switch=[str(LAUNCHER), "bmc-switch", node.name],
        is_off=f'[ "$(cat ../power 2>/dev/null)" != on ] && flock --nonblock ../{lock} true',
    )


def start(lab: Lab, node: Node) -> bool:
    """Have the controller answer; tells whether it did not."""
    make_password(lab)
    bmc = controller(lab, node)
    if bmc.pid() is not None:
        return False
    log = bmc.directory / "bmc.log"
    launch(f"pvc-lab-{node.name}-bmc", ["bmc-run", node.name], log)
    wait_for(lambda: True if bmc.answers() else None, 20, f"the controller of '{node.name}' does not start; see {log}")
    return True


def stop(lab: Lab, node: Node) -> None:
    """End the controller."""
    bmc = controller(lab, node)
    if (number := bmc.pid()) is not None:
        os.kill(number, signal.SIGTERM)
        lock = bmc.directory / "lock"
        wait_for(lambda: None if is_locked(lock) else True, 10, f"the controller of '{node.name}' does not end")


def status(lab: Lab, node: Node) -> dict[str, Any]:
    """How the controller treats orders, and where it answers."""
    bmc = controller(lab, node)
    return {
        "behaviour": bmc.behaviour() if bmc.pid() is not None else "stopped",
        "ipmi": f"{bmc.host}:{bmc.ipmi_port}",
        "redfish": f"https://{bmc.host}:{bmc.redfish_port}",
        "username": USER,
        "certificate": str(bmc.certificate),
    }
