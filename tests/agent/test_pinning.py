# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processors that VMs have to themselves."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring, tostring

import pytest

from pvc_node_agent.pinning import Arrangement, Guest, arrange, unpin

SHARED = Guest(0, ((0, 1, 2, 3),))


@pytest.mark.parametrize(
    ("guests", "expected"),
    [
        ({}, Arrangement({}, (0, 1, 2, 3))),
        ({"a": SHARED}, Arrangement({}, (0, 1, 2, 3))),
        ({"a": SHARED, "b": Guest(2)}, Arrangement({"b": (2, 3)}, (0, 1))),
        ({"a": Guest(2), "b": Guest(1)}, Arrangement({"a": (2, 3), "b": (1,)}, (0,))),
        ({"a": Guest(3), "b": Guest(1)}, Arrangement({"a": (1, 2, 3)}, (0,), ("b",))),
        ({"a": Guest(4)}, Arrangement({}, (0, 1, 2, 3), ("a",))),
        # who has its own keeps them
        ({"a": Guest(1), "b": Guest(1, ((3,),))}, Arrangement({"a": (2,), "b": (3,)}, (0, 1))),
        # what came from another node is put in its place
        ({"a": Guest(2, ((0, 1, 2, 3), (0, 1, 2, 3)))}, Arrangement({"a": (2, 3)}, (0, 1))),
        ({"a": Guest(2, ((3,), (3,)))}, Arrangement({"a": (2, 3)}, (0, 1))),
        # two that came with the same ones, and one on what is shared
        ({"a": Guest(1, ((3,),)), "b": Guest(1, ((3,),))}, Arrangement({"a": (3,), "b": (2,)}, (0, 1))),
        ({"a": Guest(1, ((0,),))}, Arrangement({"a": (3,)}, (0, 1, 2))),
    ],
    ids=str,
)
def test_who_runs_where(guests: dict[str, Guest], expected: Arrangement) -> None:
    assert arrange((0, 1, 2, 3), guests) == expected


def test_processors_that_are_off_are_nobodys() -> None:
    assert arrange((0, 2, 5), {"a": Guest(1)}) == Arrangement({"a": (5,)}, (0, 2))


def test_a_domain_that_moves_is_bound_to_nothing() -> None:
    domain = fromstring(
        "<domain><vcpu cpuset='0-1' current='1'>2</vcpu><cputune><shares>5</shares><vcpupin vcpu='0' cpuset='3'/>"
        "<emulatorpin cpuset='0'/><iothreadpin iothread='1' cpuset='0'/></cputune></domain>"
    )
    unpin(domain)
    assert tostring(domain) == b'<domain><vcpu current="1">2</vcpu><cputune><shares>5</shares></cputune></domain>'
