# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table says at a glance what runs where."""

from __future__ import annotations

from pvc_lab.cgroup import parse_events
from pvc_lab.report import describe, parse_probe, summarize
from pvc_lab.status import table

ANSWER = """\
service zookeeper.service active
service ceph-osd@0.service active
service ceph-osd@3.service failed
guest web1
line SYSLINUX 6.04
line pvc guest tick 1, up 4.38 s
"""


def test_an_answer_is_read() -> None:
    assert parse_probe(ANSWER) == {
        "services": {"zookeeper": "active", "ceph-osd@0": "active", "ceph-osd@3": "failed"},
        "guests": {"web1": ["SYSLINUX 6.04", "pvc guest tick 1, up 4.38 s"]},
    }


def test_what_is_bad_is_not_hidden_by_what_is_good() -> None:
    assert summarize([]) == "-"
    assert summarize(["active"]) == "active"
    assert summarize(["active", "active"]) == "2 active"
    assert summarize(["active", "failed", "active"]) == "failed"


def test_the_tables_show_services_and_consoles() -> None:
    assert describe({"node1": parse_probe(ANSWER), "node2": parse_probe("")}) == (
        "node   zookeeper  ceph-osd  guests\n"
        "-----  ---------  --------  ------\n"
        "node1  active     failed    web1\n"
        "node2  -          -         -\n"
        "\n"
        "console of web1 on node1:\n"
        "  SYSLINUX 6.04\n"
        "  pvc guest tick 1, up 4.38 s"
    )


def test_columns_are_as_wide_as_their_widest_word() -> None:
    assert table([["a", "long head"], ["longer", "b"]]) == "a       long head\n------  ---------\nlonger  b"


def test_states_of_control_groups_are_read() -> None:
    assert parse_events("populated 1\nfrozen 0\n") == {"populated": True, "frozen": False}
