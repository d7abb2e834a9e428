# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that is gone, from the first suspicion to its return: one decision for each state of its fence. Pure.

docs/safety.md has the states. Every write checks the fence's version and the leader's epoch; whatever this step begins, a
later leader can carry on from the record alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pvc_state import paths
from pvc_state.plan_recovery import plan_recovery
from pvc_state.records import Evidence, Fence, Node, Past, surely_off

from .effects import BeginFence, CutStorage, EndFence, MarkDown, PowerOff, RestoreStorage, UpdateFence
from .events import MarkedDown, PowerRead, StorageRestored
from .evidence import addresses, gathered, holds_by_itself, next_devices, proof
from .gone import Gone, absent, answer_to_sign_off, claims_of, gone, has_time, hold_again
from .suspicion import suspected
from .work import Work

#: Seconds in which an agent whose session was ended on a mere suspicion shows itself again.
_SHOWS_ITSELF = 3.0
#: Seconds after which every agent has had the time to say what it sees, once the store is back within reach.
_OLD_NEWS = 5.0
#: Seconds after which no order of a leader that was replaced is carried out any more, if it is not frozen.
_LONGEST_ORDER = 25.0


def fence(work: Work) -> None:
    """Decide about every node's fence."""
    doubted = _doubted(work)
    work.doubted = frozenset(doubted)
    if work.damaged:
        work.say("settings", "hold everything", work.damaged)
    for node in sorted(work.snapshot.nodes.keys() | work.snapshot.fences.keys()):
        stored = work.snapshot.fences.get(node)
        if stored is None:
            _unfenced(work, node, doubted.get(node, ""))
        elif stored.value is None:
            work.say(
                f"node {node}", f"hold {node}", f"its fence is damaged ({stored.invalid}): nothing is done about it"
            )
        else:
            _Fenced(work, node, stored.value, stored.version).decide()


def _doubted(work: Work) -> Mapping[str, str]:
    """Nodes without a fence whose session lives, and that are to be fenced all the same: why, in words.

    Where Ceph refuses a node's clients no VM can run. What cut it off goes when the fence is lifted.
    """
    snapshot = work.snapshot
    sighted_at = work.view.presence.sighted_at
    fresh = sighted_at is not None and work.now >= sighted_at + _OLD_NEWS
    doubted = dict(suspected(snapshot)) if work.policy.early_suspicion and fresh else {}
    for node in snapshot.alive:
        report = snapshot.report(node)
        if report is not None and report.storage_cut and "storage_cut" in work.policy.evidence:
            doubted[node] = "Ceph refuses its clients"
    return {node: why for node, why in doubted.items() if node in snapshot.nodes and node not in snapshot.fences}


def _unfenced(work: Work, node: str, doubt: str) -> None:
    found = gone(work, node)
    if found is not None:
        _begin(work, found)
    elif doubt and not absent(work, node) and work.free(f"doubt {node}"):
        hold = hold_again(work, node)
        if hold:
            work.say(f"node {node}", f"leave {node} alone", f"{doubt}, but {hold}")
        else:
            _begin(work, Gone(node, f"its session lives, but {doubt}"), doubted=True)


def _begin(work: Work, found: Gone, doubted: bool = False) -> None:
    snapshot, node = work.snapshot, found.node
    status, ephemeral = snapshot.status.get(node), snapshot.alive.get(node)
    who = ephemeral.value if ephemeral is not None else None
    report = status.value if status is not None else None
    begun = Fence(
        id=_new_id(work, node),
        state="held" if found.hold else "collecting",
        why=f"{found.why}; {found.hold}" if found.hold else found.why,
        instance=who.instance if who is not None else "",
        boot_id=report.boot_id if report is not None else "",
        addresses=addresses(snapshot, node),
        doubted=doubted,
        since=work.view.wall,
    )
    rests_on = [(paths.status(node), status.version)] if status is not None else []
    if found.signed_off and not found.hold:
        word = Evidence("signed_off", "proven", found.why, at=work.view.wall)
        begun = replace(begun, state="proven", evidence=(word,), proven_by="signed_off", proven_at=work.view.wall)
        if answer_to_sign_off(snapshot, node):
            rests_on.append((paths.declared(node), snapshot.declared[node].version))
    elif not found.hold:
        begun = _collecting(work, node, begun)
    if work.ask(BeginFence(f"node {node}", tuple(rests_on), begun, 0 if doubted else None)):
        decision = {"held": "hold", "collecting": "fence", "proven": "take over from"}[begun.state]
        work.say(f"node {node}", f"{decision} {node}", begun.why)
    else:
        work.keep(f"node {node}")


