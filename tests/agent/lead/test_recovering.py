# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the claims of a fenced node get new owners, and which writes that takes."""

from __future__ import annotations

from dataclasses import replace

from pvc_node_agent.lead.effects import BeginFence, CutStorage, EndFence, Recover, UpdateFence
from pvc_node_agent.lead.events import TreeSeen, Written
from pvc_node_agent.lead.recovering import BATCH
from pvc_state.codec import Stored
from pvc_state.plan_recovery import plan_recovery
from pvc_state.records import Claim, Evidence, Fence, FenceDevice, Ha, Node, Past
from pvc_state.snapshot import Snapshot
from tests.agent.lead.builders import Led, cluster, fenced, policy, with_vms

TWO = ("node1", "node2")
PROVEN = Fence(
    "f1",
    "proven",
    "its session has ended",
    evidence=(Evidence("storage_cut", "proven", epoch=41),),
    proven_by="storage_cut",
    epoch=41,
    cut=True,
)


def dead(count: int = 1, **options: object) -> Snapshot:
    owners = {f"vm{number:03}": "node3" for number in range(count)}
    return fenced(with_vms(cluster(alive=TWO), owners, **options), "node3", PROVEN)


def recovers(snapshot: Snapshot) -> list[Recover]:
    return [effect for effect in Led(snapshot).effects() if isinstance(effect, Recover)]


def written(led: Led) -> list[object]:
    """What the step writes; it looks at the cut beside that."""
    return [effect for effect in led.effects() if not isinstance(effect, CutStorage)]


def test_a_claim_goes_on_with_the_next_epoch_and_the_cut_as_its_barrier() -> None:
    (recover,) = recovers(dead())
    (claim,) = recover.claims
    assert (claim.before, claim.version, claim.record_version) == (Claim("node3", 3), 5, 2)
    assert claim.after in (Claim("node1", 4, barrier=41), Claim("node2", 4, barrier=41))


def test_the_fence_notes_where_each_vm_went_and_why() -> None:
    (recover,) = recovers(dead())
    assert recover.version == 1
    (told,) = recover.fence.moves.values()
    assert told.startswith(f"to {recover.claims[0].after.node}: ")


def test_nothing_is_recovered_before_the_fence_is_proven() -> None:
    for state in ("held", "collecting", "lifting"):
        assert recovers(fenced(dead(), "node3", replace(PROVEN, state=state))) == []


def test_nothing_is_recovered_while_the_cluster_is_in_maintenance() -> None:
    outcome = Led(policy(dead(), maintenance=True)).step()
    assert not any(isinstance(effect, Recover) for effect in outcome.effects)
    assert "maintenance" in str(outcome.sentences[0])


def test_many_claims_change_in_batches_and_none_twice() -> None:
    led = Led(dead(2 * BATCH + 1, memory=16))
    moved: list[str] = []
    for size in (BATCH, BATCH, 1):
        (recover,) = (effect for effect in led.effects() if isinstance(effect, Recover))
        assert len(recover.claims) == size
        moved += [claim.vm for claim in recover.claims]
        led.see(Written(recover))
    assert len(set(moved)) == 2 * BATCH + 1
    assert led.effects() == ()


def test_what_was_written_is_not_told_again_when_an_older_tree_is_seen() -> None:
    before = fenced(with_vms(cluster(alive=TWO), {"web1": "node3"}), "node3", PROVEN)
    led = Led(before)
    (recover,) = (effect for effect in led.effects() if isinstance(effect, Recover))
    led.see(Written(recover), Written(UpdateFence("node node3", (), recover.fence, 2)), TreeSeen(before))
    outcome = led.step()
    assert [effect for effect in outcome.effects if isinstance(effect, Recover)] == []
    assert outcome.sentences == ()
    after = led.view.snapshot
    assert after
    led.see(TreeSeen(after), TreeSeen(before))
    assert any(isinstance(effect, Recover) for effect in led.effects()), (
        "what was seen once is not held against the store"
    )


