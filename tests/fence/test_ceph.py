# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fencing through Ceph: a real child process, and a library that stands in for Ceph's."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pvc_node_agent.env import EffectFailed
from pvc_node_agent.fence.blocklist import EXPIRY, Failed, entry_of
from pvc_node_agent.fence.ceph import CephFence

ROOT = Path(__file__).resolve().parents[2]


class Monitors:
    """What the library finds."""

    def __init__(self, file: Path) -> None:
        self.file = file
        osds = [[0, "node1", True], [1, "node2", True], [2, "node2", True]]
        file.write_text(json.dumps({"mode": "", "epoch": 7, "blocklist": {}, "osds": osds, "asked": []}))

    def __getitem__(self, key: str) -> Any:
        return json.loads(self.file.read_text())[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.file.write_text(json.dumps({**json.loads(self.file.read_text()), key: value}))


@pytest.fixture
def monitors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitors:
    file = tmp_path / "monitors.json"
    monkeypatch.setenv("PVC_TEST_MONITORS", str(file))
    library = [Path(__file__).parent / "stand_in", ROOT, ROOT / "plugins" / "module_utils"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, library)))
    return Monitors(file)


@pytest.fixture
def fence(monitors: Monitors) -> Iterator[CephFence]:
    del monitors
    fence = CephFence("ceph.conf", "pvc-fence", "keyring", seconds=3.0, deadline=30.0)
    yield fence
    fence.close()


def test_a_cut_returns_the_epoch_that_holds_all_entries(monitors: Monitors, fence: CephFence) -> None:
    assert fence.cut(["10.0.2.1", "fd00::1"]) == 9
    assert sorted(monitors["blocklist"]) == ["10.0.2.1:0/0", "[fd00::1]:0/0"]
    assert all(asked[:3] == ["ceph.conf", "pvc-fence", "keyring"] for asked in monitors["asked"])
    # may be repeated, and changes nothing then
    assert fence.cut(["10.0.2.1", "fd00::1"]) == 9


def test_entries_that_were_accepted_and_are_not_there_are_found_out(monitors: Monitors, fence: CephFence) -> None:
    monitors["mode"] = "lying"
    with pytest.raises(EffectFailed, match=r"accepted blocklist entries that osdmap 7 does not hold: 10.0.2.1:0/0"):
        fence.cut(["10.0.2.1"])
    monitors["blocklist"] = {"10.0.2.1:0/0": "2099-01-01T00:00:00.000000+0000"}
    with pytest.raises(EffectFailed, match=r"accepted to remove .* that osdmap 7 still holds: 10.0.2.1:0/0"):
        fence.restore(["10.0.2.1"])
    with pytest.raises(EffectFailed, match=r"counts osd.1, osd.2 on node2 as up although told otherwise"):
        fence.mark_down("node2")


def test_an_entry_that_expires_is_no_fence(monitors: Monitors, fence: CephFence) -> None:
    monitors["mode"] = "short"
    with pytest.raises(EffectFailed, match=r"expire too soon: 10.0.2.1:0/0"):
        fence.cut(["10.0.2.1"])


def test_a_cut_replaces_an_entry_that_expires_sooner(monitors: Monitors, fence: CephFence) -> None:
    monitors["blocklist"] = {"10.0.2.1:0/0": "2001-01-01T00:00:00.000000+0000"}
    fence.cut(["10.0.2.1"])
    assert not monitors["blocklist"]["10.0.2.1:0/0"].startswith("2001")


def test_only_what_was_cut_is_restored(monitors: Monitors, fence: CephFence) -> None:
    others = {f"10.0.2.{tail}": "2099-01-01T00:00:00.000000+0000" for tail in ("1:0/7", "10:0/0", "1:6800/1")}
    monitors["blocklist"] = others
    fence.cut(["10.0.2.1", "10.0.2.2"])
    fence.restore(["10.0.2.1", "10.0.2.9"])
    assert monitors["blocklist"].keys() == {*others, "10.0.2.2:0/0"}
    fence.restore(["10.0.2.1", "10.0.2.2"])
    assert monitors["blocklist"] == others


def test_the_osds_of_a_node_are_marked_down(monitors: Monitors, fence: CephFence) -> None:
    assert fence.mark_down("node2") == "osd.1, osd.2 on node2 are down in osdmap 8"
    assert fence.mark_down("node1") == "osd.0 on node1 is down in osdmap 9"
    assert fence.mark_down("node7") == "Ceph has no OSDs on node7"
    assert not [osd for osd in monitors["osds"] if osd[2]]


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("closed", r"do not let user pvc-fence in, or do not answer: \[errno 13\]"),
        ("silent", r"did not answer `osd dump` within 3 s: they may have no quorum"),
        ("denied", "Ceph's user pvc-fence may not `osd dump`: role ceph gives it the capabilities"),
        ("refusing", "refused `osd dump`: no reason"),
        ("abort", "the process that fences through Ceph has ended twice: see the agent's journal"),
    ],
)
def test_each_failure_is_told_apart_and_gone_afterwards(
    monitors: Monitors, fence: CephFence, mode: str, words: str
) -> None:
    monitors["mode"] = mode
    with pytest.raises(EffectFailed, match=words):
        fence.cut(["10.0.2.1"])
    monitors["mode"] = ""
    fence.cut(["10.0.2.1"])
    assert "10.0.2.1:0/0" in monitors["blocklist"]


def test_a_child_that_hangs_is_replaced(monitors: Monitors) -> None:
    fence = CephFence("ceph.conf", "pvc-fence", "keyring", seconds=3.0, deadline=6.0)
    fence.warm()
    monitors["mode"] = "hang"
    with pytest.raises(EffectFailed, match="did not answer within 6 s: its process was replaced"):
        fence.cut(["10.0.2.1"])
    monitors["mode"] = ""
    fence.cut(["10.0.2.1"])
    fence.close()


def test_a_child_that_was_killed_is_replaced_unnoticed(monitors: Monitors, fence: CephFence) -> None:
    fence.cut(["10.0.2.1"])
    for _turn in range(3):
        assert fence._child is not None
        os.kill(fence._child._process.pid, signal.SIGKILL)
        fence.cut(["10.0.2.2"])
    assert "10.0.2.2:0/0" in monitors["blocklist"]


def test_calls_run_side_by_side(monitors: Monitors, fence: CephFence) -> None:
    addresses = [[f"10.0.2.{index}"] for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        epochs = list(pool.map(fence.cut, addresses))
    assert max(epochs) == monitors["epoch"] == 15
    assert len(monitors["blocklist"]) == 8


def test_what_cannot_be_started_is_an_error() -> None:
    with pytest.raises(EffectFailed, match="/nowhere/python cannot be started"):
        CephFence("ceph.conf", "pvc-fence", "keyring", command=["/nowhere/python"]).cut(["10.0.2.1"])


def test_an_address_that_is_none_is_refused() -> None:
    assert entry_of("FD00:0::1") == "[fd00::1]:0/0"
    with pytest.raises(Failed, match=r"'10.0.2.0/24' is no IP address, so Ceph cannot refuse it"):
        entry_of("10.0.2.0/24")


def test_entries_outlive_every_fence() -> None:
    assert EXPIRY > 5 * 365 * 86400
