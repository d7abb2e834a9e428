# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single decisions: what the node sees, what it does about it, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pvc_node_agent.absorb import absorb
from pvc_node_agent.effects import (
    ChangeDomain,
    DeleteVolumes,
    DestroyDomain,
    DestroyStray,
    DestroyUnasked,
    Effect,
    EnsureVolumes,
    GrowDisks,
    HandOver,
    MigrateDomain,
    ReleaseDomain,
    RemoveRecords,
    ResetDomain,
    ResumeDomain,
    Right,
    ShutdownDomain,
    StartDomain,
    WriteStatus,
)
from pvc_node_agent.events import Blinded, DomainGone, Done, Failure
from pvc_node_agent.step import step
from pvc_node_agent.view import Domain, DomainState, Facts, Hypervisor, Link, Memory, Seen, Storage, View
from pvc_state.codec import Stored
from pvc_state.records import Claim, Disk, DiskSnapshot, Fence, Ha, Migration, NodeStatus, Vm, VmStatus

NOW = 1000.0
UUID = "4f0a9c56-40c2-4a1e-9f5e-1f5b0a1f7c11"
DISKS = (Disk("vms", "web1-disk0", 1 << 30),)
RECORD = Vm(uuid=UUID, memory=512, disks=DISKS, shutdown_timeout=30, generation=5, definition=4)
CLAIM = Claim("node1", 3)
RUNS = Domain(UUID, DomainState.RUNNING, epoch=3, definition=4)
RIGHT = Right(epoch=3, claim_version=11, record_version=7)
SEES = Link(session=1, blind_since=None, reason="")


def view(
    record: Vm | None = RECORD,
    domain: Domain | None = None,
    claim: Claim | None = CLAIM,
    remembered: Mapping[str, Any] | None = None,
    **changes: Any,
) -> View:
    """A node that sees one VM."""
    seen = Seen(
        claim=Stored(claim, 11) if claim else None,
        record=Stored(record, 7) if record else None,
    )
    memory = {"web1": Memory(record_version=7, **remembered)} if remembered is not None else {}
    fields: dict[str, Any] = {
        "link": SEES,
        "hypervisor": Hypervisor(up=True, reason=""),
        "said": "ready",
        "seen": {"web1": seen},
        "domains": {"web1": domain} if domain else {},
        "memory": memory,
    }
    return View(node="node1", **{**fields, **changes})


def wanted(state: str, **changes: Any) -> Vm:
    return replace(RECORD, state=state, **changes)


def state(domain_state: DomainState) -> Domain:
    return replace(RUNS, state=domain_state)


START = StartDomain("web1", RIGHT, RECORD)
BLIND = Link(1, blind_since=NOW - 5, reason="x")
MOVES = replace(CLAIM, to="node2", why="node1 is drained")
MIGRATE = MigrateDomain("web1", RIGHT, UUID, "node2", Migration())
DESTROY = DestroyUnasked("web1", UUID)
CUT = Storage(cut="Ceph has blocklisted 10.0.2.1")
STOPPING = {"stopping_since": NOW - 10, "press_at": NOW + 1}
KNOWN = {"volumes": DISKS}
HELD = replace(RUNS, held=True)
RELEASE = ReleaseDomain("web1", RIGHT, UUID)
LET_GO = "web1: let go: its guest was held for a snapshot, and is let go"
CLINGS = {"unreleased": "its agent is silent", "release_at": NOW + 4}
RESET = replace(RECORD, reset=1)
UNCHANGED = {"unchanged": "it clings", "change_tries": 3, "change_at": NOW + 4}

