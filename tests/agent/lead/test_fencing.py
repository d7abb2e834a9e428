# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the leader does about a node that is gone: one test for each row of the table in docs/safety.md."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvc_node_agent.lead.effects import (
    BeginFence,
    CutStorage,
    EndFence,
    MarkDown,
    PowerOff,
    Recover,
    RestoreStorage,
    UpdateFence,
)
from pvc_node_agent.lead.events import (
    AliveSeen,
    Blinded,
    Deposed,
    Elected,
    PowerRead,
    StorageCut,
    StorageRestored,
    TreeSeen,
    Written,
)
from pvc_state.codec import Stored
from pvc_state.records import (
    Claim,
    Declaration,
    Evidence,
    Fence,
    FenceDevice,
    Ha,
    Health,
    Node,
    Service,
    Settings,
    SignOff,
    VmStatus,
)
from pvc_state.snapshot import Snapshot
from tests.agent.lead.builders import NODES, Led, address, cluster, fenced, policy, settings, status, with_vms

TWO = ("node1", "node2")
CUT = Evidence("storage_cut", "collecting", "to be refused by Ceph")
COLLECTING = Fence(
    "f1", "collecting", "its session has ended", addresses=(address("node3"),), evidence=(CUT,), cut=True
)
PROVEN = replace(
    COLLECTING,
    state="proven",
    evidence=(replace(CUT, state="proven", epoch=12),),
    proven_by="storage_cut",
    epoch=12,
)
BMC = FenceDevice("bmc", "ipmi", "10.0.9.3", "fence", "bmc3")
POWER = Evidence("powered_off", "collecting", "ipmi at 10.0.9.3", "bmc")


#: A VM on the node that dies, and one on each that may.
WEB = {"web1": "node3"}
EACH = {f"web{number}": f"node{number}" for number in (3, 4, 5)}


def with_device(snapshot: Snapshot, *devices: FenceDevice, together: bool = False) -> Snapshot:
    node = Node(coordinator=True, fence=devices, fence_together=together)
    return replace(snapshot, nodes={**snapshot.nodes, "node3": Stored(node, 4)})


def back(snapshot: Snapshot, clean: str) -> Snapshot:
    return replace(snapshot, status={**snapshot.status, "node3": Stored(status("node3", clean=clean), 8)})


def test_a_healthy_cluster_is_left_alone() -> None:
    assert Led(cluster()).effects() == ()


def test_who_does_not_lead_does_nothing() -> None:
    led = Led(cluster(alive=TWO))
    led.see(Deposed("another leads"))
    assert led.effects() == ()


def test_a_node_whose_session_ended_is_fenced() -> None:
    (begin,) = Led(with_vms(cluster(alive=TWO), WEB)).effects()
    assert isinstance(begin, BeginFence)
    assert (begin.subject, begin.alive) == ("node node3", None)
    assert begin.rests_on == (("/status/node3", 7),)
    fence = begin.fence
    assert (fence.state, fence.cut, fence.addresses) == ("collecting", True, (address("node3"),))
    assert [(one.kind, one.state) for one in fence.evidence] == [("storage_cut", "collecting")]


@pytest.mark.parametrize("state", ["disabled", "ignored"])
def test_a_node_from_which_nothing_is_to_be_recovered_is_left_alone(state: str) -> None:
    assert Led(cluster(alive=TWO)).effects() == ()
    assert Led(with_vms(cluster(alive=TWO), WEB, state=state)).effects() == ()


def test_a_node_that_a_vm_was_on_its_way_to_is_fenced() -> None:
    snapshot = with_vms(cluster(alive=TWO), {"web1": "node2"})
    moving = replace(snapshot, claims={"web1": Stored(Claim("node2", 3, to="node3"), 5)})
    assert any(isinstance(effect, BeginFence) for effect in Led(moving).effects())


def test_a_node_whose_power_can_be_taken_is_fenced_for_its_osds() -> None:
    assert len(Led(with_device(cluster(alive=TWO), BMC)).effects()) == 1