def _new_id(work: Work, node: str) -> str:
    """Unique: one leader has one clock, and no other has its epoch."""
    return f"{node}-{work.view.epoch}-{round(work.now * 1000)}"


def _collecting(work: Work, node: str, begun: Fence) -> Fence:
    """The fence with all evidence still to come."""
    blank = replace(begun, state="collecting", evidence=(), proven_by="", proven_at="", epoch=0)
    return _noted(blank, gathered(work.view, work.snapshot, node, blank, work.policy))


def _noted(fence: Fence, evidence: tuple[Evidence, ...]) -> Fence:
    """The fence with this evidence. What is to be undone later is written before it is done."""
    cuts = [one for one in evidence if one.kind == "storage_cut"]
    epoch = max((one.epoch for one in cuts if one.state == "proven"), default=0)
    ordered = any(one.state == "collecting" for one in cuts)
    return replace(fence, evidence=evidence, cut=fence.cut or ordered, epoch=max(epoch, fence.epoch))


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
        now = self._gathered()
        if proof(self.work.policy, self.record, now) and not self.work.policy.maintenance:
            self._prove(now)
            return
        reason = hold_again(self.work, self.node)
        if reason:
            self.work.say(self.subject, f"hold {self.node}", reason)
            if reason not in self.fence.why:
                self._write(replace(self.fence, why=f"{self.fence.why.partition('; ')[0]}; {reason}"))
            return
        if has_time(self.work, self.node):
            return
        why = self.fence.why.partition("; ")[0]
        if self._write(_collecting(self.work, self.node, replace(self.fence, why=why)), absent=True):
            self.work.say(self.subject, f"fence {self.node}", f"{why}; nothing holds that back any more")

    # --- collecting ---------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        if self._returned():
            return
        now = self._gathered()
        if proof(self.work.policy, self.record, now):
            self._prove(now)
            return
        if self.work.policy.maintenance:
            self.work.say(self.subject, f"hold {self.node}", "the cluster is in maintenance: nothing more is done")
            return
        if _noted(self.fence, now) != self.fence:
            self._write(_noted(self.fence, now))
            failed = "; ".join(f"{one.kind}: {one.why}" for one in now if one.state == "failed")
            if failed:
                self.work.say(self.subject, f"try again to fence {self.node}", failed)
        self._order(now)

    def _order(self, evidence: tuple[Evidence, ...]) -> None:
        """Order whatever evidence is missing, all kinds at once."""
        missing = any(one.kind == "storage_cut" and one.state != "proven" for one in evidence)
        if missing and self.fence.cut and f"restore {self.node}" not in self.work.view.busy:
            self.work.ask(CutStorage(self.node, self.fence.id, self.fence.addresses))
        if self._is_worth_its_power():
            for device in next_devices(self.record, evidence, self.work.view, self.node):
                self.work.ask(PowerOff(self.node, self.fence.id, device))

    def _is_worth_its_power(self) -> bool:
        """A node that is back will be clean in a moment; and one that was only doubted gets the time to show itself."""
        if self.alive is not None:
            return False
        if not self.fence.doubted:
            return True
        presence = self.work.view.presence
        since = presence.missing_since.get(self.node, presence.began_at or 0.0)
        if self.work.now >= since + _SHOWS_ITSELF:
            return True
        self.work.wake(since + _SHOWS_ITSELF)
        return False

    def _gathered(self) -> tuple[Evidence, ...]:
        return gathered(self.work.view, self.work.snapshot, self.node, self.fence, self.work.policy)

    def _prove(self, evidence: tuple[Evidence, ...]) -> None:
        kind = proof(self.work.policy, self.record, evidence)
        proven = replace(_noted(self.fence, evidence), state="proven", proven_by=kind, proven_at=self.work.view.wall)
        rests_on = self._declaration() if kind == "declared_dead" else ()
        # under a fence that is merely held an agent starts VMs, and a word counts only against one that is gone
        held = self.fence.state == "held" or kind == "declared_dead"
        if self._write(proven, rests_on, absent=held):
            why = next(one.why for one in evidence if one.kind == kind and one.state == "proven")
            self.work.say(self.subject, f"{self.node} is fenced", f"{kind}: {why}", evidence=kind)

    def _declaration(self) -> tuple[tuple[str, int], ...]:
        declared = self.work.snapshot.declared.get(self.node)
        return ((paths.declared(self.node), declared.version),) if declared is not None else ()

    # --- proven -------------------------------------------------------------------------------------------------------

    def _proven(self) -> None:
        if (not self._leaves() and self._returned()) or self._removed():
            return
        now = self._gathered() if self._more_is_wanted() else self._answers()
        if _noted(self.fence, now) != self.fence:
            self._write(_noted(self.fence, now))
        if self._more_is_wanted():
            self._order(now)
        if self.alive is None and self.fence.epoch and self.work.free(f"check {self.node}"):
            # nobody should take it back meanwhile: an order that was late, or a person
            self.work.ask(CutStorage(self.node, self.fence.id, self.fence.addresses))
        if self.alive is None and self._read_off() and not self._marked():
            self.work.ask(MarkDown(self.node, self.fence.id))

    def _answers(self) -> tuple[Evidence, ...]:
        """The evidence that was ordered, with what has come in."""
        ordered = {(one.kind, one.device) for one in self.fence.evidence}
        return tuple(one for one in self._gathered() if (one.kind, one.device) in ordered)

    def _leaves(self) -> bool:
        """Whether VMs are about to leave a node that is back: they were promised to others before it came."""
        if self.alive is None or self.work.policy.maintenance or not holds_by_itself(self.fence):
            return False
        return bool(plan_recovery(self.work.snapshot, self.node).moves)

    def _removed(self) -> bool:
        """Begin to lift the fence of a node that users have removed, if it cannot write any more even so."""
        if self.node in self.work.snapshot.nodes or claims_of(self.work.snapshot, self.node):
            return False
        known = _noted(self.fence, self._gathered())
        if not surely_off(known):
            why = "it was removed, and nothing proves that it is off: it is let go when somebody declares it dead"
            self.work.say(self.subject, f"keep {self.node} cut off", why)
            return True
        over = replace(known, state="lifting", why=f"{self.fence.why}; it was removed from the cluster")
        self._write(over, () if surely_off(self.fence) else self._declaration(), absent=not surely_off(self.fence))
        return True

    def _more_is_wanted(self) -> bool:
        """Whether a VM that needs more than a storage cut still waits here, or only a person's word is there.

        What was enough may be so no longer: the settings may have changed since.
        """
        if self.work.policy.maintenance:
            return False
        if self.fence.proven_by == "declared_dead" or not proof(self.work.policy, self.record, self.fence.evidence):
            return True
        for name in claims_of(self.work.snapshot, self.node):
            vm = self.work.snapshot.vms[name].value
            if vm is not None and vm.ha.power_off:
                return True
        return False

    def _read_off(self) -> bool:
        """Whether this leader itself has read that the node is off: an older reading says little about its OSDs now."""
        return any(
            isinstance(result, PowerRead) and (result.node, result.fence) == (self.node, self.fence.id) and result.off
            for result in self.work.view.results.values()
        )

    def _marked(self) -> bool:
        marked = self.work.view.results.get(f"mark down {self.node}")
        return isinstance(marked, MarkedDown) and marked.fence == self.fence.id

    # --- coming back --------------------------------------------------------------------------------------------------

    def _returned(self) -> bool:
        """Begin to lift the fence of a node that is back and clean; returns whether it is."""
        if self.alive is None or not self._clean():
            return False
        if self._orders_are_out():
            return True
        if self._write(replace(self.fence, state="lifting"), self._presence()):
            self.work.say(
                self.subject, f"let {self.node} come back", "its new agent found nothing running, or ended it"
            )
        return True

    def _orders_are_out(self) -> bool:
        """Whether an order for this fence may still be carried out, by this leader or by the one before."""
        view = self.work.view
        mine = any(name == f"cut {self.node}" or name.startswith(f"power {self.node} ") for name in view.busy)
        if mine or all(one.state == "proven" for one in self.fence.evidence):
            return mine
        until = view.elected_at + _LONGEST_ORDER
        if self.work.now < until:
            self.work.wake(until)
        return self.work.now < until

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
            again = _collecting(self.work, self.node, again)
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

    def _write(self, fence: Fence, rests_on: tuple[tuple[str, int], ...] = (), *, absent: bool = False) -> bool:
        return self.work.ask(UpdateFence(self.subject, rests_on, fence, self.version, absent))