#: story: (view, effect, sentence)
TABLE: dict[str, tuple[View, Effect | None, str | None]] = {
    "its volumes come first": (
        view(),
        EnsureVolumes("web1", RIGHT, DISKS),
        "web1: ensure volumes: wanted started",
    ),
    "then it starts": (view(remembered=KNOWN), START, "web1: start: wanted started, and it does not run"),
    "without disks it starts at once": (
        view(replace(RECORD, disks=())),
        StartDomain("web1", RIGHT, replace(RECORD, disks=())),
        "web1: start: wanted started, and it does not run",
    ),
    "it runs: nothing to do": (view(domain=RUNS), None, None),
    "one effect at a time": (view(remembered=KNOWN, busy={"web1": START}), None, None),
    "while it is being read again nothing is decided": (
        view(seen={"web1": Seen(Stored(Claim("node1", 3), 11), Stored(RECORD, 7), stale=True)}, remembered=KNOWN),
        None,
        None,
    ),
    "a crash is followed by a pause": (
        view(remembered={**KNOWN, "ended": "its QEMU died"}),
        None,
        "web1: wait: its QEMU died; tried again after 1 s",
    ),
    "a pause lasts": (
        view(remembered={**KNOWN, "reason": "x", "attempts": 3, "retry_at": NOW + 1}),
        None,
        "web1: wait: x; tried again after 4 s",
    ),
    "and ends": (
        view(remembered={**KNOWN, "reason": "its QEMU died", "attempts": 1, "retry_at": NOW}),
        START,
        "web1: start: tried again after: its QEMU died",
    ),
    "paused by its storage": (
        view(domain=state(DomainState.IO_ERROR), remembered={"running_since": NOW - 5}),
        None,
        "web1: wait: its storage failed, and its guest was paused; tried again after 1 s",
    ),
    "found paused by its storage": (
        view(domain=state(DomainState.IO_ERROR)),
        ResumeDomain("web1", RIGHT, UUID),
        "web1: resume: its storage failed before this agent started",
    ),
    "held by an agent that has ended": (view(domain=HELD), RELEASE, LET_GO),
    "held, and to be off: it is to hear of that": (view(wanted("stopped"), HELD), RELEASE, LET_GO),
    "held, and ignored": (view(wanted("ignored"), HELD), RELEASE, LET_GO),
    "held, ignored, and not let go": (
        view(wanted("ignored"), HELD, remembered={**CLINGS, "release_tries": 1}),
        None,
        None,
    ),
    "held, and not let go at once": (
        view(domain=HELD, claim=MOVES, remembered={**CLINGS, "release_tries": 2}),
        None,
        "web1: wait: its agent is silent; tried again after 2 s",
    ),
    "held, not let go, and to move": (
        view(domain=HELD, claim=MOVES, remembered={**CLINGS, "release_tries": 3}),
        MIGRATE,
        "web1: move: is to move to node2: node1 is drained",
    ),
    "held, not let go, and tried again": (
        view(domain=HELD, remembered={**CLINGS, "release_tries": 3, "release_at": NOW}),
        RELEASE,
        LET_GO,
    ),
    "held, not let go, and to be off": (
        view(wanted("stopped"), HELD, remembered={**CLINGS, "release_tries": 1}),
        ShutdownDomain("web1", RIGHT, UUID),
        "web1: shut down: wanted stopped",
    ),
    "held, not let go, and to be off for long": (
        view(
            wanted("absent"),
            HELD,
            remembered={**CLINGS, "release_tries": 1, "stopping_since": NOW - 30, "release_at": 0},
        ),
        DestroyDomain("web1", RIGHT, UUID),
        "web1: destroy: wanted absent, and the guest did not power off within 30 s",
    ),
    "held, not let go, and to be restarted": (
        view(wanted("started", restart=1), HELD, remembered={**CLINGS, "release_tries": 1}),
        ShutdownDomain("web1", RIGHT, UUID),
        "web1: shut down: a restart was asked for",
    ),
    "held, and to be reset": (
        view(RESET, HELD),
        ResetDomain("web1", RIGHT, UUID, 1),
        "web1: reset: its user has asked for it",
    ),
    "held, and paused by its storage: its agent can say nothing": (
        view(domain=replace(HELD, state=DomainState.IO_ERROR)),
        ResumeDomain("web1", RIGHT, UUID),
        "web1: resume: its storage failed before this agent started",
    ),
    "held, not let go, and no snapshot is made of it": (
        view(replace(RECORD, snapshots=(DiskSnapshot("a"),)), HELD, remembered={**CLINGS, "release_tries": 3}),
        None,
        None,
    ),
    "a reset comes before other hardware": (
        view(RESET, replace(RUNS, definition=2), remembered=KNOWN),
        ResetDomain("web1", RIGHT, UUID, 1),
        "web1: reset: its user has asked for it",
    ),
    "a reset does not wait for other hardware": (
        view(RESET, replace(RUNS, definition=2), remembered={**KNOWN, **UNCHANGED}),
        ResetDomain("web1", RIGHT, UUID, 1),
        "web1: reset: its user has asked for it",
    ),
    "nor does a larger disk": (
        view(
            domain=replace(RUNS, definition=2, sizes=(("vms/web1-disk0", 1 << 29),)), remembered={**KNOWN, **UNCHANGED}
        ),
        GrowDisks("web1", RIGHT, UUID, DISKS),
        "web1: grow disks: vms/web1-disk0: a larger size is wanted",
    ),
    "its record has other hardware": (
        view(domain=replace(RUNS, definition=2), remembered=KNOWN),
        ChangeDomain("web1", RIGHT, RECORD),
        "web1: change: its record has other hardware than its guest",
    ),
    "its record has another disk": (
        view(domain=replace(RUNS, definition=2)),
        EnsureVolumes("web1", RIGHT, DISKS, to_start=False),
        "web1: ensure volumes: wanted started",
    ),
    "what it was changed to as far as it goes": (
        view(domain=replace(RUNS, definition=2, applied=4, pending=("xml changed",)), remembered=KNOWN),
        None,
        None,
    ),
    "changed again since": (
        view(domain=replace(RUNS, definition=2, applied=3, pending=("xml changed",)), remembered=KNOWN),
        ChangeDomain("web1", RIGHT, RECORD),
        "web1: change: its record has other hardware than its guest",
    ),
    "it is being changed": (
        view(domain=replace(RUNS, definition=2), remembered=KNOWN, busy={"web1": ChangeDomain("web1", RIGHT, RECORD)}),
        None,
        None,
    ),
    "other hardware, and ignored": (
        view(wanted("ignored"), domain=replace(RUNS, definition=2), remembered=KNOWN),
        None,
        None,
    ),
    "other hardware, but its guest has crashed": (
        view(domain=replace(RUNS, definition=2, state=DomainState.CRASHED), remembered=KNOWN),
        None,
        None,
    ),
    "other hardware, but to be moved": (
        view(domain=replace(RUNS, definition=2), claim=MOVES, remembered=KNOWN),
        MIGRATE,
        "web1: move: is to move to node2: node1 is drained",
    ),
    "paused by an administrator": (view(domain=state(DomainState.PAUSED)), None, None),
    "wanted stopped": (
        view(wanted("stopped"), RUNS),
        ShutdownDomain("web1", RIGHT, UUID),
        "web1: shut down: wanted stopped",
    ),
    "asked, and given time": (view(wanted("stopped"), RUNS, remembered=STOPPING), None, None),
    "asked again": (
        view(wanted("stopped"), RUNS, remembered={**STOPPING, "press_at": NOW}),
        ShutdownDomain("web1", RIGHT, UUID),
        "web1: shut down: wanted stopped",
    ),
    "its time is up": (
        view(wanted("stopped"), RUNS, remembered={**STOPPING, "stopping_since": NOW - 30}),
        DestroyDomain("web1", RIGHT, UUID),
        "web1: destroy: wanted stopped, and the guest did not power off within 30 s",
    ),
    "stopped: its volumes are made": (
        view(wanted("stopped")),
        EnsureVolumes("web1", RIGHT, DISKS, to_start=False),
        "web1: ensure volumes: wanted stopped",
    ),
    "stopped, as wanted": (view(wanted("stopped"), remembered=KNOWN), None, None),
    "disabled: not even its volumes": (view(wanted("disabled")), None, None),
    "disabled, and it runs": (
        view(wanted("disabled"), RUNS),
        ShutdownDomain("web1", RIGHT, UUID),
        "web1: shut down: wanted disabled",
    ),
    "bound elsewhere": (
        view(wanted("stopped", node="node2")),
        HandOver("web1", RIGHT, "node2"),
        "web1: hand over: bound to node2, and it does not run here",
    ),
    "bound elsewhere, but it runs": (view(replace(RECORD, node="node2"), RUNS), None, None),
    "wanted absent, and it runs": (
        view(wanted("absent"), RUNS),
        ShutdownDomain("web1", RIGHT, UUID),
        "web1: shut down: wanted absent",
    ),
    "wanted absent": (
        view(wanted("absent")),
        RemoveRecords("web1", RIGHT),
        "web1: remove: wanted absent, and nothing of it runs; its volumes stay: vms/web1-disk0",
    ),
    "wanted absent with its volumes": (
        view(wanted("absent", delete_volumes=True)),
        DeleteVolumes("web1", RIGHT, DISKS),
        "web1: delete volumes: deleted together with its volumes vms/web1-disk0",
    ),
    "its volumes are gone": (
        view(wanted("absent", delete_volumes=True), remembered={"volumes_gone": True}),
        RemoveRecords("web1", RIGHT),
        "web1: remove: wanted absent, and nothing of it runs",
    ),
    "another node's": (view(claim=Claim("node2", 4)), None, None),
    "another node's, but it runs here": (
        view(domain=RUNS, claim=Claim("node2", 4)),
        DestroyStray("web1", UUID, 3),
        "web1: destroy: it runs here, but node2 holds its claim (epoch 4)",
    ),
    "nobody's, but it runs here": (
        view(domain=RUNS, claim=None, record=None),
        DestroyStray("web1", UUID, 3),
        "web1: destroy: it runs here, but nobody may run it: it has no claim",
    ),
    "of a former epoch": (
        view(domain=RUNS, claim=Claim("node1", 5)),
        DestroyStray("web1", UUID, 3),
        "web1: destroy: its domain was started under epoch 3, the claim is of epoch 5",
    ),
    "a claim without a record": (
        view(record=None),
        None,
        "web1: hold: there is a claim for it but no record: nothing is started or stopped",
    ),
    "a state of a later version": (
        view(wanted("hibernated"), RUNS),
        None,
        "web1: hold: state hibernated is not known to this agent: install a newer one",
    ),
    "ignored, and it does not run": (view(wanted("ignored"), remembered=KNOWN), None, None),
    "ignored, and it runs": (view(wanted("ignored"), RUNS), None, None),
    "it did not start too often": (
        view(replace(RECORD, ha=Ha(max_local_restarts=1)), remembered={**KNOWN, "failures": 2, "reason": "no bridge"}),
        None,
        "web1: give up: given up after it failed 2 times in a row on this node, the last time: no bridge",
    ),
    "the last crash was one too many": (
        view(replace(RECORD, ha=Ha(max_local_restarts=0)), remembered={**KNOWN, "ended": "its QEMU died"}),
        None,
        "web1: give up: given up after it failed once in a row on this node, the last time: its QEMU died",
    ),
    "without a limit it is tried for ever": (
        view(replace(RECORD, ha=Ha(max_local_restarts=-1)), remembered={**KNOWN, "failures": 99}),
        StartDomain("web1", RIGHT, replace(RECORD, ha=Ha(max_local_restarts=-1))),
        "web1: start: wanted started, and it does not run",
    ),
    "given up, but its claim has been elsewhere since": (
        view(remembered={**KNOWN, "failures": 9, "given_up": "given up", "epoch": 1}),
        START,
        "web1: start: wanted started, and it does not run",
    ),
    "to be moved while it runs": (
        view(domain=RUNS, claim=MOVES),
        MIGRATE,
        "web1: move: is to move to node2: node1 is drained",
    ),
    "on its way": (view(domain=RUNS, claim=MOVES, busy={"web1": MIGRATE}), None, None),
    "as many as may be are on their way": (
        view(domain=RUNS, claim=MOVES, busy={f"vm{index}": MIGRATE for index in range(2)}),
        None,
        None,
    ),
    "to be moved, and nothing runs": (
        view(claim=MOVES),
        HandOver("web1", RIGHT, "node2"),
        "web1: hand over: is to move to node2: node1 is drained",
    ),
    "to be moved, and its guest has been": (
        view(claim=MOVES, remembered={"moved": "node2", "epoch": 3}),
        HandOver("web1", RIGHT, "node2", with_guest=True),
        "web1: hand over: is to move to node2: node1 is drained",
    ),
    "to be moved, and its guest has been, but elsewhere": (
        view(claim=MOVES, remembered={"moved": "node3", "epoch": 3}),
        HandOver("web1", RIGHT, "node3", with_guest=True),
        "web1: hand over: its guest waits on node3, and can be nowhere else",
    ),
    "stopped, and to be moved": (
        view(wanted("stopped"), claim=MOVES),
        HandOver("web1", RIGHT, "node2"),
        "web1: hand over: is to move to node2: node1 is drained",
    ),
    "given up, and to be moved": (
        view(claim=MOVES, remembered={"failures": 9, "given_up": "given up", "epoch": 3}),
        HandOver("web1", RIGHT, "node2"),
        "web1: hand over: is to move to node2: node1 is drained",
    ),
    "cannot be moved while it runs": (
        view(replace(RECORD, migration=Migration("shutdown")), RUNS, MOVES),
        ShutdownDomain("web1", RIGHT, UUID),
        "web1: shut down: is to move to node2: node1 is drained",
    ),
    "its move has failed: it runs on": (
        view(domain=RUNS, claim=MOVES, remembered={"refused": 11, "refusal": "no route"}),
        None,
        None,
    ),
    "asked anew after its move has failed": (
        view(domain=RUNS, claim=MOVES, remembered={"refused": 10, "refusal": "no route"}),
        MIGRATE,
        "web1: move: is to move to node2: node1 is drained",
    ),
    "absent, and to be moved": (
        view(wanted("absent"), claim=MOVES),
        RemoveRecords("web1", RIGHT),
        "web1: remove: wanted absent, and nothing of it runs; its volumes stay: vms/web1-disk0",
    ),
    "on its way here": (
        view(domain=replace(RUNS, state=DomainState.ARRIVED, epoch=4), claim=Claim("node2", 3, to="node1")),
        None,
        None,
    ),
    "on its way here, it says, but not from this claim": (
        view(domain=replace(RUNS, state=DomainState.ARRIVED, epoch=3), claim=Claim("node2", 3, to="node1")),
        DestroyStray("web1", UUID, 3),
        "web1: destroy: it runs here, but node2 holds its claim (epoch 3)",
    ),
    "arrived, and its claim has followed": (
        view(domain=state(DomainState.ARRIVED), claim=replace(CLAIM, with_guest=3)),
        ResumeDomain("web1", RIGHT, UUID),
        "web1: resume: has arrived here, and is let run on",
    ),
    "arrived, but its claim was taken from its last owner": (
        view(domain=state(DomainState.ARRIVED), claim=replace(CLAIM, with_guest=2)),
        DestroyDomain("web1", RIGHT, UUID),
        "web1: destroy: it waits here, but its last owner has not handed it over, and may have let its own guest run on",
    ),
    "arrived, but broken": (
        view(
            domain=state(DomainState.ARRIVED),
            claim=replace(CLAIM, with_guest=3),
            remembered={"attempts": 1, "reason": "half of it", "epoch": 3},
        ),
        DestroyDomain("web1", RIGHT, UUID),
        "web1: destroy: it has been moved here, but cannot run on: half of it",
    ),
    "its last owner was cut off": (
        view(claim=replace(CLAIM, barrier=50), remembered={**KNOWN, "barrier": 49}),
        EnsureVolumes("web1", RIGHT, DISKS, barrier=50),
        "web1: ensure volumes: wanted started",
    ),
    "the storage is cut": (
        view(domain=RUNS, storage=CUT, said="the storage of this node is cut: Ceph has blocklisted 10.0.2.1"),
        DESTROY,
        "web1: destroy: the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
    ),
    "the storage is cut, and the store is out of sight": (
        view(
            domain=RUNS,
            storage=CUT,
            link=BLIND,
            said="the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
        ),
        DESTROY,
        "web1: destroy: the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
    ),
    "the storage is cut while it moves": (
        view(
            domain=RUNS,
            storage=CUT,
            claim=MOVES,
            busy={"web1": MIGRATE},
            said="the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
        ),
        DESTROY,
        "web1: destroy: the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
    ),
    "the storage is cut while the store is asked for something else": (
        view(
            domain=RUNS,
            storage=CUT,
            link=BLIND,
            busy={"web1": ShutdownDomain("web1", RIGHT, UUID)},
            said="the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
        ),
        DESTROY,
        "web1: destroy: the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
    ),
    "the storage is cut while it starts": (
        view(
            domain=RUNS,
            storage=CUT,
            busy={"web1": START},
            said="the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
        ),
        None,
        None,
    ),
    "the storage is cut, and what failed before is not waited for": (
        view(
            domain=state(DomainState.IO_ERROR),
            storage=CUT,
            remembered={"reason": "its storage failed", "attempts": 7, "retry_at": NOW + 60},
            said="the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
        ),
        DESTROY,
        "web1: destroy: the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
    ),
    "the storage is cut, and it is ignored": (
        view(
            wanted("ignored"),
            domain=RUNS,
            storage=CUT,
            said="the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
        ),
        DESTROY,
        "web1: destroy: the storage of this node is cut: Ceph has blocklisted 10.0.2.1",
    ),
    "a slow storage is not a cut one": (
        view(domain=RUNS, storage=Storage(slow="Ceph has not answered for 5 s")),
        None,
        "slow storage: Ceph has not answered for 5 s",
    ),
    "a node that is blind does nothing": (
        view(
            remembered=KNOWN, link=Link(1, blind_since=NOW - 5, reason="the connection to the store is lost"), said=""
        ),
        None,
        "blind: the connection to the store is lost; what runs here runs on, and nothing is started or stopped",
    ),
    "blind, and it runs without a right": (
        view(domain=RUNS, claim=None, link=Link(1, blind_since=NOW - 5, reason="x"), said="blind x"),
        None,
        None,
    ),
    "without libvirt nothing is done": (
        view(remembered=KNOWN, hypervisor=Hypervisor(False, "libvirt does not answer: refused")),
        None,
        "without hypervisor: libvirt does not answer: refused",
    ),
}