def test_a_vm_that_has_given_up_needs_no_fence() -> None:
    snapshot = with_vms(cluster(alive=TWO), WEB, ha=Ha(max_moves=0))
    gone = status("node3", vms={"web1": VmStatus("failed", 3, 1, "given up")})
    assert Led(replace(snapshot, status={**snapshot.status, "node3": Stored(gone, 7)})).effects() == ()


def test_a_node_that_is_back_is_let_in_once_its_vms_have_left() -> None:
    proven = replace(COLLECTING, state="proven", evidence=(replace(CUT, state="proven"),), proven_by="storage_cut")
    promised = back(fenced(with_vms(cluster(), WEB), "node3", proven), clean="f1")
    assert [type(effect) for effect in Led(promised).effects()] == [Recover]
    left = back(fenced(with_vms(cluster(), {"web1": "node1"}), "node3", proven), clean="f1")
    (update,) = Led(left).effects()
    assert isinstance(update, UpdateFence)
    assert update.fence.state == "lifting"


def test_the_record_is_written_before_anything_is_ordered() -> None:
    led = Led(with_vms(cluster(alive=TWO), WEB))
    (begin,) = led.effects()
    assert led.effects() == ()
    assert isinstance(begin, BeginFence)
    led.see(Written(begin))
    assert led.effects() == (CutStorage("node3", begin.fence.id, (address("node3"),)),)


def test_all_kinds_of_evidence_are_collected_at_once() -> None:
    snapshot = with_device(cluster(alive=TWO), BMC)
    led = Led(fenced(snapshot, "node3", replace(COLLECTING, evidence=(CUT, POWER))))
    assert led.effects() == (CutStorage("node3", "f1", (address("node3"),)), PowerOff("node3", "f1", BMC))


def test_a_storage_cut_proves() -> None:
    led = Led(fenced(cluster(alive=TWO), "node3", COLLECTING))
    led.effects()
    led.see(StorageCut("node3", "f1", 41))
    (update,) = led.effects()
    assert isinstance(update, UpdateFence)
    assert (update.fence.state, update.fence.proven_by, update.fence.epoch) == ("proven", "storage_cut", 41)


def test_the_answer_for_another_fence_proves_nothing() -> None:
    led = Led(fenced(cluster(alive=TWO), "node3", COLLECTING))
    led.effects()
    led.see(StorageCut("node3", "an older one", 41))
    assert not any(isinstance(effect, UpdateFence) for effect in led.effects())


def test_what_failed_is_noted_and_tried_again() -> None:
    led = Led(fenced(cluster(alive=TWO), "node3", COLLECTING))
    led.effects()
    led.see(StorageCut("node3", "f1", 0, "no monitor answers"))
    outcome = led.step()
    (update,) = outcome.effects
    assert isinstance(update, UpdateFence)
    assert update.fence.evidence[0].state == "failed"
    assert update.fence.evidence[0].why == "no monitor answers"
    assert outcome.wake_at is not None
    led.see(Written(update))
    led.now = outcome.wake_at
    assert led.effects() == (CutStorage("node3", "f1", (address("node3"),)),)


def test_an_accepted_order_is_no_evidence() -> None:
    snapshot = policy(with_device(cluster(alive=TWO), BMC), evidence=("powered_off",))
    led = Led(fenced(snapshot, "node3", replace(COLLECTING, evidence=(POWER,), cut=False)))
    assert led.effects() == (PowerOff("node3", "f1", BMC),)
    led.see(PowerRead("node3", "f1", "bmc", off=False, why="it says ok, and reads back on"))
    (update,) = led.effects()
    assert isinstance(update, UpdateFence)
    assert update.fence.state == "collecting"


@pytest.mark.parametrize(("together", "proven"), [(False, True), (True, False)])
def test_two_power_supplies(together: bool, proven: bool) -> None:
    other = replace(BMC, name="pdu")
    snapshot = policy(with_device(cluster(alive=TWO), BMC, other, together=together), evidence=("powered_off",))
    evidence = (POWER, replace(POWER, device="pdu"))
    led = Led(fenced(snapshot, "node3", replace(COLLECTING, evidence=evidence, cut=False)))
    ordered = led.effects()
    assert len(ordered) == (2 if together else 1)
    led.see(PowerRead("node3", "f1", "bmc", off=True, why="off"))
    (update,) = (effect for effect in led.effects() if isinstance(effect, UpdateFence))
    assert (update.fence.state == "proven") is proven


