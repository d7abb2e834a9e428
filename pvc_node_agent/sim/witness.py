# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches a cluster, and notes each moment at which something happens that must never happen.

The invariants are those of the design: S1 one writer per VM · S2 a VM changes hands only when its last owner cannot run it
any more · S3 no start without a current claim · S5 nothing without quorum · S6 no fence of a healthy node, and no power taken
from one that is back · S7 rules · S8 one effective leader · L3 no VM ends without cause · L7 no order has its effect after
its fence is over. What must come true in the end is asked by ``calm()`` of the stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pvc_state import paths
from pvc_state.occupancy import OFF
from pvc_state.records import Claim, Fence, NodeStatus, Rule, Vm
from pvc_state.store import Check, Delete

from ..view import DomainState
from .chronicle import Chronicle
from .machine import Machine

#: Seconds after which everybody has heard that a machine is well again.
NEWS = 3.0


class Witness(Chronicle):
    """A cluster under watch. violations: what happened and must not, in words."""

    def __init__(self, **options: Any) -> None:
        self.violations: list[str] = []
        self._seen_claims: dict[str, Claim] = {}
        self._seen_fences: dict[str, Fence] = {}
        self._well_since: dict[str, float] = {}
        super().__init__(**options)

    def violated(self, invariant: str, text: str) -> None:
        """Note it; it cannot be raised here, in the midst of the agents' own code."""
        self.violations.append(f"{invariant} at {self.clock.time:g}: {text}")
        self._line("!", f"{invariant}: {text}")

    def check(self) -> None:
        """Raises AssertionError when anything was violated."""
        assert not self.violations, "\n".join([*self.violations, "", *self.story[-60:]])

    # --- machines -----------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        super().changed()
        self._feel()

    def _feel(self) -> None:
        """Note since when each machine is, in truth, healthy."""
        for name, machine in self.nodes.items():
            refused = machine.storage_address in self.storage.blocklist
            if not machine.connected or not machine.reaches_ceph or refused:
                self._well_since.pop(name, None)
            else:
                self._well_since.setdefault(name, self.clock.time)

    def is_well(self, machine: Machine) -> bool:
        """Whether it is healthy, for so long that everybody must know."""
        self._feel()
        return self.clock.time - self._well_since.get(machine.name, self.clock.time) >= NEWS

    def clients_refused(self, addresses: Sequence[str]) -> None:
        super().clients_refused(addresses)
        for machine in self.nodes.values():
            if machine.storage_address in addresses:
                self._witness_order(machine, "its clients are refused by Ceph")

    def power_asked(self, machine: Machine) -> None:
        super().power_asked(machine)
        if machine.connected and self.ensemble.peek(paths.alive(machine.name)) is not None:
            self.violated("S6", f"the power of {machine.name} is to be taken, and its agent is back")

    def power_taken(self, machine: Machine) -> None:
        super().power_taken(machine)
        self._witness_order(machine, "its power is taken")

    def _witness_order(self, machine: Machine, what: str) -> None:
        fence = self.record(Fence, paths.fence(machine.name))
        if fence is None or fence.state not in ("collecting", "proven"):
            state = "it has no fence" if fence is None else f"its fence is {fence.state}"
            self.violated("L7", f"{machine.name}: {what}, and {state}")

    def about(self, what: str, machine: Machine, vm: str) -> None:
        super().about(what, machine, vm)
        if what == "start":
            self._about_to_start(machine, vm)
        elif what in ("shutdown", "destroy"):
            self._about_to_stop(what, machine, vm)

    def _about_to_start(self, machine: Machine, vm: str) -> None:
        if self.is_down or not machine.reaches_store:
            self.violated("S5", f"{vm} is started on {machine.name} out of sight of the store")
        claim, fence = self.record(Claim, paths.claim(vm)), self.record(Fence, paths.fence(machine.name))
        if claim is None or claim.node != machine.name:
            self.violated("S3", f"{vm} is started on {machine.name} under {claim}")
        if fence is not None and fence.state != "held":
            self.violated("S3", f"{vm} is started on {machine.name}, which has a fence")
        record = self.record(Vm, paths.vm(vm))
        if record is None or record.state != "started":
            self.violated("S3", f"{vm} is started, and nobody wants that")
        if claim is not None and self.storage.epoch < claim.barrier:
            self.violated("S2", f"{vm} is started before osdmap epoch {claim.barrier}")

    def _about_to_stop(self, what: str, machine: Machine, vm: str) -> None:
        domain = machine.hypervisor.domains.get(vm)
        claim, record = self.record(Claim, paths.claim(vm)), self.record(Vm, paths.vm(vm))
        if domain is None or claim is None or record is None:
            return
        if domain.state is DomainState.ARRIVED or (claim.node, claim.epoch) != (machine.name, domain.epoch):
            return
        fence = self.record(Fence, paths.fence(machine.name))
        caused = (
            record.state != "started"
            or claim.to != ""
            or machine.rebooting is not None
            or machine.cut_seen
            or (fence is not None and fence.state != "held")
        )
        if not caused:
            self.violated("L3", f"{vm} is to {what} on {machine.name} without cause")

    def happened(self, what: str, machine: Machine, vm: str) -> None:
        super().happened(what, machine, vm)
        self._writers(vm)

    def _blocklist_changed(self) -> None:
        super()._blocklist_changed()
        self._feel()
        for vm in self.faults:
            self._writers(vm)

    def _writers(self, vm: str) -> None:
        writers = [name for name, machine in self.nodes.items() if machine.writes(vm)]
        if len(writers) > 1:
            self.violated("S1", f"{vm} writes on {' and '.join(writers)}")

    # --- the store ----------------------------------------------------------------------------------------------------

    def _tree_changed(self, events: Iterable[Any]) -> None:
        events = list(events)
        changed = [*dict.fromkeys(event.path for event in events)]
        for path in changed:
            parent, _slash, name = path.rpartition("/")
            if parent == paths.FENCES:
                self._witness_fence(name)
        for path in changed:
            parent, _slash, name = path.rpartition("/")
            if parent == paths.CLAIMS:
                self._witness_claim(name)
        super()._tree_changed(events)

    def _leads(self, session: int) -> bool:
        leader, epoch = self.ensemble.peek(paths.LEADER), self.ensemble.peek(paths.EPOCH)
        ops, _session = self.ensemble.last
        checked = any(
            isinstance(op, Check) and op.path == paths.EPOCH and epoch is not None and op.version == epoch.version
            for op in ops
        )
        return leader is not None and leader.owner == session and checked

    def _witness_fence(self, node: str) -> None:
        before, fence = self._seen_fences.get(node), self.record(Fence, paths.fence(node))
        ops, session = self.ensemble.last
        if not self._leads(session):
            self.violated("S8", f"the fence of {node} was written by somebody who does not lead")
        machine = self.nodes[node]
        if fence is None:
            self._seen_fences.pop(node, None)
            if before is not None and before.cut and machine.storage_address in self.storage.blocklist:
                self.violated("L7", f"the fence of {node} is over, and its storage is still cut")
            return
        self._seen_fences[node] = fence
        lives = self.ensemble.peek(paths.alive(node)) is not None
        if before is None or before.state == "held":
            if lives and (before is None or fence.state in ("collecting", "proven")):
                self.violated("S6", f"{node} is fenced while its session lives")
            # that there is no session is held by making the ephemeral and removing it
            about = [type(op) for op in ops if op.path == paths.alive(node)]
            if about == [Delete] and self.is_well(machine):
                self.violated("S6", f"{node} is fenced, its session is ended, and it is healthy")
        if fence.state == "proven" and (before is None or before.state != "proven"):
            self._witness_proof(machine, fence)
        if fence.state == "lifting" and (before is None or before.state != "lifting") and machine.running:
            self.violated("S1", f"{node} is let back while {', '.join(sorted(machine.running))} run there")

    def _witness_proof(self, machine: Machine, fence: Fence) -> None:
        truth = {
            "storage_cut": machine.storage_address in self.storage.blocklist,
            "powered_off": not machine.powered or machine.boot_id != fence.boot_id,
            "signed_off": not machine.running,
            # whoever vouches for it is believed, but not against the node's own word
            "declared_dead": self.ensemble.peek(paths.alive(machine.name)) is None,
        }
        if not truth.get(fence.proven_by, False):
            self.violated("S2", f"{machine.name} counts as fenced by {fence.proven_by}, which is not true")

    def _witness_claim(self, vm: str) -> None:
        before, claim = self._seen_claims.get(vm), self.record(Claim, paths.claim(vm))
        if claim is None:
            self._seen_claims.pop(vm, None)
            return
        self._seen_claims[vm] = claim
        if before is None:
            return
        if claim.epoch < before.epoch or (claim.node != before.node and claim.epoch == before.epoch):
            self.violated("S3", f"the claim of {vm} went from {before} to {claim}")
        if claim.node != before.node:
            self._witness_handover(vm, before, claim)
        if (claim.node, claim.to) != (before.node, before.to):
            self._witness_rules(vm, before, claim)

    def _witness_handover(self, vm: str, before: Claim, claim: Claim) -> None:
        _ops, session = self.ensemble.last
        owner = self.ensemble.peek(paths.alive(before.node))
        by_owner = owner is not None and owner.owner == session
        if not by_owner:
            fence = self._seen_fences.get(before.node)
            if not self._leads(session):
                self.violated("S8", f"the claim of {vm} was given away by somebody who may not")
            elif fence is None or fence.state != "proven":
                self.violated("S2", f"{vm} was taken from {before.node}, whose fence is not proven")
        old = self.nodes[before.node]
        if not by_owner and self.ensemble.peek(paths.alive(before.node)) is not None:
            self._witness_living(vm, before.node)
        if old.writes(vm) and old.storage_address not in self.storage.blocklist:
            self.violated("S2", f"{vm} was given to {claim.node} while it writes on {before.node}")

    def _witness_living(self, vm: str, node: str) -> None:
        """A node that is back may have what it likes, until it says that nothing is left, or the fence rests on more than a word."""
        fence, status = self._seen_fences.get(node), self.record(NodeStatus, paths.status(node))
        clean = fence is not None and status is not None and status.clean == fence.id
        if (
            fence is not None
            and not clean
            and {one.kind for one in fence.evidence if one.state == "proven"} <= {"declared_dead"}
        ):
            self.violated("S2", f"{vm} was taken from {node} on a person's word, and {node} lives")

    def _witness_rules(self, vm: str, before: Claim, claim: Claim) -> None:
        new = {claim.node, claim.to} - {before.node, before.to, ""}
        for name in self.ensemble.names(paths.RULES):
            rule = self.record(Rule, paths.rule(name))
            if rule is None or vm not in rule.vms:
                continue
            if rule.kind == "node_preference" and rule.strict and not new <= rule.nodes.keys():
                self.violated("S7", f"{vm} goes to {', '.join(sorted(new - rule.nodes.keys()))}, against {name}")
            if rule.kind == "apart":
                for other in sorted(set(rule.vms) - {vm}):
                    there, wanted = self._seen_claims.get(other), self.record(Vm, paths.vm(other))
                    if wanted is None or wanted.state in OFF:
                        continue
                    shared = new & {there.node, there.to} if there is not None else set()
                    if shared:
                        self.violated("S7", f"{vm} and {other} are both on {shared.pop()}, against {name}")