@pytest.mark.parametrize("story", TABLE)
def test_a_decision(story: str) -> None:
    before, effect, sentence = TABLE[story]
    outcome = step(NOW, before)
    assert list(outcome.effects) == ([effect] if effect else [])
    assert [str(each) for each in outcome.sentences] == ([sentence] if sentence else [])


@pytest.mark.parametrize("story", TABLE)
def test_a_decision_is_made_and_told_once(story: str) -> None:
    """Looking again at once changes nothing: what is under way goes on, and what was said is said."""
    before = TABLE[story][0]
    after = before.after(step(NOW, before))
    again = step(NOW, after)
    assert again.effects == ()
    assert again.sentences == ()
    assert step(NOW, after.after(again)).memory == again.memory


def test_a_view_is_not_changed() -> None:
    before = view(remembered=KNOWN)
    copy = repr(before)
    step(NOW, before)
    assert repr(before) == copy


# --- what is published ------------------------------------------------------------------------------------------------

FACTS = Facts("0.1.0", "boot", 8192, 4, pools=("vms",), bridges=("br0",))
#: What the store shows of the node before it holds any VM.
TOLD = NodeStatus("0.1.0", addresses=FACTS.addresses)


def published(before: View) -> NodeStatus:
    (effect,) = (effect for effect in step(NOW, before).effects if isinstance(effect, WriteStatus))
    return effect.status