def test_devices_in_order_the_next_after_one_that_failed() -> None:
    other = replace(BMC, name="pdu")
    snapshot = policy(with_device(cluster(alive=TWO), BMC, other), evidence=("powered_off",))
    led = Led(fenced(snapshot, "node3", replace(COLLECTING, evidence=(POWER, replace(POWER, device="pdu")), cut=False)))
    assert led.effects() == (PowerOff("node3", "f1", BMC),)
    led.see(PowerRead("node3", "f1", "bmc", off=False, why="no answer"))
    assert PowerOff("node3", "f1", other) in led.effects()


def test_a_policy_without_storage_cuts_orders_none() -> None:
    snapshot = policy(with_device(cluster(alive=TWO), BMC), evidence=("powered_off",))
    (begin,) = Led(snapshot).effects()
    assert isinstance(begin, BeginFence)
    assert not begin.fence.cut
    assert [one.kind for one in begin.fence.evidence] == ["powered_off"]


def test_a_node_that_never_told_its_addresses_cannot_be_cut_off() -> None:
    snapshot = with_vms(cluster(alive=TWO), WEB)
    silent = replace(snapshot, status={**snapshot.status, "node3": Stored(status("node3", addresses={}), 7)})
    (begin,) = Led(silent).effects()
    assert isinstance(begin, BeginFence)
    assert (begin.fence.cut, begin.fence.evidence[0].state) == (False, "failed")


def test_an_operator_declares_it_dead() -> None:
    snapshot = fenced(cluster(alive=TWO), "node3", replace(COLLECTING, evidence=(replace(CUT, state="failed"),)))
    declared = replace(snapshot, declared={"node3": Stored(Declaration("f1", "anna", "pulled the plug"), 3)})
    (update,) = (effect for effect in Led(declared).effects() if isinstance(effect, UpdateFence))
    assert (update.fence.state, update.fence.proven_by) == ("proven", "declared_dead")
    assert update.rests_on == (("/declared/node3", 3),)


def test_a_declaration_for_another_fence_is_none() -> None:
    snapshot = fenced(cluster(alive=TWO), "node3", COLLECTING)
    declared = replace(snapshot, declared={"node3": Stored(Declaration("f0", "anna", "an older death"), 3)})
    assert not any(isinstance(effect, UpdateFence) for effect in Led(declared).effects())


class TestSignedOff:
    def leaving(self, recover: bool) -> Snapshot:
        snapshot = with_vms(cluster(alive=TWO), {"web1": "node3"})
        word = SignOff(recover, "it shuts down")
        return replace(snapshot, status={**snapshot.status, "node3": Stored(status("node3", signed_off=word), 9)})

    def test_its_vms_are_taken_over_on_its_word(self) -> None:
        (begin,) = Led(self.leaving(recover=True)).effects()
        assert isinstance(begin, BeginFence)
        assert (begin.fence.state, begin.fence.proven_by, begin.fence.cut) == ("proven", "signed_off", False)
        assert begin.rests_on == (("/status/node3", 9),)

    def test_its_vms_wait_for_it(self) -> None:
        outcome = Led(self.leaving(recover=False)).step()
        assert outcome.effects == ()
        assert "it has signed off" in str(outcome.sentences[0])