def test_a_fence_that_was_begun_or_ended_stays_so_when_an_older_tree_is_seen() -> None:
    before = with_vms(cluster(alive=TWO), {"web1": "node3"})
    led = Led(before)
    (begin,) = led.effects()
    led.see(Written(begin), TreeSeen(before))
    assert led.view.snapshot
    assert led.view.snapshot.fences["node3"].value == begin.fence
    assert not any(isinstance(effect, BeginFence) for effect in led.effects())
    over = fenced(before, "node3", begin.fence, 3)
    led.see(
        TreeSeen(over), Written(EndFence("node node3", (), 3, Past("node3", begin.fence, "", ""), None)), TreeSeen(over)
    )
    assert "node3" not in led.view.snapshot.fences
    anew = replace(begin.fence, id="another")
    led.see(TreeSeen(fenced(before, "node3", anew, 0)))
    assert led.view.snapshot.fences["node3"].value == anew


def test_a_tree_that_stays_older_is_believed_after_a_while() -> None:
    before = fenced(with_vms(cluster(alive=TWO), {"web1": "node3"}), "node3", PROVEN)
    led = Led(before)
    (recover,) = (effect for effect in led.effects() if isinstance(effect, Recover))
    led.see(Written(recover))
    led.now += 60
    led.see(TreeSeen(before))
    assert any(isinstance(effect, Recover) for effect in led.effects())


def test_a_refused_batch_is_planned_anew_after_a_pause() -> None:
    led = Led(dead())
    (recover,) = written(led)
    assert isinstance(recover, Recover)
    led.see(Written(recover, "the fence was changed meanwhile"))
    outcome = led.step()
    assert outcome.effects == ()
    assert outcome.wake_at is not None
    led.now = outcome.wake_at
    assert written(led) == [recover]


def test_a_vm_without_a_node_waits_and_the_fence_says_for_what() -> None:
    led = Led(dead(memory=20000))
    (update,) = written(led)
    assert isinstance(update, UpdateFence)
    assert "20000" in update.fence.waiting["vm000"]
    led.see(Written(update))
    assert led.effects() == ()


def test_a_cut_is_not_enough_for_a_vm_that_uses_more_than_ceph() -> None:
    snapshot = dead()
    vm = snapshot.vms["vm000"].value
    assert vm is not None
    asks = replace(snapshot, vms={"vm000": Stored(replace(vm, ha=Ha(power_off=True)), 2)})
    assert recovers(asks) == []


def test_a_disabled_vm_stays_where_it_is() -> None:
    assert recovers(dead(state="disabled")) == []
    assert recovers(dead(state="ignored")) == []


def test_a_stopped_vm_gets_a_new_home() -> None:
    assert len(recovers(dead(state="stopped"))) == 1


def test_a_persons_word_recovers_nothing_from_a_node_that_is_back() -> None:
    word = replace(
        PROVEN,
        proven_by="declared_dead",
        evidence=(Evidence("declared_dead", "proven"), Evidence("storage_cut", "failed")),
        epoch=0,
        cut=False,
    )
    gone = fenced(with_vms(cluster(alive=TWO), {"vm000": "node3"}), "node3", word)
    (recover,) = recovers(gone)
    assert recover.absent
    lives = fenced(with_vms(cluster(), {"vm000": "node3"}), "node3", word)
    assert recovers(lives) == []


def test_a_supply_that_is_declared_later_holds_back_what_needs_power_off() -> None:
    off = Evidence("powered_off", "proven", device="first")
    vms = with_vms(cluster(alive=TWO), {"vm000": "node3"}, ha=Ha(power_off=True))
    snapshot = fenced(vms, "node3", replace(PROVEN, evidence=(*PROVEN.evidence, off)))
    devices = tuple(FenceDevice(name, "ipmi", "10.0.9.3") for name in ("first", "second"))
    for together, moved in ((False, 1), (True, 0)):
        node = Stored(Node(coordinator=True, fence=devices, fence_together=together), 4)
        assert len(plan_recovery(replace(snapshot, nodes={**snapshot.nodes, "node3": node}), "node3").moves) == moved
