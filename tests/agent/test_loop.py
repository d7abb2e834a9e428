# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop with its real threads, against the store in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from pvc_node_agent.events import Event, FactsSeen
from pvc_node_agent.feed import Feed, Superseded
from pvc_node_agent.loop import Loop, Pools
from pvc_node_agent.perform import Performer
from pvc_node_agent.sim.ceph import NodeStorage, SimulatedCeph
from pvc_node_agent.sim.hypervisor import SimulatedHypervisor
from pvc_node_agent.view import Facts, Sentence, View
from pvc_node_agent.workers import Workers
from pvc_state import paths
from pvc_state.commit import commit, commit_nodes
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Alive
from pvc_state.requests import NodeRequest, VmRequest

PATIENCE = 20.0


class Clock:
    """The real one, which can be told that the process stood still."""

    def __init__(self) -> None:
        self.missed = 0.0

    def now(self) -> float:
        return time.monotonic() + self.missed


class Agent:
    """A whole agent but for libvirt and Ceph."""

    def __init__(self, ensemble: MemoryEnsemble, instance: str = "first") -> None:
        self.sentences: SimpleQueue[str] = SimpleQueue()
        self.clock = Clock()
        self.inbox: SimpleQueue[Event | None] = SimpleQueue()
        self.hypervisor = SimulatedHypervisor("node1", lambda _text: None)
        storage = NodeStorage(SimulatedCeph(lambda _text: None), "10.0.1.1", lambda: True)
        alive = Alive("boot", instance)
        feed = Feed("node1", ensemble.connect, alive, self.clock, self.inbox.put, 6.0)
        self.loop = Loop(
            View(node="node1"),
            self.inbox,
            self.clock,
            feed,
            Performer("node1", feed.store, self.hypervisor, storage, feed.enrolment),
            Pools(hypervisor=Workers("hypervisor", 2), storage=Workers("storage", 1), store=Workers("store", 1)),
            self,
            session_timeout=lambda: 6.0,
            idle=0.2,
            sign_of_life=lambda _view: self.signs.release(),
        )
        self.signs = threading.Semaphore(0)
        self.failure: Exception | None = None
        self.hypervisor.attach(self.inbox.put)
        self.inbox.put(FactsSeen(Facts("0.1.0", "boot", 8192, 4, pools=())))
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.loop.run()
        except Superseded as err:
            self.failure = err

    def say(self, sentence: Sentence) -> None:
        self.sentences.put(str(sentence))

    def trouble(self, text: str) -> None:
        self.sentences.put(text)

    def wait_for(self, words: str) -> None:
        """Until it says this; raises queue.Empty when it does not."""
        end = time.monotonic() + PATIENCE
        while words not in self.sentences.get(timeout=max(0.01, end - time.monotonic())):
            pass

    def end(self) -> None:
        self.loop.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def ensemble() -> MemoryEnsemble:
    ensemble = MemoryEnsemble()
    commit_nodes(ensemble.connect(), lambda snapshot: plan_nodes(snapshot, [NodeRequest("node1")], "test"))
    return ensemble


@pytest.fixture
def agent(ensemble: MemoryEnsemble) -> Iterator[Agent]:
    agent = Agent(ensemble)
    agent.wait_for("ready")
    yield agent
    agent.end()


def test_it_starts_what_is_wanted(ensemble: MemoryEnsemble, agent: Agent) -> None:
    user = ensemble.connect()
    reported = threading.Event()
    if user.get(paths.status("node1"), lambda _path: reported.set()) is None:
        assert reported.wait(PATIENCE)
    commit(user, lambda snapshot: plan_vms(snapshot, [VmRequest("web1", memory=64)]))
    agent.wait_for("web1: start: wanted started, and it does not run")


def test_it_shows_signs_of_life_while_idle(agent: Agent) -> None:
    for _turn in range(5):
        assert agent.signs.acquire(timeout=PATIENCE)


def test_after_standing_still_it_trusts_nothing_until_the_store_answers(agent: Agent) -> None:
    agent.clock.missed += 60
    agent.wait_for("blind: this agent did not run for")
    agent.wait_for("ready")


def test_it_ends_when_another_agent_takes_its_node_over(ensemble: MemoryEnsemble, agent: Agent) -> None:
    second = Agent(ensemble, "second")
    try:
        second.wait_for("ready")
        agent.thread.join(PATIENCE)
        assert isinstance(agent.failure, Superseded)
    finally:
        second.end()
