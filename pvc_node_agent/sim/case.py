# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A case, as the simulator plays it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pvc_state.records import Rule

KINDS = ("vm", "container_no_live_move", "faulty_no_live_move")
WANTED = ("started", "stopped", "disabled", "ignored")


@dataclass(frozen=True)
class NodeSpec:
    """A node at the begin. memory: MiB."""

    powered: bool
    connected: bool
    cpus: int = 24
    memory: int = 131072


@dataclass(frozen=True)
class Load:
    """What a VM really uses while it runs: processors, and MiB. None: that is not said."""

    cpus: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class ServiceSpec:
    """A VM at the begin.

    Attributes:
        node: where it is. wanted: one of WANTED. kind: one of KINDS.
        start_fails, move_fails, stop_fails, faulty_node: scripted faults, see hypervisor.Faults.
        cpus, memory: its size; memory in MiB. running: whether it runs there already.
        load: what it uses while it runs; None: as much as it has.
    """

    node: str
    kind: str = "vm"
    wanted: str = "started"
    failback: bool = True
    max_local_restarts: int = 1
    max_moves: int = 1
    start_fails: int = 0
    move_fails: int = 0
    stop_fails: bool = False
    faulty_node: str = ""
    cpus: int = 1
    memory: int = 512
    running: bool = False
    load: Load | None = None

    @property
    def live(self) -> bool:
        return self.kind == "vm"


@dataclass(frozen=True)
class Policy:
    """placement: one of records.PLACEMENTS. shutdown: one of records.SHUTDOWN_POLICIES.

    Attributes:
        rebalance: whether VMs are moved for nodes that are more evenly loaded. gain: as Settings.rebalance_threshold.
    """

    placement: str = "fewest_vms"
    shutdown: str = "conditional"
    rebalance: bool = False
    gain: float = 0.1


@dataclass(frozen=True)
class StoredVm:
    """What an earlier leader had written of a VM.

    Attributes:
        state: one of SERVICE_STATES. node: where it was. to: the node that it was moving to, or empty.
        tried: nodes on which it did not start. home: the node that it was to return to, or empty.
    """

    state: str
    node: str
    to: str = ""
    tried: tuple[str, ...] = ()
    home: str = ""


@dataclass(frozen=True)
class Stored:
    """What an earlier leader had written.

    Attributes:
        leader: who it was, empty if unknown. nodes: one of NODE_STATES by node. services: by VM.
    """

    leader: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, StoredVm] = field(default_factory=dict)


@dataclass(frozen=True)
class Op:
    """Something that is done at a time. args: as ``OPS`` says, by its own names."""

    t: float
    op: str
    args: Mapping[str, Any]

    @property
    def node(self) -> str:
        return str(self.args["node"])

    @property
    def service(self) -> str:
        return str(self.args["service"])


@dataclass(frozen=True)
class Case:
    """A whole case; assertions and what a peer did are not read."""

    name: str
    nodes: Mapping[str, NodeSpec]
    services: Mapping[str, ServiceSpec]
    rules: Sequence[Rule]
    policy: Policy
    stored: Stored
    events: Sequence[Op]
