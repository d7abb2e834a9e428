# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of the VMs of a dead node: where each goes, in what order, and what those that go nowhere wait for. Pure.

The same answer serves the leader, whose evidence is there, and a report on what would happen if a node died now.

A VM that is bound to the dead node, by its option ``node`` or by a strict rule, waits for it: that is what binding means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .node_limits import why_closed, why_down
from .placement import Choice, Placement
from .records import Claim, Evidence, Fence, Node, Vm
from .snapshot import Snapshot
from .views import vm_status

#: States of VMs that get another node. A deletion must be finished by somebody.
REHOMED = ("started", "stopped", "absent")

#: Evidence that no policy can refuse: the node's own word, and an operator's.
ALWAYS = frozenset({"signed_off", "declared_dead"})


@dataclass(frozen=True)
class Move:
    """A VM that gets another node. why: one sentence.

    Attributes:
        rests_on: other nodes whose proven fences this rests on, or whose sign-offs where they have none: the VM may have
            been on its way to one of them. Its barrier must be the highest of their osdmap epochs too.
    """

    vm: str
    to: str
    why: str
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recovery:
    """What becomes of the VMs of one dead node. VMs that stay where they are, as wanted, are in neither.

    Attributes:
        moves: in the order in which they are to be made: by priority, and what is to run first.
        waiting: what is missing, by VM.
    """

    moves: tuple[Move, ...]
    waiting: Mapping[str, str]


def plan_recovery(snapshot: Snapshot, node: str) -> Recovery:
    """What becomes of each VM whose claim names the node: plan_recoveries for one node."""
    return plan_recoveries(snapshot, [node])[node]


def plan_recoveries(snapshot: Snapshot, nodes: Collection[str]) -> Mapping[str, Recovery]:
    """What becomes of each VM whose claim names one of the nodes, by node; they count as dead whatever the snapshot says.

    All are placed in one pass. Where a node has a fence, a VM for which the fence's evidence is not enough waits;
    where it has none, it is taken that there will be evidence enough.
    """
    work = _Work(snapshot, nodes)
    order = work.order(work.pending)
    for name in order:
        work.recover(name)
    return {
        node: Recovery(
            tuple(work.moves[name] for name in order if name in work.moves and work.claims[name].node == node),
            MappingProxyType({name: why for name, (at, why) in work.waiting.items() if at == node}),
        )
        for node in nodes
    }


def lacking_evidence(snapshot: Snapshot, node: str, fence: Fence | None, vm: Vm) -> str:
    """Why a VM of a fenced node may not run elsewhere yet, as a sentence; empty: the evidence is enough for it.

    Args:
        fence: of the node; None: its record is damaged.
    """
    if fence is None:
        return f"the fence of {node} has a damaged record"
    allowed = ALWAYS | set(snapshot.policy.evidence)
    if vm.ha.power_off:
        allowed -= {"storage_cut"}
    if any(_proven(snapshot, node, fence, kind) for kind in allowed):
        return ""
    if vm.ha.power_off and _proven(snapshot, node, fence, "storage_cut"):
        return f"it uses more than Ceph, so that cutting off the storage of {node} is not enough: {node} must be powered off"
    return f"nothing proves yet that {node} cannot write any more"


def to_recover(snapshot: Snapshot, node: str) -> bool:
    """Whether anything must be given to other nodes, or kept from them, when a node dies: else nobody misses it."""
    for name, stored in snapshot.claims.items():
        claim, record = stored.value, snapshot.vms.get(name)
        vm = record.value if record is not None else None
        if claim is None or vm is None:
            if claim is None or node in (claim.node, claim.to):
                return True  # nobody knows
        elif node in (claim.node, claim.to) and vm.state in REHOMED and not given_up(snapshot, name):
            return True
    return False


def given_up(snapshot: Snapshot, name: str) -> bool:
    """Whether a VM has failed on as many nodes as its user allows: it waits for a person, whatever becomes of its node."""
    record, claim, status = snapshot.vms[name].value, snapshot.claims[name].value, vm_status(snapshot, name)
    if record is None or claim is None or status is None or record.state != "started":
        return False
    tried = claim.tried if claim.generation == record.generation else ()
    failed = status.state == "failed" and status.generation >= record.generation
    return failed and len(tried) >= record.ha.max_moves


def powered_off(node: Node | None, evidence: Iterable[Evidence]) -> bool:
    """Whether fence devices prove that a node is off: one of them, or all that it has now where they only count together."""
    proven = {one.device for one in evidence if one.kind == "powered_off" and one.state == "proven"}
    together = {device.name for device in node.fence} if node is not None and node.fence_together else set()
    return bool(proven) and together <= proven


