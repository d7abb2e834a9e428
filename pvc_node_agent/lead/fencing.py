# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that is gone, from the first suspicion to its return: one decision for each state of its fence. Pure.

docs/safety.md has the states. Every write checks the fence's version and the leader's epoch; whatever this step begins, a
later leader can carry on from the record alone.
"""

from __future__ import annotations

from dataclasses import replace

from pvc_state import paths
from pvc_state.plan_recovery import plan_recovery
from pvc_state.records import Evidence, Fence, Node, Past
from pvc_state.snapshot import Snapshot

from .effects import BeginFence, CutStorage, EndFence, MarkDown, PowerOff, RestoreStorage, UpdateFence
from .events import MarkedDown, StorageRestored
from .evidence import addresses, gathered, next_devices, off, proof, wanted
from .gone import Gone, absent, claims_of, gone, hold_again
from .suspicion import suspected
from .work import Work


def fence(work: Work) -> None:
    """Decide about every node's fence."""
    doubted = suspected(work.snapshot) if work.policy.early_suspicion else {}
    cut_off = _cut_off(work.snapshot) if "storage_cut" in work.policy.evidence else frozenset()
    for node in sorted(work.snapshot.nodes.keys() | work.snapshot.fences.keys()):
        stored = work.snapshot.fences.get(node)
        if stored is None:
            _unfenced(work, node, doubted.get(node, ""), node in cut_off)
        elif stored.value is None:
            work.say(
                f"node {node}", f"hold {node}", f"its fence is damaged ({stored.invalid}): nothing is done about it"
            )
        else:
            _Fenced(work, node, stored.value, stored.version).decide()


def _cut_off(snapshot: Snapshot) -> frozenset[str]:
    """Nodes that live, and whose clients Ceph refuses: no VM can run there. What cut them off goes when a fence is lifted."""
    reports = {node: snapshot.report(node) for node in snapshot.alive if node not in snapshot.fences}
    return frozenset(node for node, report in reports.items() if report is not None and report.storage_cut)


def _unfenced(work: Work, node: str, doubt: str, cut_off: bool) -> None:
    found = gone(work, node)
    if found is not None:
        _begin(work, found, alive=None)
    elif (doubt or cut_off) and not absent(work, node) and work.free(f"doubt {node}"):
        why = "Ceph refuses its clients" if cut_off else doubt
        found = Gone(node, f"its session lives, but {why}", hold=hold_again(work, node), cut_off=cut_off)
        _begin(work, found, alive=0)


def _begin(work: Work, found: Gone, alive: int | None) -> None:
    snapshot, node = work.snapshot, found.node
    if alive is not None and found.hold:
        return  # a node that lives is no business of anybody who may not fence it
    record, status, ephemeral = snapshot.nodes[node].value, snapshot.status.get(node), snapshot.alive.get(node)
    who = ephemeral.value if ephemeral is not None else None
    report = status.value if status is not None else None
    begun = Fence(
        id=_new_id(work, node),
        state="held" if found.hold else "collecting",
        why=f"{found.why}; {found.hold}" if found.hold else found.why,
        instance=who.instance if who is not None else "",
        boot_id=report.boot_id if report is not None else "",
        addresses=addresses(snapshot, node),
        since=work.view.wall,
    )
    if found.signed_off and not found.hold:
        word = Evidence("signed_off", "proven", found.why, at=work.view.wall)
        begun = replace(begun, state="proven", evidence=(word,), proven_by="signed_off", proven_at=work.view.wall)
    elif not found.hold:
        # a machine that answers is not worth its power
        begun = _collecting(work, None if found.cut_off else record, begun)
    rests_on = ((paths.status(node), status.version),) if status is not None else ()
    if work.ask(BeginFence(f"node {node}", rests_on, begun, alive)):
        decision = {"held": "hold", "collecting": "fence", "proven": "take over from"}[begun.state]
        work.say(f"node {node}", f"{decision} {node}", begun.why)
    else:
        work.keep(f"node {node}")


def _new_id(work: Work, node: str) -> str:
    """Unique: one leader has one clock, and no other has its epoch."""
    return f"{node}-{work.view.epoch}-{round(work.now * 1000)}"


def _collecting(work: Work, record: Node | None, begun: Fence) -> Fence:
    """The fence with all evidence still to come. What is to be undone later is written before it is done."""
    found = wanted(work.policy, record, begun.addresses)
    cut = any(one.kind == "storage_cut" and one.state == "collecting" for one in found)
    return replace(begun, state="collecting", evidence=found, cut=begun.cut or cut, proven_by="", proven_at="", epoch=0)


