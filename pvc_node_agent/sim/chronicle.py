# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account of what happened: read from every transaction in the store, from hypervisors and from what agents say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pvc_state import codec, paths
from pvc_state.records import Alive, Claim, Fence, Leader, NodeStatus

from ..view import Sentence
from .world import World


class Chronicle(World):
    """A cluster that keeps an account.

    Attributes:
        timeline: {"t", "ev", ...} in order. starts: by VM, live moves not counted. fenced: nodes, in order.
        switched_off: whether all servers of the store were stopped on purpose.
        copies: by VM, the most machines on which it could write at one moment.
        story: lines for people: time, who, what and why.
    """

    def __init__(self, **options: Any) -> None:
        self.switched_off = False
        self.timeline: list[dict[str, Any]] = []
        self.story: list[str] = []
        self.starts: dict[str, int] = {}
        self.fenced: dict[str, None] = {}
        self.copies: dict[str, int] = {}
        self._fences: dict[str, Fence] = {}
        self._claims: dict[str, Claim] = {}
        self._signed_off: dict[str, bool] = {}
        self._alive: dict[str, Alive] = {}
        super().__init__(**options)

    def changed(self) -> None:
        """The store answers while more than half of its servers are powered and connected."""
        servers = [machine for machine in self.nodes.values() if machine.coordinator]
        reached = sum(machine.connected for machine in servers)
        quorate = 2 * reached > len(servers) and not self.switched_off
        if quorate and self.is_down:
            self.tell("quorum", nodes=reached)
            self.up()
        elif not quorate and not self.is_down:
            self.tell("no_quorum", nodes=reached)
            self.down()

    # --- telling ------------------------------------------------------------------------------------------------------

    def tell(self, event: str, **fields: Any) -> None:
        """Something happened."""
        time = round(self.clock.time, 3)
        self.timeline.append({"t": int(time) if time == int(time) else time, "ev": event, **fields})
        words = " ".join(f"{key}={value}" for key, value in fields.items())
        self._line("*", f"{event} {words}".rstrip())

    def _line(self, who: str, text: str) -> None:
        self.story.append(f"{self.clock.time:9.3f}  {who:<8}  {text}")

    def note(self, text: str) -> None:
        super().note(text)
        who, separator, what = text.partition(": ")
        self._line(who if separator else "", what if separator else text)

    def told(self, machine: Any, sentence: Sentence) -> None:
        self._line(machine.name, f"| {sentence}")

    def happened(self, what: str, machine: Any, vm: str) -> None:
        if what == "start":
            self.starts[vm] = self.starts.get(vm, 0) + 1
        self.tell(what, service=vm, node=machine.name)
        copies = sum(node.writes(vm) for node in self.nodes.values())
        self.copies[vm] = max(self.copies.get(vm, 0), copies)

    # --- the store ----------------------------------------------------------------------------------------------------

    def _tree_changed(self, events: Iterable[Any]) -> None:
        changed = dict.fromkeys(event.path for event in events)
        for path in changed:
            parent, _slash, name = path.rpartition("/")
            if parent == paths.FENCES:
                self._fence_changed(name)
            elif parent == paths.STATUS:
                self._status_changed(name)
            elif parent == paths.ALIVE:
                self._alive_changed(name)
            elif path == paths.LEADER:
                self._leader_changed()
        for path in changed:
            parent, _slash, name = path.rpartition("/")
            if parent == paths.CLAIMS:
                self._claim_changed(name)

    def _fence_changed(self, node: str) -> None:
        before, fence = self._fences.get(node), self.record(Fence, paths.fence(node))
        if fence is None:
            if self._fences.pop(node, None):
                self.tell("fence_over", node=node)
            return
        self._fences[node] = fence
        if before is None or before.id != fence.id or before.state != fence.state:
            if fence.state == "proven":
                if fence.proven_by == "signed_off":
                    self.tell("clean_sign_off", node=node, why=fence.why)
                else:
                    self.fenced[node] = None
                    self.tell("fence_confirmed", node=node, by=fence.proven_by)
            else:
                self.tell(f"fence_{fence.state}", node=node, why=fence.why)
        waited: Mapping[str, str] = before.waiting if before is not None else {}
        for vm, why in sorted(fence.waiting.items()):
            if waited.get(vm) != why:
                self.tell("no_legal_recovery_node", service=vm, why=why)

    def _claim_changed(self, vm: str) -> None:
        before, claim = self._claims.get(vm), self.record(Claim, paths.claim(vm))
        if claim is None:
            self._claims.pop(vm, None)
            return
        self._claims[vm] = claim
        if before is None:
            return
        if before.node != claim.node:
            fence = self._fences.get(before.node)
            if fence is not None and fence.state == "proven":
                self.recovered(vm)
                self.tell("recover", service=vm, **{"from": before.node, "to": claim.node}, why=fence.moves.get(vm, ""))
            else:
                self.arrived(vm)
                self.tell("moved", service=vm, **{"from": before.node, "to": claim.node})
        elif before.to and not claim.to:
            self.stays(vm, f"its move to {before.to} has come to nothing")
        elif claim.to and claim.to != before.to:
            self.tell("move", service=vm, **{"from": claim.node, "to": claim.to}, why=claim.why)

    def recovered(self, vm: str) -> None:
        """A VM got another node without the help of its last one."""

    def arrived(self, vm: str) -> None:
        """A VM belongs to the node that it was to move to."""

    def stays(self, vm: str, why: str) -> None:
        """A VM that was to move stays where it is."""

    def _status_changed(self, node: str) -> None:
        status = self.record(NodeStatus, paths.status(node))
        off = status is not None and status.signed_off is not None
        if off and not self._signed_off.get(node):
            assert status is not None
            assert status.signed_off is not None
            self.tell("clean_sign_off", node=node, why=status.signed_off.why)
        self._signed_off[node] = off

    def _alive_changed(self, node: str) -> None:
        before, alive = self._alive.get(node), self.record(Alive, paths.alive(node))
        if alive is None:
            if self._alive.pop(node, None) is not None:
                self.tell("session_over", node=node)
            return
        self._alive[node] = alive
        if before is None:
            self.tell("node_up", node=node)

    def _leader_changed(self) -> None:
        leader = self.record(Leader, paths.LEADER)
        if leader is not None:
            self.tell("leader", node=leader.node)

    def record(self, cls: type[Any], path: str) -> Any:
        """What the servers hold at a path, whoever reaches them; None for nothing, or what cannot be read."""
        znode = self.ensemble.peek(path)
        return None if znode is None else codec.stored(cls, znode).value