def _proven(snapshot: Snapshot, node: str, fence: Fence, kind: str) -> bool:
    if kind == "powered_off":
        record = snapshot.nodes.get(node)
        return powered_off(record.value if record is not None else None, fence.evidence)
    return any(one.kind == kind and one.state == "proven" for one in fence.evidence)


class _Work:
    """Recoveries in the making. ``waiting`` has, by VM, its node and the reason."""

    def __init__(self, snapshot: Snapshot, nodes: Collection[str]) -> None:
        self.snapshot = snapshot
        self.moves: dict[str, Move] = {}
        self.waiting: dict[str, tuple[str, str]] = {}
        self.dead = {node: why_closed(snapshot, node) or "is the one that dies" for node in nodes}
        self.placement = Placement(snapshot, self.dead)
        self.pending: dict[str, Vm] = {}
        self.claims: dict[str, Claim] = {}
        self._collect()

    def order(self, names: Iterable[str]) -> list[str]:
        """VMs that are to get another node: by priority, what is to run first, then by name."""
        return sorted(
            names,
            key=lambda name: (-self.pending[name].ha.priority, self.pending[name].state != "started", name),
        )

    def recover(self, name: str) -> None:
        """Decide on a VM, and on those that are kept together with it, unless that is done."""
        vm = self.pending.get(name)
        if vm is None:
            return
        rests_on: tuple[str, ...] = ()
        if to := self.claims[name].to:
            gone = self.dead.get(to) or why_down(self.snapshot, to)
            if not gone:
                self._move({name: vm}, Choice(to, "it was on its way there, and may run there already"), ())
                return
            lacking = self._unproven(to, gone, vm)
            if lacking:
                self._wait(name, f"it was on its way to {to}, and may run there already: {lacking}")
                return
            rests_on = (to,)
        for unit in (self._unit(name), {name: vm}):
            found = self.placement.find(unit)
            if isinstance(found, Choice):
                self._move(unit, found, rests_on)
                return
        self._wait(name, f"no node can take it: {found.why}")

    def _collect(self) -> None:
        for name in sorted(self.snapshot.vms):
            stored, claim = self.snapshot.vms[name], self.snapshot.claims.get(name)
            if claim is None or claim.value is None:
                self._collect_unclaimed(name, f"damaged ({claim.invalid})" if claim else "missing")
            elif claim.value.node in self.dead:
                self.claims[name] = claim.value
                if stored.value is None:
                    self._wait(name, f"its record is damaged ({stored.invalid}): nobody knows what it needs")
                elif stored.value.state in REHOMED:
                    self._collect_sound(name, claim.value.node, stored.value)

    def _collect_sound(self, name: str, node: str, vm: Vm) -> None:
        fence = self.snapshot.fences.get(node)
        lacking = lacking_evidence(self.snapshot, node, fence.value, vm) if fence else ""
        if given_up(self.snapshot, name):
            return  # no node was the reason
        if lacking:
            self._wait(name, lacking)
        else:
            self.pending[name] = vm

    def _collect_unclaimed(self, name: str, damage: str) -> None:
        for node in self.dead:
            report = self.snapshot.report(node)
            if report is not None and name in report.vms:
                self.waiting[name] = (node, f"its claim is {damage}: nobody knows who may run it")

    def _unproven(self, to: str, gone: str, vm: Vm) -> str:
        """What is missing before a VM that was on its way to a node that is gone too may run anywhere else."""
        fence = self.snapshot.fences.get(to)
        if fence is None:
            # a sign-off says that nothing of it runs there, and holds until the node's next session
            report = self.snapshot.report(to)
            signed_off = report is not None and report.signed_off is not None and to not in self.snapshot.alive
            return "" if signed_off or to in self.dead else f"{to} {gone}"
        if fence.value is not None and fence.value.state != "proven":
            return f"the fence of {to} is {fence.value.state}"
        return lacking_evidence(self.snapshot, to, fence.value, vm)

    def _unit(self, name: str) -> dict[str, Vm]:
        """The VM, and those of its group that are still to be placed: they go to one node if one has room for all."""
        group = self.placement.rules.groups.get(name)
        if group is None or self.claims[name].to:
            return {name: self.pending[name]}
        others = (other for other in group.vms & self.pending.keys() if not self.claims[other].to)
        return {other: self.pending[other] for other in self.order(others)}

    def _move(self, unit: Mapping[str, Vm], found: Choice, rests_on: tuple[str, ...]) -> None:
        self.placement.put(unit, found.node)
        for name in unit:
            self.moves[name] = Move(name, found.node, found.why, rests_on)
            del self.pending[name]

    def _wait(self, name: str, why: str) -> None:
        self.waiting[name] = (self.claims[name].node, why)
        self.pending.pop(name, None)