class TestPatience:
    def test_with_a_node_that_nobody_has_seen(self) -> None:
        led = Led(with_vms(cluster(alive=TWO), WEB), sighted=TWO)
        outcome = led.step()
        assert (outcome.effects, outcome.wake_at) == ((), 1000.0 + Settings().boot_grace)
        led.now = 1000.0 + Settings().boot_grace
        assert len(led.effects()) == 1

    def test_after_the_store_was_out_of_reach(self) -> None:
        led = Led(with_vms(cluster(alive=TWO), WEB))
        led.see(Blinded("no quorum"))
        led.now += 60
        led.see(AliveSeen(frozenset(TWO)), Elected(8), TreeSeen(with_vms(cluster(alive=TWO), WEB)))
        outcome = led.step()
        assert (outcome.effects, outcome.wake_at) == ((), led.now + Settings().session_timeout)
        led.now += Settings().session_timeout
        assert len(led.effects()) == 1

    def test_not_with_a_node_whose_session_was_seen_to_end(self) -> None:
        led = Led(cluster())
        led.see(Blinded("the node that led ZooKeeper died"), AliveSeen(frozenset(NODES)), Elected(8))
        led.see(AliveSeen(frozenset(TWO)), TreeSeen(with_vms(cluster(alive=TWO), WEB)))
        assert len(led.effects()) == 1

    def test_a_node_that_was_never_deployed_is_not_missed(self) -> None:
        snapshot = cluster(alive=TWO)
        fresh = replace(snapshot, status={name: snapshot.status[name] for name in TWO})
        assert Led(fresh, sighted=TWO, now=100000.0).effects() == ()

    def test_a_node_in_maintenance_without_vms_may_go(self) -> None:
        snapshot = cluster(alive=TWO)
        idle = replace(snapshot, nodes={**snapshot.nodes, "node3": Stored(Node(state="maintenance"), 4)})
        assert Led(idle).effects() == ()

    def test_a_node_in_maintenance_with_vms_may_not(self) -> None:
        snapshot = with_vms(cluster(alive=TWO), {"web1": "node3"})
        busy = replace(snapshot, nodes={**snapshot.nodes, "node3": Stored(Node(state="maintenance"), 4)})
        assert len(Led(busy).effects()) == 1


class TestHeld:
    def test_in_maintenance_of_the_cluster(self) -> None:
        (begin,) = Led(policy(with_vms(cluster(alive=TWO), WEB), maintenance=True)).effects()
        assert isinstance(begin, BeginFence)
        assert (begin.fence.state, begin.fence.evidence, begin.fence.cut) == ("held", (), False)
        assert "maintenance" in begin.fence.why

    def test_when_more_go_at_once_than_may(self) -> None:
        five = tuple(f"node{number}" for number in range(1, 6))
        begun = Led(with_vms(cluster(nodes=five, alive=TWO), EACH), sighted=five).effects()
        assert [begin.fence.state for begin in begun if isinstance(begin, BeginFence)] == ["held"] * 3
        assert "3 nodes went at once" in begun[0].fence.why  # type: ignore[union-attr]

    def test_as_many_as_may_are_fenced(self) -> None:
        five = tuple(f"node{number}" for number in range(1, 6))
        begun = Led(with_vms(cluster(nodes=five, alive=five[:3]), EACH), sighted=five).effects()
        assert [begin.fence.state for begin in begun if isinstance(begin, BeginFence)] == ["collecting"] * 2

    def test_until_nothing_holds_it_back_any_more(self) -> None:
        held = Fence("f1", "held", "its session has ended; the cluster is in maintenance", addresses=("10.0.2.13",))
        (update,) = Led(fenced(cluster(alive=TWO), "node3", held)).effects()
        assert isinstance(update, UpdateFence)
        assert (update.fence.state, update.fence.why, update.fence.cut) == ("collecting", "its session has ended", True)

    def test_a_node_that_comes_back_meanwhile_was_never_touched(self) -> None:
        held = Fence("f1", "held", "its session has ended; the cluster is in maintenance")
        (end,) = Led(policy(fenced(cluster(), "node3", held), maintenance=True)).effects()
        assert isinstance(end, EndFence)

    def test_an_operator_may_declare_it_dead_in_a_storm(self) -> None:
        five = tuple(f"node{number}" for number in range(1, 6))
        snapshot = cluster(nodes=five, alive=TWO)
        for name in five[2:]:
            snapshot = fenced(snapshot, name, Fence(f"f-{name}", "held", "its session has ended; a storm"))
        declared = {"node4": Stored(Declaration("f-node4", "anna", "burnt"), 0)}
        updates = Led(replace(snapshot, declared=declared), sighted=five).effects()
        assert {one.subject: one.fence.state for one in updates if isinstance(one, UpdateFence)}[
            "node node4"
        ] == "proven"


