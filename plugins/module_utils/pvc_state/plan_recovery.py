# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of the VMs of a dead node: where each goes, in what order, and what those that go nowhere wait for. Pure.

The same answer serves the leader, whose evidence is there, and a report on what would happen if a node died now.

A VM that is bound to the dead node, by its option ``node`` or by a strict rule, waits for it: that is what binding means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .node_limits import why_down
from .placement import Choice, Placement
from .records import Claim, Fence, Vm
from .snapshot import Snapshot

#: States of VMs that get another node. A deletion must be finished by somebody.
REHOMED = ("started", "stopped", "absent")

#: Evidence that no policy can refuse: the node's own word, and an operator's.
ALWAYS = frozenset({"signed_off", "declared_dead"})


@dataclass(frozen=True)
class Move:
    """A VM that gets another node. why: one sentence.

    Attributes:
        rests_on: other nodes whose proven fences this rests on: the VM may have been on its way to one of them. Its
            barrier must be the highest of their osdmap epochs too.
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


def plan_recovery(snapshot: Snapshot, node: str, fence: Fence | None = None) -> Recovery:
    """What becomes of each VM whose claim names the node, which counts as dead whatever the snapshot says of it.

    Args:
        fence: of the node, as the leader knows it; a VM for which its evidence is not enough waits. None: take it that
            there is evidence enough.
    """
    work = _Work(snapshot, node, fence)
    order = work.order(work.pending)
    for name in order:
        work.recover(name)
    moves = [work.moves[name] for name in order if name in work.moves]
    return Recovery(tuple(moves), MappingProxyType(work.waiting))


def lacking_evidence(snapshot: Snapshot, node: str, fence: Fence, vm: Vm) -> str:
    """Why a VM of a fenced node may not run elsewhere yet, as a sentence; empty: the evidence is enough for it."""
    allowed = ALWAYS | set(snapshot.policy.evidence)
    if vm.ha.power_off:
        allowed -= {"storage_cut"}
    if any(_proven(snapshot, node, fence, kind) for kind in allowed):
        return ""
    if vm.ha.power_off and _proven(snapshot, node, fence, "storage_cut"):
        return f"it uses more than Ceph, so that cutting off the storage of {node} is not enough: {node} must be powered off"
    return f"nothing proves yet that {node} cannot write any more"


def _proven(snapshot: Snapshot, node: str, fence: Fence, kind: str) -> bool:
    found = [one for one in fence.evidence if one.kind == kind]
    proven = [one for one in found if one.state == "proven"]
    record = snapshot.nodes.get(node)
    if kind == "powered_off" and record is not None and record.value is not None and record.value.fence_together:
        return bool(proven) and {one.name for one in record.value.fence} <= {one.device for one in proven}
    return bool(proven)


class _Work:
    """A recovery in the making."""

    def __init__(self, snapshot: Snapshot, node: str, fence: Fence | None) -> None:
        self.snapshot = snapshot
        self.node = node
        self.fence = fence
        self.moves: dict[str, Move] = {}
        self.waiting: dict[str, str] = {}
        self.placement = Placement(snapshot, {node: "is the one that died"})
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
        claim = self.claims[name]
        if claim.to:
            self._recover_moving(name, vm, claim)
            return
        unit = self._unit(name)
        found = self.placement.find(unit)
        if not isinstance(found, Choice) and len(unit) > 1:
            unit = {name: vm}
            found = self.placement.find(unit)
        if isinstance(found, Choice):
            self._move(unit, found)
        else:
            self._wait(name, f"no node can take it: {found.why}")

    def _collect(self) -> None:
        report = self.snapshot.report(self.node)
        reported = report.vms if report is not None else {}
        for name in sorted(self.snapshot.vms):
            stored, claim = self.snapshot.vms[name], self.snapshot.claims.get(name)
            if claim is None or claim.value is None:
                if name in reported:
                    damage = f"damaged ({claim.invalid})" if claim else "missing"
                    self.waiting[name] = f"its claim is {damage}: nobody knows who may run it"
                continue
            if claim.value.node != self.node:
                continue
            if stored.value is None:
                self.waiting[name] = f"its record is damaged ({stored.invalid}): nobody knows what it needs"
            elif stored.value.state in REHOMED:
                lacking = lacking_evidence(self.snapshot, self.node, self.fence, stored.value) if self.fence else ""
                if lacking:
                    self.waiting[name] = lacking
                else:
                    self.pending[name], self.claims[name] = stored.value, claim.value

    def _unit(self, name: str) -> dict[str, Vm]:
        """The VM, and those of its group that are still to be placed: they go to one node if one has room for all."""
        group = self.placement.rules.groups.get(name)
        if group is None:
            return {name: self.pending[name]}
        others = (other for other in group.vms & self.pending.keys() if not self.claims[other].to)
        return {other: self.pending[other] for other in self.order(others)}

    def _recover_moving(self, name: str, vm: Vm, claim: Claim) -> None:
        """A VM that was on its way: it may run at the target already, and so it may run nowhere else."""
        down = why_down(self.snapshot, claim.to) if claim.to != self.node else "died"
        if not down:
            self._move({name: vm}, Choice(claim.to, "it was on its way there, and may have arrived"))
            return
        fence = self.snapshot.fences.get(claim.to)
        if fence is None or fence.value is None or fence.value.state != "proven":
            self._wait(name, f"it was on its way to {claim.to} and may run there already, but {claim.to} {down}")
            return
        lacking = lacking_evidence(self.snapshot, claim.to, fence.value, vm)
        if lacking:
            self._wait(name, f"it was on its way to {claim.to} and may run there already: {lacking}")
            return
        found = self.placement.find({name: vm})
        if isinstance(found, Choice):
            self._move(
                {name: vm},
                Choice(found.node, f"{found.why}; {claim.to}, where it was going, is fenced too"),
                (claim.to,),
            )
        else:
            self._wait(name, f"no node can take it: {found.why}")

    def _move(self, unit: Mapping[str, Vm], found: Choice, rests_on: tuple[str, ...] = ()) -> None:
        self.placement.put(unit, found.node)
        for name in unit:
            self.moves[name] = Move(name, found.node, found.why, rests_on)
            del self.pending[name]

    def _wait(self, name: str, why: str) -> None:
        self.waiting[name] = why
        del self.pending[name]