def test_the_node_is_described() -> None:
    status = published(view(domain=RUNS, facts=FACTS))
    assert (status.agent, status.boot_id, status.memory, status.cpus) == ("0.1.0", "boot", 8192, 4)
    assert (status.pools, status.bridges) == (("vms",), ("br0",))
    console = "/var/log/libvirt/qemu/web1-console.log"
    assert status.vms == {"web1": VmStatus("running", 3, 5, "runs", console=console, definition=4)}


def test_what_is_published_is_not_written_again() -> None:
    before = view(domain=RUNS, facts=FACTS)
    assert step(NOW, replace(before, published=published(before))).effects == ()


def test_the_pools_known_last_are_kept_until_ceph_answers() -> None:
    before = view(facts=replace(FACTS, pools=None), published=NodeStatus("0.1.0", pools=("fast",)))
    assert published(before).pools == ("fast",)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (view(domain=RUNS, facts=FACTS), ("running", 5, "runs")),
        (
            view(domain=replace(RUNS, definition=2, applied=4, pending=("machine q35 -> pc",)), facts=FACTS),
            ("running", 5, "runs; when it is stopped and started again: machine q35 -> pc"),
        ),
        (
            view(domain=replace(RUNS, definition=2, applied=3, pending=("machine q35 -> pc",)), facts=FACTS),
            ("running", 0, "makes sure that its volumes exist: vms/web1-disk0"),
        ),
        (
            view(replace(RECORD, node="node2"), RUNS, facts=FACTS),
            ("running", 5, "runs; is bound to node2, and moves there when it has been stopped"),
        ),
        (
            view(domain=state(DomainState.PAUSED), facts=FACTS),
            ("running", 5, "its guest is paused, and not by the agent"),
        ),
        (
            view(domain=state(DomainState.POWERING_OFF), facts=FACTS),
            ("running", 5, "its guest is powering off; it will be started again when it has"),
        ),
        (view(facts=FACTS), ("starting", 0, "waits for its turn to be started")),
        (view(facts=FACTS, published=TOLD), ("starting", 0, "makes sure that its volumes exist: vms/web1-disk0")),
        (view(facts=FACTS, published=TOLD, remembered=KNOWN), ("starting", 0, "is being started")),
        (
            view(facts=FACTS, busy={f"vm{index}": START for index in range(4)}),
            ("starting", 0, "waits for its turn to be started"),
        ),
        (
            view(
                facts=FACTS,
                remembered={**KNOWN, "overdue": "libvirt has not started it within 60 s"},
                busy={"web1": START},
            ),
            ("starting", 0, "libvirt has not started it within 60 s"),
        ),
        (
            view(wanted("stopped"), RUNS, facts=FACTS),
            ("stopping", 0, "its guest was asked to power off, and is destroyed after 30 s"),
        ),
        (view(wanted("stopped"), facts=FACTS, remembered=KNOWN), ("stopped", 5, "stopped, as wanted")),
        (view(wanted("disabled"), facts=FACTS), ("stopped", 5, "disabled")),
        (
            # a domain may be there in a moment: nobody is told yet that its disks are free
            view(wanted("disabled"), facts=FACTS, remembered=KNOWN, busy={"web1": START}),
            ("stopped", 0, "is being started"),
        ),
        (
            view(record=None, facts=FACTS),
            ("failed", 0, "there is a claim for it but no record: nothing is started or stopped"),
        ),
        (
            view(facts=FACTS, hypervisor=Hypervisor(False, "libvirt is away"), said="without hypervisor"),
            ("backoff", 0, "libvirt is away; nothing is started or stopped meanwhile"),
        ),
    ],
)
def test_a_vm_is_described(before: View, expected: tuple[str, int, str]) -> None:
    status = published(before).vms["web1"]
    assert (status.state, status.generation, status.reason) == expected