class TestComingBack:
    def test_nothing_is_lifted_before_the_node_is_clean(self) -> None:
        assert Led(fenced(cluster(), "node3", PROVEN)).effects() == ()

    def test_a_clean_node_is_let_in(self) -> None:
        (update,) = Led(back(fenced(cluster(), "node3", PROVEN), "f1")).effects()
        assert isinstance(update, UpdateFence)
        assert update.fence.state == "lifting"
        assert update.rests_on == (("/alive/node3", 0), ("/status/node3", 8))

    def test_clean_of_an_older_fence_is_not_clean(self) -> None:
        assert Led(back(fenced(cluster(), "node3", PROVEN), "f0")).effects() == ()

    def test_a_node_that_says_clean_and_is_gone_is_not_let_in(self) -> None:
        effects = Led(back(fenced(cluster(alive=TWO), "node3", PROVEN), "f1")).effects()
        assert not any(isinstance(effect, UpdateFence) for effect in effects)

    def test_the_cut_is_undone_before_the_record_goes(self) -> None:
        led = Led(back(fenced(cluster(), "node3", replace(PROVEN, state="lifting"), 4), "f1"))
        assert led.effects() == (RestoreStorage("node3", "f1", (address("node3"),)),)
        led.see(StorageRestored("node3", "f1", "no monitor answers"))
        assert led.effects() == ()
        led.now += 10
        assert led.effects() == (RestoreStorage("node3", "f1", (address("node3"),)),)
        led.see(StorageRestored("node3", "f1"))
        (end,) = led.effects()
        assert isinstance(end, EndFence)
        assert (end.version, end.past.node, end.node) == (4, "node3", None)

    def test_it_comes_back_drained_where_that_is_the_policy(self) -> None:
        lifting = replace(PROVEN, state="lifting", cut=False)
        (end,) = Led(back(policy(fenced(cluster(), "node3", lifting), rejoin="drained"), "f1")).effects()
        assert isinstance(end, EndFence)
        assert end.node is not None
        assert (end.node[0].state, end.node[1]) == ("drained", 4)

    def test_one_that_goes_again_meanwhile_is_fenced_anew(self) -> None:
        led = Led(back(fenced(cluster(alive=TWO), "node3", replace(PROVEN, state="lifting"), 4), "f1"))
        led.see(StorageCut("node3", "f1", 12))
        (update,) = led.effects()
        assert isinstance(update, UpdateFence)
        assert (update.fence.state, update.fence.epoch, update.fence.proven_by) == ("collecting", 0, "")
        assert update.fence.id != "f1"
        assert update.fence.evidence[0].state == "collecting"

    def test_no_cut_overtakes_its_undoing(self) -> None:
        led = Led(back(fenced(cluster(), "node3", replace(PROVEN, state="lifting"), 4), "f1"))
        (restore,) = led.effects()
        assert isinstance(restore, RestoreStorage)
        led.see(
            AliveSeen(frozenset(TWO)), TreeSeen(fenced(cluster(alive=TWO), "node3", replace(COLLECTING, id="f2"), 5))
        )
        assert led.effects() == ()
        led.see(StorageRestored("node3", "f1"))
        assert led.effects() == (CutStorage("node3", "f2", (address("node3"),)),)


def test_a_cut_that_holds_is_looked_at_again_and_again() -> None:
    led = Led(fenced(cluster(alive=TWO), "node3", PROVEN))
    look = CutStorage("node3", "f1", (address("node3"),))
    assert led.effects() == (look,)
    led.see(StorageCut("node3", "f1", 44))
    outcome = led.step()
    assert outcome.effects == ()
    assert outcome.wake_at == led.now + 15
    led.now += 15
    assert led.effects() == (look,)


