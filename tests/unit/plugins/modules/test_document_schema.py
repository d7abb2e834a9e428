# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema for editors says what the library says."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema
import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.document import BadDocument, read
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.kinds import ORDER
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.requests import (
    NodeRequest,
    RuleRequest,
    SettingsRequest,
    VmRequest,
)

from tests.tools import schema

REQUESTS = {"vm": VmRequest, "node": NodeRequest, "rule": RuleRequest, "settings": SettingsRequest}

#: Of a request, and no option of a module: what only documents say, and what only an import gives.
NO_OPTIONS = {"document", "like"}

PUBLISHED = json.loads(schema.PUBLISHED.read_text(encoding="utf-8"))


def test_it_is_published_as_the_tables_and_the_documentation_have_it() -> None:
    assert schema.PUBLISHED.read_text(encoding="utf-8") == schema.text(), "run make schema"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(PUBLISHED)


@pytest.mark.parametrize("kind", ORDER, ids=lambda kind: kind.name)
def test_every_field_of_a_request_is_an_option(kind: Any) -> None:
    fields = {field.name for field in dataclasses.fields(REQUESTS[kind.name])} - NO_OPTIONS
    assert fields == {*kind.options} | ({"name"} if not kind.single else set())
    shown = PUBLISHED["properties"][kind.section]
    shown = shown if kind.single else shown["items"]
    mark = set() if kind.single else {"document"}
    assert set(shown["properties"]) == set(kind.table) == (fields - set(kind.excluded)) | mark
    assert all(one.get("description") for one in shown["properties"].values()), "each is described"


@pytest.mark.parametrize(
    "data",
    [
        {"cluster": "lab", "document": "shop"},
        {"vms": [{"name": "a", "memory": "1G", "disks": [{"size": 5, "limits": {"read_iops": 3}}]}]},
        {"nodes": [{"name": "n", "fence": []}], "rules": [{"name": "r", "kind": "apart", "vms": ["a", "b"]}]},
        {"settings": {"evidence": ["storage_cut"], "rebalance": True}},
        {"vmz": []},
        {"vms": {}},
        {"vms": [{"memory": 1}]},
        {"vms": [{"name": "a", "memry": 1}]},
        {"vms": [{"name": "a", "vcpus": "two"}]},
        {"vms": [{"name": "a", "disks": [{"bus": "ide"}]}]},
        {"vms": [{"name": "a", "state": "restarted"}]},
        {"vms": [{"name": "A"}]},
        {"nodes": [{"name": "n", "fence": [{"name": "bmc"}]}]},
        {"settings": {"evidence": ["guess"]}},
        {"settings": []},
    ],
)
def test_it_takes_what_the_library_takes(data: Any) -> None:
    try:
        read(data)
    except BadDocument:
        right = False
    else:
        right = True
    assert jsonschema.Draft202012Validator(PUBLISHED).is_valid(data) == right