@pytest.mark.parametrize(
    ("fence", "effects", "decision"),
    [
        ("held", [START], "start"),
        ("collecting", [], "sweep"),
        ("proven", [], "sweep"),
        ("lifting", [], "sweep"),
        ("of a later version", [], "sweep"),
    ],
)
def test_a_fenced_node_starts_nothing(fence: str, effects: list[Effect], decision: str) -> None:
    fenced = view(remembered=KNOWN, fence=Stored(Fence("7-1", fence, "its session has ended"), 0))
    outcome = step(NOW, fenced)
    assert list(outcome.effects) == effects
    assert outcome.sentences[0].decision == decision


@pytest.mark.parametrize("record", [RECORD, wanted("ignored"), wanted("stopped"), None])
def test_a_fenced_node_destroys_everything(record: Vm | None) -> None:
    fenced = view(record, RUNS, fence=Stored(Fence("7-1", "collecting", "its session has ended"), 0))
    assert step(NOW, fenced).effects == (DESTROY,)
    assert step(NOW, replace(fenced, link=BLIND)).effects == ()


def test_a_damaged_fence_starts_and_moves_nothing_and_destroys_nothing() -> None:
    damaged: Stored[Fence] = Stored(None, 0, "no JSON")
    assert step(NOW, view(remembered=KNOWN, fence=damaged)).effects == ()
    assert step(NOW, view(domain=RUNS, claim=MOVES, fence=damaged)).effects == ()
    assert step(NOW, view(domain=state(DomainState.ARRIVED), fence=damaged)).effects == ()


