# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether nodes could be lost with room left for their VMs on the others. Pure.

Every loss is tried out with the engine that would place the VMs then, in the order in which it would. Only what is to run
counts, and only if it lacks nothing but memory or vCPUs: what is bound to a node waits for it, whatever room there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .node_limits import capacity, why_down
from .placement import Placement
from .question import Question
from .reasons import listed
from .records import Vm
from .snapshot import Snapshot


class Lack(NamedTuple):
    """What would fit nowhere if some nodes were lost together.

    Attributes:
        nodes: the nodes, first the one that the loss is named after. vms: those that would not run, memory: their MiB.
        why: what the first of them lacks on the node that has the most room.
    """

    nodes: tuple[str, ...]
    vms: tuple[str, ...]
    memory: int
    why: str

    @property
    def sentence(self) -> str:
        """What would be missing, in words."""
        lost = self.nodes[0] if len(self.nodes) == 1 else f"{self.nodes[0]} together with {listed(self.nodes[1:])}"
        fits = (
            f"{self.memory} MiB of its VMs would fit nowhere" if len(self.nodes) == 1 else "some VMs would fit nowhere"
        )
        more = f": {listed(self.vms)} ({self.why})" if self.why else f": {listed(self.vms)}"
        return f"no room would be left for the loss of {lost}: {fits}{more}"


def lacks(snapshot: Snapshot) -> Mapping[str, Lack]:
    """What would be missing after each loss that the settings' spare_nodes speak of, by node; empty: nothing."""
    return _Losses(snapshot).lacks()


def worse(before: Snapshot, after: Snapshot) -> Lack | None:
    """The loss for which a change leaves too little room, and less than there was; the greatest of several."""
    found = lacks(after)
    if not found:
        return None
    known = lacks(before)
    new = [lack for node, lack in found.items() if node not in known or lack.memory > known[node].memory]
    return max(new, key=lambda lack: lack.memory, default=None)


class _Losses:
    """Every loss of one snapshot, tried out with the same books."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.placement = Placement(snapshot)
        self.vms: dict[str, dict[str, Vm]] = {}
        for name, stored in snapshot.vms.items():
            claim = snapshot.claims.get(name)
            vm = stored.value
            # one that is on its way holds room at its target already
            if vm and vm.state == "started" and vm.node is None and claim and claim.value and not claim.value.to:
                self.vms.setdefault(claim.value.node, {})[name] = vm

    def lacks(self) -> Mapping[str, Lack]:
        tried = (self._try(lost) for lost in self._losses())
        return {lack.nodes[0]: lack for lack in tried if lack is not None}

    def _losses(self) -> Iterator[tuple[str, ...]]:
        """Nodes that may be lost together. Those that are gone and still have VMs to be recovered are lost already."""
        snapshot = self.snapshot
        down = tuple(node for node in sorted(self.vms) if why_down(snapshot, node))
        spare = min(snapshot.policy.spare_nodes, len(self.placement.open) - 1) - len(down)
        if spare <= 0:
            if down and snapshot.policy.spare_nodes:
                yield down
            return
        # of several, those go whose loss takes the most room: their own VMs' is needed again elsewhere
        largest = sorted(self.placement.open, key=lambda node: -capacity(snapshot, node))
        for node in sorted({*self.vms, *self.placement.open} - {*down}):
            others = [other for other in largest if other != node][: spare - 1]
            yield (node, *down, *others)

    def _try(self, lost: tuple[str, ...]) -> Lack | None:
        vms = {name: vm for node in lost for name, vm in self.vms.get(node, {}).items()}
        if not vms or self._surely(vms, lost):
            return None
        missing: list[str] = []
        why = ""
        against = dict.fromkeys(lost, "is the one that is lost")
        with self.placement.trial(against):
            for unit in self._units(vms):
                for part in self._placed(unit, against):
                    question = Question(self.placement, part, against)
                    if allowed := question.allowed():
                        why = why or self._why(question, allowed)
                        missing += part
        return Lack(lost, tuple(missing), sum(vms[name].memory for name in missing), why) if missing else None

    def _placed(self, unit: dict[str, Vm], against: Mapping[str, str]) -> Iterator[dict[str, Vm]]:
        """Place VMs as one, or else one by one; what has no place."""
        question = Question(self.placement, unit, against)
        nodes = question.fitting()
        if nodes:
            nodes, _why = question.preferred(nodes)
            self.placement.put(unit, question.score().best(nodes, question.size))
        elif len(unit) == 1:
            yield unit
        else:
            for name, vm in unit.items():
                yield from self._placed({name: vm}, against)

    def _units(self, vms: Mapping[str, Vm]) -> Iterator[dict[str, Vm]]:
        """The VMs as a recovery takes them: by priority and name, those of a group together."""
        done: set[str] = set()
        for name in _ordered(vms, vms):
            if name not in done:
                group = self.placement.rules.groups.get(name)
                names = _ordered(group.vms & vms.keys(), vms) if group else [name]
                done.update(names)
                yield {one: vms[one] for one in names}

    def _why(self, question: Question, allowed: Sequence[str]) -> str:
        best = max(allowed, key=lambda node: self.placement.room[node])
        return f"{best} {question.why_not(best)}"

    def _surely(self, vms: Mapping[str, Vm], lost: Iterable[str]) -> bool:
        """Whether they fit in whatever order and on whichever nodes they are placed; False: only trying can tell.

        A node on which none of the VMs has room any more was given all but the size of the largest. So where that much
        of all nodes is more than all VMs together, some node always has room. Where memory and vCPUs both count, each
        such node lacks one of the two, and twice as much is enough.
        """
        rules = self.placement.rules
        nodes: set[str] | None = None
        last: list[str] | None = None
        for name, vm in vms.items():
            if rules.apart(name) or name in rules.groups or vm.devices.host or vm.cpu.dedicated:
                return False
            if any(rule.strict for rule in rules.preferences(name)):
                return False
            reach = self.placement.reaching({name: vm})
            if reach is not last:
                nodes = {*reach} if nodes is None else nodes & {*reach}
                last = reach
        nodes = (nodes or set()) - {*lost}
        memory, most = sum(vm.memory for vm in vms.values()), max(vm.memory for vm in vms.values())
        room, left = self.placement.room, self.placement.vcpus
        if not left:
            return sum(free for node in nodes if (free := room[node] - most + 1) > 0) >= memory
        vcpus, widest = sum(vm.vcpus for vm in vms.values()), max(vm.vcpus for vm in vms.values())
        shares = (min((room[node] - most + 1) / memory, (left[node] - widest + 1) / vcpus) for node in nodes)
        return sum(share for share in shares if share > 0) >= 2


def _ordered(names: Iterable[str], vms: Mapping[str, Vm]) -> list[str]:
    return sorted(names, key=lambda name: (-vms[name].ha.priority, name))
