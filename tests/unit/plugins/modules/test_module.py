# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all modules share: sizes, the connection from the environment, kazoo, secrets."""

from __future__ import annotations

import json
from types import ModuleType

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import kazoo_store, option_values
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.connection import Connection
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.errors import InvalidRequest, StoreUnavailable
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Store
from ansible_collections.pvc.cluster.plugins.modules import node, node_info, vm, vm_info

from tests.unit.plugins.modules.conftest import PASSWORD, Agents
from tests.unit.plugins.modules.harness import Cluster, run

EVERY_MODULE = pytest.mark.parametrize(
    ("module", "options"),
    [(vm, {"name": "web1", "memory": 64}), (vm_info, {}), (node, {"name": "node1"}), (node_info, {})],
    ids=["vm", "vm_info", "node", "node_info"],
)


@pytest.mark.parametrize(
    ("given", "mebibytes"),
    [
        ("2048", 2048),
        ("2G", 2048),
        ("2 GiB", 2048),
        ("2gb", 2048),
        ("1.5G", 1536),
        ("1T", 1 << 20),
        ("0", 0),
        ("-3", -3),
    ],
)
def test_memory(given: str, mebibytes: int) -> None:
    assert option_values.mebibytes(given, "vm web1", "memory") == mebibytes


@pytest.mark.parametrize(("given", "size"), [("10G", 10 << 30), ("1.5M", 3 << 19), ("1073741824", 1 << 30)])
def test_sizes_of_disks(given: str, size: int) -> None:
    assert option_values.size_in_bytes(given, "vm web1", "disks[0].size") == size


@pytest.mark.parametrize("given", ["", "G", "10 X", "10GG", "1e3", "0x10", "ten", "-1G"])
def test_what_is_no_size(given: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        option_values.size_in_bytes(given, "vm web1", "disks[0].size")
    assert (caught.value.obj, caught.value.option) == ("vm web1", "disks[0].size")
    assert "10G" in caught.value.remedy


def seen(module: ModuleType, options: dict[str, object]) -> Connection:
    """The connection that a module asks for."""
    asked = []

    def connect(connection: Connection) -> Store:
        asked.append(connection)
        raise StoreUnavailable("not now")

    assert run(module, options, connect=connect)["msg"] == "not now"
    return asked[0]


@EVERY_MODULE
def test_the_connection_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, options: dict[str, object]
) -> None:
    monkeypatch.setenv("PVC_HOSTS", "a:1,b:2")
    monkeypatch.setenv("PVC_ROOT", "/elsewhere")
    monkeypatch.setenv("PVC_USERNAME", "somebody")
    monkeypatch.setenv("PVC_PASSWORD", PASSWORD)
    monkeypatch.setenv("PVC_TLS", "false")
    monkeypatch.setenv("PVC_CA_FILE", "/ca")
    monkeypatch.setenv("PVC_CERT_FILE", "/cert")
    monkeypatch.setenv("PVC_KEY_FILE", "/key")
    monkeypatch.setenv("PVC_CONNECT_TIMEOUT", "2.5")
    assert seen(module, options) == Connection(
        hosts=("a:1", "b:2"),
        root="/elsewhere",
        username="somebody",
        password=PASSWORD,
        tls=False,
        ca_file="/ca",
        cert_file="/cert",
        key_file="/key",
        connect_timeout=2.5,
        patience=2.5,
    )
    assert seen(module, {**options, "hosts": ["c:3"]}).hosts == ("c:3",)


@EVERY_MODULE
def test_the_connection_by_default(module: ModuleType, options: dict[str, object]) -> None:
    connection = seen(module, {**options, "hosts": "a:1", "password": "x"})
    assert connection == Connection(("a:1",), "/pvc", "pvc", "x", patience=10.0)
    assert connection.tls


@EVERY_MODULE
def test_without_hosts_and_password_nothing_works(module: ModuleType, options: dict[str, object]) -> None:
    assert run(module, options)["msg"] == "missing required arguments: hosts, password"


@EVERY_MODULE
def test_without_kazoo(monkeypatch: pytest.MonkeyPatch, module: ModuleType, options: dict[str, object]) -> None:
    monkeypatch.setattr(kazoo_store, "HAS_KAZOO", False)
    result = run(module, {**options, "hosts": "a:1", "password": "x"})
    assert "Failed to import the required Python library (kazoo >= 2.8)" in result["msg"]


@EVERY_MODULE
def test_secrets_never_appear(cluster: Cluster, agents: Agents, module: ModuleType, options: dict[str, object]) -> None:
    with agents():
        outcomes = [
            cluster.run(module, options, check=True),
            cluster.run(module, options),
            cluster.run(module, {**options, "hosts": "nowhere:x"}),
        ]
    assert PASSWORD not in json.dumps(outcomes)
    assert outcomes[1]["invocation"]["module_args"]["password"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    assert all(PASSWORD.encode() not in znode.data for znode in cluster.dump().values())