@pytest.mark.parametrize(
    ("changes", "clean"),
    [
        ({}, "7-1"),
        ({"domain": RUNS}, ""),
        ({"busy": {"web2": replace(START, vm="web2")}}, ""),
        ({"hypervisor": Hypervisor(False, "away")}, ""),
        ({"domains": {"strange": RUNS}}, ""),
    ],
)
def test_a_fenced_node_is_clean_when_nothing_runs_or_can(changes: dict[str, Any], clean: str) -> None:
    fence = Stored(Fence("7-1", "proven", "its session has ended"), 0)
    assert published(view(facts=FACTS, fence=fence, **changes)).clean == clean


def test_a_failed_move_is_told_and_not_repeated() -> None:
    after = absorb(
        NOW, view(domain=RUNS, claim=MOVES, busy={"web1": MIGRATE}), Done(MIGRATE, Failure.FAILED, "no route")
    )
    status = published(replace(after, facts=FACTS)).vms["web1"]
    assert (status.state, status.refused) == ("running", "node2")
    assert status.reason == "runs; was not moved to node2: no route"


def test_a_move_that_the_end_of_its_domain_cuts_short_ends_nothing_else() -> None:
    moving = view(domain=RUNS, claim=MOVES, storage=CUT, busy={"web1": MIGRATE})
    swept = moving.after(step(NOW, moving))
    assert swept.busy == {"web1": DESTROY}
    assert absorb(NOW, swept, Done(MIGRATE, Failure.FAILED, "it is gone")).busy == {"web1": DESTROY}


