# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvc_state.codec import Malformed, decode, encode, stored
from pvc_state.records import Alive, Boot, Claim, Disk, Journal, Nic, Node, NodeStatus, Schema, Vm, VmStatus
from pvc_state.store import Znode

RECORDS = (Schema, Node, Vm, Claim, Alive, NodeStatus, Journal)

text = st.text(max_size=20)
number = st.integers(-(2**70), 2**70)
vms = st.builds(
    Vm,
    uuid=text,
    memory=number,
    vcpus=number,
    state=text,
    node=st.none() | text,
    disks=st.lists(st.builds(Disk, text, text, st.none() | number)).map(tuple),
    nics=st.lists(st.builds(Nic, text, text, text)).map(tuple),
    boot=st.builds(Boot, text, text, text),
    description=text,
    tags=st.lists(text).map(tuple),
    delete_volumes=st.booleans(),
    generation=number,
)
statuses = st.builds(
    NodeStatus,
    agent=text,
    memory=number,
    pools=st.lists(text).map(tuple),
    addresses=st.dictionaries(text, text),
    vms=st.dictionaries(text, st.builds(VmStatus, text, number, number, text)),
)
json_values = st.recursive(
    st.none() | st.booleans() | number | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
)


@given(vms | statuses)
def test_a_record_survives_the_round_trip(record: Any) -> None:
    assert decode(type(record), encode(record)) == record


@given(st.sampled_from(RECORDS), st.binary(max_size=60))
def test_any_bytes_give_a_record_or_say_what_is_wrong(cls: type, data: bytes) -> None:
    result = stored(cls, Znode(data, 3, 1, 2, 0))
    assert (result.value is None) == bool(result.invalid)
    assert (result.version, result.mzxid) == (3, 2)


@given(st.sampled_from(RECORDS), json_values)
def test_any_json_gives_a_record_or_says_what_is_wrong(cls: type, value: Any) -> None:
    result = stored(cls, Znode(json.dumps(value).encode(), 0, 1, 1, 0))
    assert result.value is not None or result.invalid


@given(vms, st.sampled_from(["memory", "disks", "boot", "node", "tags"]), json_values)
def test_one_wrong_field_never_passes_as_another_type(vm: Vm, field: str, value: Any) -> None:
    raw = {**json.loads(encode(vm)), field: value}
    result = stored(Vm, Znode(json.dumps(raw).encode(), 0, 1, 1, 0))
    if result.value is None:
        assert field in result.invalid
    else:
        assert decode(Vm, encode(result.value)) == result.value


def test_defaults_take_no_room() -> None:
    assert encode(Vm(uuid="u", memory=1)) == b'{"memory":1,"uuid":"u"}'
    assert encode(Node()) == b"{}"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "record is no object"),
        (b"{}", "record lacks field memory"),
        (b'{"uuid":"u","memory":1,"colour":2}', "record has unknown field colour"),
        (b'{"uuid":"u","memory":true}', "memory is bool, not int"),
        (b'{"uuid":"u","memory":1.5}', "memory is float, not int"),
        (b'{"uuid":"u","memory":1,"disks":[{"pool":"p","volume":"v"},{"pool":3}]}', "disks[1] lacks field volume"),
        (b'{"uuid":"u","memory":1,"disks":[{"pool":"p","volume":3}]}', "disks[0].volume is int, not str"),
        (b'{"uuid":"u","memory":1,"disks":{}}', "disks is no list"),
        (b'{"uuid":"u","memory":1,"boot":{"kernel":null}}', "boot.kernel is NoneType, not str"),
        (b'{"uuid":"u","memory":1,"tags":["a",["b"]]}', "tags[1] is list, not str"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data: bytes, problem: str) -> None:
    with pytest.raises(Malformed) as info:
        decode(Vm, data)
    assert str(info.value) == problem


def test_what_is_wrong_inside_a_mapping_is_said_with_its_key() -> None:
    with pytest.raises(Malformed, match=r"^vms\.web1\.epoch is str, not int$"):
        decode(NodeStatus, b'{"agent":"1","vms":{"web1":{"state":"running","epoch":"1","generation":1}}}')


def test_deeply_nested_bytes_are_only_damaged() -> None:
    assert stored(Vm, Znode(b"[" * 100_000, 0, 1, 1, 0)).invalid