def test_a_node_that_lives_cut_off_gets_a_fence_to_be_let_in_again() -> None:
    snapshot = cluster()
    off = replace(snapshot, status={**snapshot.status, "node3": Stored(status("node3", storage_cut=True), 8)})
    led = Led(off)
    (begin,) = led.effects()
    assert isinstance(begin, BeginFence)
    assert (begin.alive, begin.fence.cut, begin.fence.state) == (0, True, "collecting")
    assert "Ceph refuses its clients" in begin.fence.why
    led.see(Written(begin), TreeSeen(fenced(off, "node3", begin.fence, 0)), TreeSeen(off))
    outcome = led.step()
    assert outcome.effects == ()
    assert outcome.wake_at == led.now + 300


def test_a_fence_is_not_over_while_its_node_still_sees_the_cut() -> None:
    lifting = replace(PROVEN, state="lifting")
    snapshot = fenced(cluster(), "node3", lifting, 4)
    refused = replace(
        snapshot, status={**snapshot.status, "node3": Stored(status("node3", clean="f1", storage_cut=True), 8)}
    )
    led = Led(refused)
    led.see(StorageRestored("node3", "f1"))
    assert led.effects() == ()
    led.see(TreeSeen(back(snapshot, "f1")))
    (end,) = led.effects()
    assert isinstance(end, EndFence)


class TestRemoved:
    def removed(self, fence: Fence) -> Led:
        snapshot = fenced(cluster(alive=TWO, nodes=TWO), "node3", fence)
        return Led(snapshot)

    def test_a_node_that_is_proven_off_leaves_nothing_behind(self) -> None:
        led = self.removed(replace(PROVEN, proven_by="powered_off"))
        (update,) = led.effects()
        assert isinstance(update, UpdateFence)
        assert update.fence.state == "lifting"
        led = self.removed(update.fence)
        assert led.effects() == (RestoreStorage("node3", "f1", (address("node3"),)),)
        led.see(StorageRestored("node3", "f1"))
        (end,) = led.effects()
        assert isinstance(end, EndFence)

    def test_one_that_may_still_run_stays_cut_off(self) -> None:
        outcome = self.removed(PROVEN).step()
        assert outcome.effects == ()
        assert "nothing proves that it is off: it is let go when somebody declares it dead" in str(outcome.sentences[0])

    @pytest.mark.parametrize("together", ["", "left"])
    def test_one_that_is_read_off_later_is_let_go(self, together: str) -> None:
        evidence = (*PROVEN.evidence, POWER, *([replace(POWER, device=together)] if together else []))
        led = self.removed(replace(PROVEN, evidence=evidence))
        led.see(PowerRead("node3", "f1", POWER.device, off=True, why="off"))
        assert [effect.fence.state for effect in led.effects() if isinstance(effect, UpdateFence)] == (
            [] if together else ["lifting"]
        ), "of two devices, both must say so: perhaps they only count together"

    def test_one_that_is_declared_dead_is_let_go(self) -> None:
        snapshot = fenced(cluster(alive=TWO, nodes=TWO), "node3", PROVEN)
        led = Led(replace(snapshot, declared={"node3": Stored(Declaration("f1", "alice", "it is scrap"), 3)}))
        (update,) = led.effects()
        assert isinstance(update, UpdateFence)
        assert (update.fence.state, update.absent, update.rests_on) == ("lifting", True, (("/declared/node3", 3),))


class TestPowerBesideAProvenCut:
    def test_is_sought_for_vms_that_need_it(self) -> None:
        evidence = (*PROVEN.evidence, POWER)
        snapshot = with_device(with_vms(cluster(alive=TWO), {"web1": "node3"}, ha=Ha(power_off=True)), BMC)
        led = Led(fenced(snapshot, "node3", replace(PROVEN, evidence=evidence)))
        assert PowerOff("node3", "f1", BMC) in led.effects()

    def test_ceph_is_told_of_a_node_that_reads_off(self) -> None:
        evidence = (*PROVEN.evidence, POWER)
        led = Led(fenced(with_device(cluster(alive=TWO), BMC), "node3", replace(PROVEN, evidence=evidence)))
        led.see(PowerRead("node3", "f1", "bmc", off=True, why="off"))
        assert MarkDown("node3", "f1") in led.effects()


