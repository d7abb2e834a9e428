# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster must live through, one function each; ``python -m tests.agent.hard_times`` runs all until one fails.

Each raises AssertionError when an invariant is violated. tests/agent/test_safety.py runs them one by one; a copy of the
agent with a bug in it runs them all, and must not get through.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence

from pvc_node_agent.sim.chaos import EVIDENCE, Chaos
from pvc_node_agent.sim.stage import Stage
from pvc_state import paths
from pvc_state.records import Fence
from tests.agent.stories import fences, losses, moves, orders

#: How a node may go.
LOSSES: dict[str, Callable[[Stage, str], None]] = {
    "power cut": lambda stage, node: stage[node].power_cut(),
    "isolated": lambda stage, node: stage[node].isolate(),
    "store lost": lambda stage, node: stage[node].network(store=False, ceph=True),
    "paused": lambda stage, node: stage[node].pause(),
}
#: What evidence may be like.
MOODS = ("ok", "failed", "lying")
#: Effects of a leader for which evidence fails, all kinds and more than once.
TRIES = 12
#: Seeds of random trouble that every run of the tests plays.
SEEDS = range(1, 26)


def small_scope(evidence: Sequence[str], mood: str, loss: str, effects: int) -> bool:
    """A node with the only VM goes; the leader's agent dies after its n-th effect. Returns whether it did so many."""
    stage = Stage(vms=3, evidence=evidence)
    stage.advance(10.0)
    leader = next(name for name, machine in stage.nodes.items() if machine.lead.view.epoch is not None)
    victim = next(name for name in sorted(stage.nodes, reverse=True) if name != leader)
    if mood == "failed":
        stage.storage.fence_failing = "Ceph's monitors do not answer"
        stage.power.moods[f"bmc-{victim}"] = "refuses"
    elif mood == "lying":
        stage.power.moods[f"bmc-{victim}"] = "lies"
    LOSSES[loss](stage, victim)
    stage.crash_after(leader, effects)
    stage.advance(20.0)
    crashed = stage[leader].loop is None
    stage.advance(20.0)
    proof = mood == "ok" or (mood == "lying" and ("storage_cut" in evidence or loss == "power cut"))
    if proof and not stage.is_down:
        stage.serve()
    if mood != "ok" and loss != "power cut" and evidence == ("powered_off",):
        fence = stage.record(Fence, paths.fence(victim))
        assert fence is None or fence.state == "collecting", f"a fence is {fence} although nothing proves it"
    stage.calm()
    return crashed


def small_scopes() -> list[tuple[Sequence[str], str, str]]:
    return list(itertools.product(EVIDENCE, MOODS, LOSSES))


def every_crash(evidence: Sequence[str], mood: str, loss: str) -> None:
    """Crash after each of the effects, until there are no more."""
    for effects in range(1, 40):
        if not small_scope(evidence, mood, loss, effects):
            assert effects > 2, "the leader did nothing at all"
            return
        if mood == "failed" and effects == TRIES:
            return  # from here on it does the same again and again
    raise AssertionError("the leader's effects never end")


STORIES: Sequence[Callable[[], None]] = (
    losses.a_healthy_cluster_is_left_alone,
    losses.a_cut_guest_ends_at_once,
    losses.the_last_owner_writes_until_every_osd_knows,
    losses.a_cut_that_fails_is_no_proof,
    losses.a_node_is_let_back_only_when_it_is_clean,
    losses.an_old_decision_has_no_effect,
    losses.maintenance_fences_nobody,
    losses.a_storm_is_held,
    losses.a_vm_beyond_ceph_waits_for_power_off,
    losses.total_loss_of_power,
    losses.a_quick_reboot_is_a_death_too,
    losses.a_frozen_leader_writes_nothing_more,
    losses.a_start_that_stands_still_harms_nobody,
    losses.late_watches,
    losses.every_way_to_shut_down,
    losses.a_fenced_node_out_of_sight_shuts_down,
    moves.a_drain_ends,
    moves.drains_are_told_as_they_are,
    moves.moves_survive_the_death_of_either_end,
    moves.moves_are_called_off_whatever_happens,
    losses.an_operator_may_change_the_policy_meanwhile,
    fences.a_word_does_not_count_against_a_node_that_lives,
    fences.a_word_is_enough_for_a_node_that_is_off,
    fences.a_held_node_comes_back_as_its_fence_is_released,
    fences.a_held_node_has_its_time_again_after_an_outage,
    fences.ceph_refuses_too_many_nodes,
    fences.an_old_fence_is_no_storm,
    fences.damaged_settings_fence_nobody,
    fences.a_reboot_that_never_ends_is_declared_dead,
    fences.a_cut_is_allowed_while_a_fence_stands,
    fences.a_device_is_added_while_a_fence_stands,
    orders.slow_orders_end_with_their_fence,
    orders.slow_orders_outlive_their_leader,
    orders.two_supplies_are_off_together,
    orders.an_early_suspicion_fences_in_a_second,
    orders.a_suspicion_outlives_all_agents,
    orders.old_news_is_no_suspicion,
    orders.what_has_proven_is_no_longer_enough,
)


def main() -> int:
    """All of it, the quickest first; ends with the first that fails."""
    for story in STORIES:
        story()
    for evidence, mood, loss in small_scopes():
        every_crash(evidence, mood, loss)
    for seed in SEEDS:
        Chaos(seed).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
