# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leading with its real threads, as the daemon puts it together, against the store in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from pvc_node_agent.config import CephConfig, Config, ZookeeperConfig
from pvc_node_agent.events import Event
from pvc_node_agent.feed import Feed
from pvc_node_agent.leading import Leading
from pvc_node_agent.view import Sentence
from pvc_state import codec, paths
from pvc_state.commit import commit_nodes
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.plan_node import plan_nodes
from pvc_state.records import Alive, Claim, NodeStatus, Settings, Vm
from pvc_state.requests import NodeRequest
from pvc_state.store import Create, Store

PATIENCE = 20.0


class Clock:
    def now(self) -> float:
        return time.monotonic()


class Agent:
    """The leading part of an agent; its feed is pumped by the test."""

    def __init__(self, ensemble: MemoryEnsemble, node: str) -> None:
        self.node = node
        self.sentences: SimpleQueue[str] = SimpleQueue()
        self.feed = Feed(node, ensemble.connect, Alive("boot", f"agent-of-{node}"), Clock(), self._heard, 6.0)
        zookeeper = ZookeeperConfig(("127.0.0.1:1",), "pvc", "secret")
        config = Config(node, zookeeper, CephConfig("secret-uuid"))
        self.leading = Leading(config, "agent", self.feed, Clock(), lambda: "now", self)

    def _heard(self, event: Event) -> None:
        self.leading.candidate.hear(event)

    def say(self, sentence: Sentence) -> None:
        self.sentences.put(str(sentence))

    def trouble(self, text: str) -> None:
        self.sentences.put(text)

    def wait_for(self, words: str) -> str:
        """Until it says this; raises queue.Empty when it does not."""
        end = time.monotonic() + PATIENCE
        while True:
            said = self.sentences.get(timeout=max(0.01, end - time.monotonic()))
            if words in said:
                return said


@pytest.fixture
def ensemble() -> MemoryEnsemble:
    ensemble = MemoryEnsemble()
    requests = [NodeRequest(name, coordinator=True) for name in ("node1", "node2", "node3")]
    commit_nodes(ensemble.connect(), lambda snapshot: plan_nodes(snapshot, requests, "test"))
    return ensemble


@pytest.fixture
def first(ensemble: MemoryEnsemble) -> Iterator[Agent]:
    agent = Agent(ensemble, "node1")
    agent.leading.start()
    agent.feed.pump()
    agent.wait_for("lead: this agent leads the cluster, under epoch 1")
    yield agent
    agent.leading.stop()


@pytest.fixture
def second(ensemble: MemoryEnsemble, first: Agent) -> Iterator[Agent]:
    assert first
    agent = Agent(ensemble, "node2")
    agent.leading.start()
    agent.feed.pump()
    yield agent
    agent.leading.stop()


def test_one_that_stops_has_left_the_lead_when_stop_returns(
    ensemble: MemoryEnsemble, first: Agent, second: Agent
) -> None:
    first.leading.stop()
    second.wait_for("lead: this agent leads the cluster, under epoch 2")
    first.wait_for("lead no more: this agent stops leading")
    # the session itself goes on, for an agent that is restarted
    assert ensemble.connect().get(paths.alive("node1"))


def test_one_that_its_agents_feed_has_lost_sight_leads_no_more(first: Agent, second: Agent) -> None:
    store = first.feed.store()
    first.feed.doubt("the connection to the store is lost")
    first.feed.pump()
    first.wait_for("lead no more: the connection to the store is lost")
    # enrolled again at once, and its own place in the store was still there
    first.wait_for("lead: this agent leads the cluster, under epoch 2")
    assert store is first.feed.store()
    assert second.sentences.empty()


def test_one_that_was_not_told_by_what_to_fence_says_so(ensemble: MemoryEnsemble, first: Agent) -> None:
    user: Store = ensemble.connect()
    status = NodeStatus("1", "boot", addresses={"cluster": "10.0.0.3"})
    policy = Settings(boot_grace=0.0)
    vm, claim = Vm("00000000-0000-4000-8000-000000000001", memory=512), Claim("node3", 1)
    records = {paths.status("node3"): status, paths.SETTINGS: policy, paths.vm("web1"): vm, paths.claim("web1"): claim}
    user.commit([Create(path, codec.encode(record)) for path, record in records.items()])
    said = first.wait_for("try again to fence node3")
    assert "its configuration does not say by what to fence: add section [fence]" in said