@pytest.mark.parametrize(("failure", "counts"), [(Failure.FAILED, 1), (Failure.AWAY, 0)])
def test_only_the_vms_own_failures_count(failure: Failure, counts: int) -> None:
    after = absorb(NOW, view(remembered=KNOWN, busy={"web1": START}), Done(START, failure, "x"))
    assert after.memory["web1"].failures == counts


def test_a_guest_that_has_arrived_outlives_a_libvirt_that_was_away() -> None:
    resume = ResumeDomain("web1", RIGHT, UUID)
    claim = replace(CLAIM, with_guest=CLAIM.epoch)
    arrived = view(domain=state(DomainState.ARRIVED), claim=claim, remembered=KNOWN, busy={"web1": resume})
    later = absorb(NOW, arrived, Done(resume, Failure.AWAY, "libvirt is away"))
    assert step(NOW, later).effects == ()
    assert step(NOW + 5, later).effects == (resume,)


# --- events -----------------------------------------------------------------------------------------------------------


def test_blindness_is_measured_from_its_begin() -> None:
    blind = absorb(NOW, view(), Blinded("the connection to the store is lost"))
    later = absorb(NOW + 50, blind, Blinded("the store is out of reach", "refused"))
    assert later.link.blind_since == NOW
    assert not later.link.sees