class _Fenced:
    """One node that has a fence."""

    def __init__(self, work: Work, node: str, fence: Fence, version: int) -> None:
        self.work = work
        self.node = node
        self.fence = fence
        self.version = version
        self.subject = f"node {node}"
        stored = work.snapshot.nodes.get(node)
        self.record = stored.value if stored is not None else None
        self.alive = work.snapshot.alive.get(node)
        self.status = work.snapshot.status.get(node)

    def decide(self) -> None:
        {"held": self._held, "collecting": self._collect, "proven": self._proven, "lifting": self._lift}.get(
            self.fence.state, self._unknown
        )()
        self.work.keep(self.subject)

    def _unknown(self) -> None:
        why = f"its fence is in state {self.fence.state}, which this agent does not know: install a newer one"
        self.work.say(self.subject, f"hold {self.node}", why)

    # --- held ---------------------------------------------------------------------------------------------------------

    def _held(self) -> None:
        if self.alive is not None:
            self._end("it came back before anything was done")
            return
        now = gathered(self.work.view, self.work.snapshot, self.node, self.fence)
        if proof(self.work.policy, self.record, now) and not self.work.policy.maintenance:
            self._prove(now)
            return
        reason = hold_again(self.work, self.node)
        if reason:
            self.work.say(self.subject, f"hold {self.node}", reason)
            if reason not in self.fence.why:
                self._write(replace(self.fence, why=f"{self.fence.why.partition('; ')[0]}; {reason}"))
            return
        why = self.fence.why.partition("; ")[0]
        if self._write(_collecting(self.work, self.record, replace(self.fence, why=why))):
            self.work.say(self.subject, f"fence {self.node}", f"{why}; nothing holds that back any more")

    # --- collecting ---------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        if self._returned():
            return
        now = gathered(self.work.view, self.work.snapshot, self.node, self.fence)
        if proof(self.work.policy, self.record, now):
            self._prove(now)
            return
        if self.work.policy.maintenance:
            self.work.say(self.subject, f"hold {self.node}", "the cluster is in maintenance: nothing more is done")
            return
        if now != self.fence.evidence:
            self._write(replace(self.fence, evidence=now))
            failed = "; ".join(f"{one.kind}: {one.why}" for one in now if one.state == "failed")
            if failed:
                self.work.say(self.subject, f"try again to fence {self.node}", failed)
        self._order(now)

    def _order(self, evidence: tuple[Evidence, ...]) -> None:
        """Order whatever evidence is missing, all kinds at once."""
        missing = any(one.kind == "storage_cut" and one.state != "proven" for one in evidence)
        if missing and self.fence.cut and f"restore {self.node}" not in self.work.view.busy:
            self.work.ask(CutStorage(self.node, self.fence.id, self.fence.addresses))
        if self.alive is None:
            # a node that is back is not worth its power: it will be clean in a moment
            for device in next_devices(self.record, evidence, self.work.view, self.node):
                self.work.ask(PowerOff(self.node, self.fence.id, device))

    def _prove(self, evidence: tuple[Evidence, ...]) -> None:
        kind = proof(self.work.policy, self.record, evidence)
        epoch = max((one.epoch for one in evidence if one.kind == "storage_cut" and one.state == "proven"), default=0)
        proven = replace(
            self.fence,
            state="proven",
            evidence=evidence,
            proven_by=kind,
            proven_at=self.work.view.wall,
            epoch=epoch,
        )
        rests_on = self._declaration() if kind == "declared_dead" else ()
        if self._write(proven, rests_on):
            why = next(one.why for one in evidence if one.kind == kind and one.state == "proven")
            self.work.say(self.subject, f"{self.node} is fenced", f"{kind}: {why}", evidence=kind)

    def _declaration(self) -> tuple[tuple[str, int], ...]:
        declared = self.work.snapshot.declared.get(self.node)
        return ((paths.declared(self.node), declared.version),) if declared is not None else ()

    # --- proven -------------------------------------------------------------------------------------------------------

    def _proven(self) -> None:
        if (not self._leaves() and self._returned()) or self._removed():
            return
        view = self.work.view
        now = gathered(view, self.work.snapshot, self.node, self.fence)
        if now != self.fence.evidence:
            epoch = max((one.epoch for one in now if one.kind == "storage_cut" and one.state == "proven"), default=0)
            self._write(replace(self.fence, evidence=now, epoch=max(epoch, self.fence.epoch)))
        if self._power_is_wanted():
            self._order(now)
        if self.alive is None and self.fence.epoch and self.work.free(f"check {self.node}"):
            # nobody should take it back meanwhile: an order that was late, or a person
            self.work.ask(CutStorage(self.node, self.fence.id, self.fence.addresses))
        if off(self.record, now) and not self._marked():
            self.work.ask(MarkDown(self.node, self.fence.id))

    def _leaves(self) -> bool:
        """Whether VMs are about to leave a node that is back: they were promised to others before it came."""
        if self.alive is None or self.work.policy.maintenance:
            return False
        return bool(plan_recovery(self.work.snapshot, self.node).moves)

    def _removed(self) -> bool:
        """Begin to lift the fence of a node that users have removed, if it cannot write any more even so."""
        if self.node in self.work.snapshot.nodes or claims_of(self.work.snapshot, self.node):
            return False
        if self.fence.proven_by == "storage_cut":
            self.work.say(
                self.subject, f"keep {self.node} cut off", "it was removed, and nothing proves that it is off"
            )
            return True
        self._write(replace(self.fence, state="lifting", why=f"{self.fence.why}; it was removed from the cluster"))
        return True

    def _power_is_wanted(self) -> bool:
        """Whether a VM that needs more than a storage cut still waits here."""
        if self.work.policy.maintenance:
            return False
        for name in claims_of(self.work.snapshot, self.node):
            vm = self.work.snapshot.vms[name].value
            if vm is not None and vm.ha.power_off:
                return True
        return False

    def _marked(self) -> bool:
        marked = self.work.view.results.get(f"mark down {self.node}")
        return isinstance(marked, MarkedDown) and marked.fence == self.fence.id

    # --- coming back --------------------------------------------------------------------------------------------------

    def _returned(self) -> bool:
        """Begin to lift the fence of a node that is back and clean; returns whether it is."""
        if self.alive is None or not self._clean():
            return False
        if self._write(replace(self.fence, state="lifting"), self._presence()):
            self.work.say(
                self.subject, f"let {self.node} come back", "its new agent found nothing running, or ended it"
            )
        return True

    def _clean(self) -> bool:
        return self.status is not None and self.status.value is not None and self.status.value.clean == self.fence.id

    def _presence(self) -> tuple[tuple[str, int], ...]:
        """What a node's word rests on: that its agent lives, and has said so."""
        words = ((paths.alive(self.node), self.alive), (paths.status(self.node), self.status))
        return tuple((path, stored.version) for path, stored in words if stored is not None)

    def _lift(self) -> None:
        removed = self.node not in self.work.snapshot.nodes
        if self.alive is None and not removed:
            # another id: what was proven, or undone, for the old one must not count for this one
            again = replace(self.fence, id=_new_id(self.work, self.node), why="it went again before it was back")
            again = _collecting(self.work, self.record, again)
            if self._write(again):
                self.work.say(self.subject, f"fence {self.node}", again.why)
            return
        if not removed and not self._clean():
            return
        if self.fence.cut and not self._restored():
            self.work.ask(RestoreStorage(self.node, self.fence.id, self.fence.addresses))
            return
        if self.fence.cut and not removed and self._still_refused():
            why = "its agent has yet to see that Ceph takes its clients again"
            self.work.say(self.subject, f"wait for {self.node}", why)
            return
        self._end("it was removed from the cluster" if removed else "it came back clean", self._presence())

    def _restored(self) -> bool:
        result = self.work.view.results.get(f"restore {self.node}")
        return isinstance(result, StorageRestored) and result.fence == self.fence.id and not result.error

    def _still_refused(self) -> bool:
        return self.status is not None and self.status.value is not None and self.status.value.storage_cut

    def _end(self, how: str, rests_on: tuple[tuple[str, int], ...] = ()) -> None:
        declared = self.work.snapshot.declared.get(self.node)
        past = Past(self.node, self.fence, self.work.view.wall, how)
        effect = EndFence(
            self.subject,
            rests_on or self._presence(),
            self.version,
            past,
            declared.version if declared is not None else None,
            self._drained(),
        )
        if self.work.ask(effect):
            self.work.say(self.subject, f"the fence of {self.node} ends", how)

    def _drained(self) -> tuple[Node, int] | None:
        stored = self.work.snapshot.nodes.get(self.node)
        if self.work.policy.rejoin != "drained" or not self.fence.proven_by or self.fence.proven_by == "signed_off":
            return None
        if stored is None or stored.value is None or stored.value.state != "ready":
            return None
        return replace(stored.value, state="drained", generation=stored.value.generation + 1), stored.version

    def _write(self, fence: Fence, rests_on: tuple[tuple[str, int], ...] = ()) -> bool:
        return self.work.ask(UpdateFence(self.subject, rests_on, fence, self.version))