def test_a_damaged_fence_is_left_alone_and_told() -> None:
    snapshot = replace(cluster(alive=TWO), fences={"node3": Stored(None, 3, invalid="no JSON")})
    outcome = Led(snapshot).step()
    assert outcome.effects == ()
    assert "damaged" in str(outcome.sentences[0])


def test_an_early_suspicion_ends_the_session() -> None:
    down = Service("frr", address("node3"), "down", healthy=False)
    health = {name: Stored(Health(f"agent-of-{name}", services=(down,)), 1) for name in TWO}
    snapshot = replace(cluster(), health=health)
    assert Led(snapshot).effects() == ()
    led = Led(replace(snapshot, settings=settings(early_suspicion=True)))
    assert led.effects() == ()  # it may be old news: the store has just come within reach
    led.now += 5
    (begin,) = led.effects()
    assert isinstance(begin, BeginFence)
    assert begin.alive == 0


def test_one_witness_is_not_enough() -> None:
    down = Service("frr", address("node3"), "down", healthy=False)
    health = {"node1": Stored(Health("agent-of-node1", services=(down,)), 1)}
    led = Led(replace(cluster(), health=health, settings=settings(early_suspicion=True)))
    led.now += 5
    assert led.effects() == ()


class TestAPersonsWord:
    def declared(self, fence: Fence, alive: tuple[str, ...]) -> Snapshot:
        word = Declaration("f1", "anna", "pulled the plug")
        return replace(fenced(cluster(alive=alive), "node3", fence), declared={"node3": Stored(word, 3)})

    def test_counts_for_nothing_against_a_node_that_lives(self) -> None:
        effects = Led(self.declared(COLLECTING, NODES)).effects()
        assert not any(isinstance(effect, UpdateFence) for effect in effects)

    def test_holds_that_the_node_is_gone(self) -> None:
        (update,) = Led(self.declared(replace(COLLECTING, state="held", evidence=(), cut=False), TWO)).effects()
        assert isinstance(update, UpdateFence)
        assert (update.fence.state, update.absent) == ("proven", True)

    def test_is_no_reason_not_to_cut_the_storage(self) -> None:
        led = Led(self.declared(replace(COLLECTING, state="held", evidence=(), cut=False), TWO))
        (update,) = led.effects()
        assert isinstance(update, UpdateFence)
        assert update.fence.cut
        led.see(Written(update))
        assert CutStorage("node3", "f1", (address("node3"),)) in led.effects()

    def test_that_a_node_which_signed_off_stays_away(self) -> None:
        snapshot = with_vms(cluster(alive=TWO), {"web1": "node3"})
        off = Stored(status("node3", signed_off=SignOff(False, "it reboots")), 9)
        frozen = replace(snapshot, status={**snapshot.status, "node3": off})
        old = replace(frozen, declared={"node3": Stored(Declaration("sign-off-8", "anna", "burnt"), 2)})
        assert Led(old).effects() == ()
        (begin,) = Led(
            replace(frozen, declared={"node3": Stored(Declaration("sign-off-9", "anna", "burnt"), 2)})
        ).effects()
        assert isinstance(begin, BeginFence)
        assert (begin.fence.state, begin.fence.proven_by) == ("proven", "signed_off")
        assert begin.rests_on == (("/status/node3", 9), ("/declared/node3", 2))


def test_a_hold_ends_only_while_the_node_is_gone() -> None:
    held = Fence("f1", "held", "its session has ended; the cluster is in maintenance", addresses=("10.0.2.13",))
    (update,) = Led(fenced(cluster(alive=TWO), "node3", held)).effects()
    assert isinstance(update, UpdateFence)
    assert update.absent


def test_evidence_that_is_accepted_later_counts_for_a_fence_that_stands() -> None:
    only_power = replace(COLLECTING, evidence=(POWER,), cut=False)
    led = Led(fenced(with_device(cluster(alive=TWO), BMC), "node3", only_power))
    update, *_orders = led.effects()
    assert isinstance(update, UpdateFence)
    assert (update.fence.cut, [one.kind for one in update.fence.evidence]) == (True, ["powered_off", "storage_cut"])
    led.see(Written(update))
    assert CutStorage("node3", "f1", (address("node3"),)) in led.effects()


