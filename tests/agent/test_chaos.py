# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble that hypothesis chooses, and shrinks to what matters: kinds of evidence alone and together, clusters of any kind."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pvc_node_agent.sim.chaos import ACTS, DEVICES, EVIDENCE, ORDERS, PAUSES, RULES, SIZES, Chaos, attempt, main
from pvc_node_agent.sim.stage import Stage


class Trouble(RuleBasedStateMachine):
    """One cluster, and all that may happen to it."""

    @initialize(
        size=st.sampled_from(SIZES),
        evidence=st.sampled_from(EVIDENCE),
        rules=st.sampled_from(RULES),
        policy=st.sampled_from(("conditional", "freeze", "failover", "migrate")),
        orders=st.sampled_from(ORDERS),
        devices=st.sampled_from(DEVICES),
        storm_limit=st.sampled_from((0, 1, 5)),
        early=st.booleans(),
    )
    def begin(self, size, evidence, rules, policy, orders, devices, storm_limit, early) -> None:  # type: ignore[no-untyped-def]
        self.chaos = Chaos(0)
        self.chaos.stage = self.stage = Stage(
            *size,
            evidence=evidence,
            rules=rules,
            shutdown_policy=policy,
            orders=orders,
            devices=devices[0],
            together=devices[1],
            storm_limit=storm_limit,
            early_suspicion=early,
        )
        self.stage.advance(10.0)

    @rule(
        act=st.sampled_from(list(dict.fromkeys(ACTS))),
        node=st.integers(0, 4),
        dice=st.integers(0, 99),
        wait=st.sampled_from(PAUSES),
    )
    def something_happens(self, act, node: int, dice: int, wait: float) -> None:  # type: ignore[no-untyped-def]
        name, do = act
        machines = list(self.stage.nodes.values())
        self.chaos.dice = random.Random(dice)
        self.stage._line("chaos", name)
        do(self.chaos, machines[node % len(machines)])
        self.stage.advance(wait)

    @invariant()
    def nothing_is_violated(self) -> None:
        if hasattr(self, "stage"):
            self.stage.check()

    def teardown(self) -> None:
        if hasattr(self, "stage"):
            self.stage.calm()


TestTrouble = Trouble.TestCase
TestTrouble.settings = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_seed_plays_the_same_again() -> None:
    first, second = Chaos(7), Chaos(7)
    first.run()
    second.run()
    assert first.stage.story == second.stage.story


def test_what_a_seed_finds_is_told(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(Stage, "calm", lambda stage: stage.violated("L1", "the world ended"))
    assert attempt(1) == ""
    monkeypatch.setattr(Stage, "calm", lambda stage: (stage.violated("L1", "the world ended"), stage.check()))
    assert main(["--seconds", "20", "--first", "3"]) == 1
    told = capsys.readouterr().out
    assert "L1 at" in told
    assert "seed 3 has found something: --seed 3 --story plays it again" in told