def test_the_end_of_a_domain_that_the_agent_destroys_is_no_crash() -> None:
    destroying = view(wanted("stopped"), RUNS, busy={"web1": DestroyDomain("web1", RIGHT, UUID)})
    assert absorb(NOW, destroying, DomainGone("web1", "it was destroyed")).memory == {}
    assert absorb(NOW, view(domain=RUNS), DomainGone("web1", "its QEMU died")).memory["web1"].ended == "its QEMU died"


def test_the_end_of_a_strange_domain_is_nobodys_business() -> None:
    before = view()
    assert absorb(NOW, before, DomainGone("other", "its QEMU died")) == before


@pytest.mark.parametrize("failure", [Failure.REFUSED, Failure.BLIND])
def test_what_was_refused_is_not_decided_again_on_the_same_grounds(failure: Failure) -> None:
    before = view(remembered=KNOWN, busy={"web1": START})
    after = absorb(NOW, before, Done(START, failure, "web1 was changed meanwhile"))
    assert after.busy == {}
    assert step(NOW, after).effects == ()


@pytest.mark.parametrize("effect", [HandOver("web1", RIGHT, "node2"), RemoveRecords("web1", RIGHT)])
def test_what_the_agent_changed_in_the_store_is_not_changed_twice(effect: HandOver | RemoveRecords) -> None:
    gone = wanted("absent") if isinstance(effect, RemoveRecords) else wanted("stopped", node="node2")
    after = absorb(NOW, view(gone, busy={"web1": effect}), Done(effect))
    assert step(NOW, after).effects == ()


def test_a_failed_start_looks_at_the_volumes_again() -> None:
    after = absorb(NOW, view(remembered=KNOWN, busy={"web1": START}), Done(START, Failure.FAILED, "no such image"))
    paused = after.after(step(NOW, after))
    assert step(NOW + 1, paused).effects == (EnsureVolumes("web1", RIGHT, DISKS),)


def test_nothing_starts_before_the_store_shows_where_its_clients_come_from() -> None:
    facts = replace(FACTS, addresses={"storage": "10.0.2.11"})
    moved = view(facts=facts, published=replace(TOLD, addresses={"storage": "10.0.2.99"}), remembered=KNOWN)
    assert not any(isinstance(effect, StartDomain) for effect in step(NOW, moved).effects)
    seen = Storage(address="10.0.3.11")
    other = view(facts=facts, published=replace(TOLD, addresses=facts.addresses), storage=seen, remembered=KNOWN)
    assert not any(isinstance(effect, StartDomain) for effect in step(NOW, other).effects)
    known = replace(TOLD, addresses=facts.addresses, storage_address="10.0.3.11")
    told = view(facts=facts, published=known, storage=seen, remembered=KNOWN)
    assert any(isinstance(effect, StartDomain) for effect in step(NOW, told).effects)


def test_other_hardware_is_tried_again_in_time_whatever_else_waits() -> None:
    sick = {**KNOWN, **UNCHANGED, "reason": "x", "attempts": 9, "retry_at": NOW + 60}
    before = view(RESET, replace(RUNS, definition=2), remembered=sick)
    outcome = step(NOW, before)
    assert (outcome.effects, outcome.wake_at) == ((), NOW + 4)


def test_a_guest_that_is_not_let_go_is_tried_again_in_time() -> None:
    remembered = {**CLINGS, "release_tries": 3}
    for state in ("started", "ignored"):
        assert step(NOW, view(wanted(state), HELD, remembered=remembered)).wake_at == NOW + 4


def test_a_guest_that_was_not_let_go_is_a_matter_of_its_own() -> None:
    before = view(domain=HELD, remembered={}, busy={"web1": RELEASE})
    after = absorb(NOW, before, Done(RELEASE, Failure.FAILED, "silent"))
    memory = after.memory["web1"]
    assert (memory.unreleased, memory.release_tries, memory.release_at) == ("silent", 1, NOW + 1)
    assert (memory.trouble, memory.attempts) == ("", 0)
    free = step(NOW, replace(after, domains={"web1": RUNS})).memory["web1"]
    assert (free.unreleased, free.release_tries, free.release_at) == ("", 0, 0.0)