def test_a_supply_that_is_declared_later_must_be_off_too() -> None:
    snapshot = with_device(cluster(alive=TWO), BMC, replace(BMC, name="second"), together=True)
    led = Led(
        policy(fenced(snapshot, "node3", replace(COLLECTING, evidence=(POWER,), cut=False)), evidence=("powered_off",))
    )
    led.effects()
    led.see(PowerRead("node3", "f1", "bmc", off=True, why="off"))
    assert not any(isinstance(effect, UpdateFence) and effect.fence.state == "proven" for effect in led.effects())


def test_an_address_that_a_living_node_has_too_is_not_cut_off() -> None:
    snapshot = with_vms(cluster(alive=TWO), {"web1": "node3"})
    twin = replace(
        snapshot,
        status={**snapshot.status, "node2": Stored(status("node2", addresses={"storage": address("node3")}), 7)},
    )
    (begin,) = Led(twin).effects()
    assert isinstance(begin, BeginFence)
    assert (begin.fence.cut, begin.fence.evidence[0].state) == (False, "failed")
    assert "node2, which lives" in begin.fence.evidence[0].why


def test_nothing_is_lifted_while_an_order_is_out() -> None:
    led = Led(fenced(with_device(cluster(alive=TWO), BMC), "node3", replace(COLLECTING, evidence=(CUT, POWER))))
    led.effects()
    led.now += 60
    led.see(StorageCut("node3", "f1", 12))
    proven = replace(PROVEN, evidence=(*PROVEN.evidence, POWER))
    led.see(AliveSeen(frozenset(NODES)), TreeSeen(back(fenced(with_device(cluster(), BMC), "node3", proven), "f1")))
    assert led.effects() == ()
    led.see(PowerRead("node3", "f1", "bmc", off=False, why="no answer"))
    assert any(isinstance(effect, UpdateFence) for effect in led.effects())


def test_a_new_leader_waits_for_the_orders_of_the_one_before() -> None:
    proven = replace(PROVEN, evidence=(*PROVEN.evidence, POWER))
    led = Led(back(fenced(with_device(cluster(), BMC), "node3", proven), "f1"))
    outcome = led.step()
    assert outcome.effects == ()
    assert outcome.wake_at == led.now + 25
    led.now += 25
    (update,) = led.effects()
    assert isinstance(update, UpdateFence)
    assert update.fence.state == "lifting"


def test_damaged_settings_hold_everything() -> None:
    damaged = replace(
        with_vms(cluster(alive=TWO), {"web1": "node3"}), settings=Stored(None, 4, invalid="has unknown field x")
    )
    (begin,) = Led(damaged).effects()
    assert isinstance(begin, BeginFence)
    assert begin.fence.state == "held"
    assert "/settings is damaged" in begin.fence.why


def test_more_that_are_doubted_than_may_be_fenced_are_left_alone() -> None:
    five = tuple(f"node{number}" for number in range(1, 6))
    snapshot = cluster(nodes=five, alive=five)
    off = {name: Stored(status(name, storage_cut=name != "node1"), 8) for name in five}
    assert Led(replace(snapshot, status=off), sighted=five).effects() == ()


def test_nodes_that_went_long_ago_make_no_storm() -> None:
    four = (*NODES, "node4")
    vms = {"web1": "node3"}
    old = fenced(with_vms(cluster(nodes=four, alive=NODES), vms), "node4", PROVEN)
    led = Led(old, sighted=four)
    led.now += 100000
    led.see(Blinded("its server died"), AliveSeen(frozenset(NODES)), Elected(8), TreeSeen(old))
    led.see(AliveSeen(frozenset(TWO)), TreeSeen(fenced(with_vms(cluster(nodes=four, alive=TWO), vms), "node4", PROVEN)))
    begun = [effect for effect in led.effects() if isinstance(effect, BeginFence)]
    assert [begin.fence.state for begin in begun] == ["collecting"]
