# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin: by Ansible's own inventory manager on both stores, and by ansible-inventory and ansible-playbook on a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants as C  # noqa: N812
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.doc_fragments import constructed
from ansible.template import Templar, is_trusted_as_template, trust_as_template
from ansible_collections.pvc.cluster.plugins.doc_fragments import connection
from ansible_collections.pvc.cluster.plugins.inventory import pvc
from ansible_collections.pvc.cluster.plugins.inventory.pvc import CONNECTION, InventoryModule
from ansible_collections.pvc.cluster.plugins.module_utils._module import CONNECTION as MODULES
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Set
from ansible_collections.pvc.cluster.plugins.modules import node, vm

from tests.unit.plugins.modules.agent import Agent
from tests.unit.plugins.modules.conftest import STATUS, Agents
from tests.unit.plugins.modules.harness import Cluster

ROOT = Path(__file__).resolve().parents[4]
EVIL = "{{ lookup('ansible.builtin.pipe', 'touch ' ~ evil_file) }}"


def plugin() -> InventoryModule:
    """The plugin as Ansible's loader makes it, in a process where collections are ordinary packages."""
    found = InventoryModule()
    found._load_name = InventoryModule.NAME
    C.config.initialize_plugin_configuration_definitions("inventory", InventoryModule.NAME, documented())
    return found


def documented() -> dict[str, Any]:
    """Its options, those of the fragments among them."""
    options: dict[str, Any] = {}
    for text in (pvc.DOCUMENTATION, connection.ModuleDocFragment.PLUGIN, constructed.ModuleDocFragment.DOCUMENTATION):
        options |= yaml.safe_load(text)["options"]
    return options


class Source:
    """A source of an inventory in a directory of its own."""

    def __init__(self, directory: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.options = {**cluster.options, "cache_directory": str(directory / "cache")}
        if cluster.connect is not None:
            monkeypatch.setattr(InventoryModule, "connect", staticmethod(cluster.connect))

    def write(self, options: dict[str, Any], name: str = "pvc.yml") -> Path:
        path = self.directory / name
        path.write_text(yaml.safe_dump({"plugin": "pvc.cluster.pvc", **self.options, **options}, sort_keys=False))
        return path

    def read(self, *, cache: bool = True, **options: Any) -> InventoryData:
        """The inventory; raises what the plugin raises, which the command line makes warnings of."""
        path = self.write(options)
        inventory = InventoryData()
        plugin().parse(inventory, DataLoader(), str(path), cache=cache)
        inventory.reconcile_inventory()
        return inventory

    def refused(self, **options: Any) -> str:
        with pytest.raises(AnsibleError) as caught:
            self.read(**options)
        return str(caught.value)


@pytest.fixture
def source(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    for name in os.environ:
        if name.startswith("PVC_"):
            monkeypatch.delenv(name)
    return Source(tmp_path, cluster, monkeypatch)


@pytest.fixture
def populated(cluster: Cluster, source: Source, agents: Agents) -> Iterator[Source]:
    """web1 runs on node1, db1 is off on node2; their agents live."""
    with agents():
        common = {"memory": 64, "nics": [{"bridge": "br0"}]}
        web = {"name": "web1", "node": "node1", "tags": ["web", "tier:front-end"], "description": EVIL}
        db = {
            "name": "db1",
            "node": "node2",
            "state": "stopped",
            "metadata": {"address": "192.0.2.7", "profile": "small"},
        }
        cluster.ok(vm, {"vms": [{**common, **web}, {**common, **db}]})
        yield source


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Ansible is told to warn of; it shows each text once in a process."""
    texts: list[str] = []
    monkeypatch.setattr("ansible.utils.display.Display.warning", lambda _self, text: texts.append(text))
    return texts


def members(inventory: InventoryData) -> dict[str, list[str]]:
    return {name: [host.name for host in group.hosts] for name, group in inventory.groups.items() if group.hosts}


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("pvc.yml", True),
        ("pvc.yaml", True),
        ("web.pvc.yml", True),
        ("web.pvc.yaml", True),
        ("pvc.json", False),
        ("webpvc.yml", False),
        ("hosts.yml", False),
    ],
)
def test_the_name_of_the_file_tells(tmp_path: Path, name: str, ours: bool) -> None:
    (tmp_path / name).touch()
    assert plugin().verify_file(str(tmp_path / name)) is ours
    assert not plugin().verify_file(str(tmp_path / "missing.pvc.yml"))


def test_machines_are_hosts_in_groups(populated: Source) -> None:
    inventory = populated.read()
    assert members(inventory) == {
        "pvc_nodes": ["node1", "node2"],
        "pvc_state_ready": ["node1", "node2"],
        "pvc_observed_alive": ["node1", "node2"],
        "pvc_vms": ["db1", "web1"],
        "pvc_state_started": ["web1"],
        "pvc_state_stopped": ["db1"],
        "pvc_observed_running": ["web1"],
        "pvc_observed_stopped": ["db1"],
        "pvc_node_node1": ["web1"],
        "pvc_node_node2": ["db1"],
        "pvc_tag_web": ["web1"],
        "pvc_tag_tier_front_end": ["web1"],
        "pvc_network_br0": ["db1", "web1"],
        "pvc_profile_small": ["db1"],
    }
    hosts = {name: host.vars for name, host in inventory.hosts.items()}
    assert hosts["db1"]["ansible_host"] == "192.0.2.7"
    assert "ansible_host" not in hosts["web1"]
    assert hosts["web1"]["pvc"]["node"] == "node1"
    assert hosts["web1"]["pvc"]["observed"] == "running"
    assert hosts["node1"]["pvc"]["memory"] == 16384
    assert hosts["node1"]["inventory_file"] is None, "set by the manager of sources"


def test_what_is_composed_keyed_and_grouped(populated: Source) -> None:
    inventory = populated.read(
        group_prefix="",
        compose={"big": "pvc.memory * 2", "ansible_user": "pvc.metadata.user | default('root')"},
        groups={"small": "pvc.memory < 100"},
        keyed_groups=[{"key": "pvc.tags", "prefix": "tagged"}, {"key": "pvc.kind", "prefix": "", "separator": ""}],
    )
    found = members(inventory)
    assert found["small"] == ["db1", "web1"]
    assert found["tagged_web"] == ["web1"]
    assert found["vm"] == ["db1", "web1"]
    assert found["state_ready"] == ["node1", "node2"]
    assert inventory.hosts["web1"].vars["big"] == 128
    assert inventory.hosts["web1"].vars["ansible_user"] == "root"


def test_strict_is_strict(populated: Source) -> None:
    assert "no_such" in populated.refused(strict=True, compose={"x": "no_such.thing"})
    assert populated.read(compose={"x": "no_such.thing"}).hosts.keys() == {"node1", "node2", "db1", "web1"}


def test_data_is_never_a_template(cluster: Cluster, populated: Source, tmp_path: Path) -> None:
    evil_file = tmp_path / "evil"
    evil = EVIL.replace("evil_file", repr(str(evil_file)))
    cluster.ok(vm, {"name": "web1", "description": evil, "metadata": {"role": evil, "profile": evil, "address": evil}})
    inventory = populated.read(
        compose={"composed": "pvc.description", "joined": "'x' ~ pvc.metadata.role"},
        keyed_groups=[{"key": "pvc.metadata.role", "prefix": "role", "parent_group": "{{ pvc.metadata.profile }}"}],
        groups={"same": "pvc.description == pvc.metadata.role"},
    )
    variables = inventory.hosts["web1"].vars
    assert variables["pvc"]["description"] == evil
    assert variables["composed"] == evil
    assert variables["joined"] == f"x{evil}"
    assert "ansible_host" not in variables
    assert members(inventory)["same"] == ["web1"]
    for name in inventory.groups:
        assert name.replace("_", "a").isalnum()
    templar = Templar(DataLoader(), variables=variables)
    for text in ("pvc.description", "composed", "joined", "pvc.metadata.role"):
        assert not is_trusted_as_template(templar.evaluate_expression(trust_as_template(text)))
    assert not evil_file.exists()


def test_it_is_cached_by_revision(cluster: Cluster, populated: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("ansible.utils.display.Display.vvv", lambda _self, text, **_more: said.append(str(text)))
    cached = populated.directory / "cache"

    def reads(**options: Any) -> int:
        said.clear()
        populated.read(**options)
        (line,) = [text for text in said if "were read" in text]
        return int(line.partition("of which ")[2].split()[0])

    assert reads(cache_records=False) == 2
    assert not cached.exists()
    assert reads() == 2
    assert reads() == 0
    assert reads(cache=False) == 2, "--flush-cache reads anew"
    assert reads() == 0
    cluster.ok(vm, {"name": "web1", "description": "changed"})
    assert reads() == 2
    assert populated.read().hosts["web1"].vars["pvc"]["description"] == "changed"
    (file,) = cached.iterdir()
    file.write_text("damaged")
    assert reads() == 2
    assert reads() == 0
    assert reads(only={"names": ["web*"]}) == 0


def test_a_cache_that_cannot_be_written_is_none(populated: Source) -> None:
    (populated.directory / "file").touch()
    assert "web1" in populated.read(cache_directory=str(populated.directory / "file" / "cache")).hosts


def test_filters(populated: Source) -> None:
    assert list(populated.read(only={"kinds": ["vm"], "tags": ["web"]}).hosts) == ["web1"]
    assert list(populated.read(only={"nodes": ["node2"]}).hosts) == ["node2", "db1"]
    assert list(populated.read(only={"names": "web*"}).hosts) == ["web1"]


def test_a_vm_with_the_name_of_a_node_is_left_out(cluster: Cluster, populated: Source, warned: list[str]) -> None:
    cluster.ok(vm, {"name": "node2", "memory": 64, "node": "node1"})
    inventory = populated.read()
    assert inventory.hosts["node2"].vars["pvc"]["kind"] == "node"
    assert warned == ["vm node2: a node has the same name: it is left out"]


def test_nor_does_it_take_the_nodes_place_where_nodes_come_from_another_source(
    cluster: Cluster, populated: Source, warned: list[str]
) -> None:
    cluster.ok(vm, {"name": "node1", "memory": 64, "node": "node1", "metadata": {"address": "6.6.6.6"}})
    shipped = yaml.safe_load((ROOT / "inventory-examples" / "infra-repo" / "live" / "pvc.yml").read_text())["only"]
    assert "node1" not in populated.read(only=shipped).hosts
    assert warned == ["vm node1: a node has the same name: it is left out"]


@pytest.mark.parametrize("name", ["localhost", "all", "ungrouped"])
def test_a_vm_whose_name_means_something_else_to_ansible_is_left_out(
    cluster: Cluster, populated: Source, warned: list[str], name: str
) -> None:
    cluster.ok(vm, {"name": name, "memory": 64, "node": "node1"})
    assert name not in populated.read().hosts
    assert warned == [f"vm {name}: the name has a meaning of its own in inventories: it is left out"]


def test_an_address_that_is_none_is_not_used(cluster: Cluster, populated: Source, warned: list[str]) -> None:
    cluster.ok(vm, {"name": "db1", "metadata": {"address": "-oProxyCommand=id"}})
    assert "ansible_host" not in populated.read().hosts["db1"].vars
    assert warned == ["vm db1: '-oProxyCommand=id' is no address: it is not used"]


def test_a_damaged_record_is_shown(cluster: Cluster, populated: Source) -> None:
    znode = cluster.store.get(paths.vm("db1"))
    assert znode
    cluster.store.commit([Set(paths.vm("db1"), b"{", znode.version)])
    inventory = populated.read(cache_records=False, keyed_groups=[{"key": "pvc.state", "prefix": "s"}])
    assert members(inventory)["pvc_damaged"] == ["db1"]


BAD = {
    "a typo": ({"passwrod": "x"}, "passwrod: there is no such option; did you mean password?"),
    "a typo in a filter": ({"only": {"tag": ["x"]}}, "only.tag: there is no such option; did you mean only.tags?"),
    "nothing like it": ({"zzz": 1}, "zzz: there is no such option; give one of address_key, "),
    "a filter that is none": ({"only": {"tags": [1]}}, "only.tags: [1] is no list of names"),
    "an unknown kind": ({"only": {"kinds": ["vms"]}}, "only.kinds: 'vms' is no kind of host; use vm or node"),
    "no filters": ({"only": ["web"]}, "only"),
    "no server": ({"hosts": ["a b"]}, "hosts: 'a b' is no server; give host:port"),
    "no root": ({"root": "pvc"}, "root: 'pvc' is no path; give a path such as /pvc"),
    "no time": ({"connect_timeout": "soon"}, "connect_timeout"),
    "another root": ({"root": "/elsewhere"}, "root: the store has no such root: /schema does not exist"),
    "a template that fails": ({"password": "{{ nothing }}"}, "password: it cannot be evaluated"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_option_is_named(source: Source, case: str) -> None:
    options, expected = BAD[case]
    assert expected in source.refused(**options)


@pytest.mark.parametrize("option", ["hosts", "password"])
def test_a_missing_option_is_named(source: Source, option: str) -> None:
    del source.options[option]
    assert option in source.refused()


def test_a_wrong_password_is_told_from_a_server_that_does_not_answer(
    zookeeper: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zookeeper.ok(node, {"cluster_name": "lab", "name": "node1"})
    source = Source(tmp_path, zookeeper, monkeypatch)
    said = source.refused(password="wrong")
    assert "password" in said
    assert "pvc.yml: " in said
    said = source.refused(hosts=["127.0.0.1:1"], connect_timeout=0.5)
    assert "no ZooKeeper server lets us in" in said
    assert "127.0.0.1:1: connection refused" in said
    assert "correct horse" not in said


def test_the_options_of_the_connection_are_those_of_the_modules() -> None:
    definitions = documented()
    for name in CONNECTION:
        assert definitions[name]["env"] == [{"name": f"PVC_{name.upper()}"}]
        assert definitions[name].get("default") == MODULES[name].get("default")
        assert definitions[name]["type"] == MODULES[name]["type"]
        assert definitions[name].get("required", False) == MODULES[name].get("required", False)
    fallbacks = {name: option["fallback"][1] for name, option in MODULES.items() if name in CONNECTION}
    assert fallbacks == {name: [f"PVC_{name.upper()}"] for name in CONNECTION}


# --- by Ansible's own programs ---------------------------------------------------------------------------------------


def ran(program: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PVC_", "ANSIBLE_"))}
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_HOME": str(cwd / "home"),
        "COLUMNS": "1000",
    }
    command = [str(Path(sys.executable).parent / program), *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def real(zookeeper: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    zookeeper.ok(node, {"cluster_name": "lab", "name": "node1"})
    return Source(tmp_path, zookeeper, monkeypatch)


def test_the_environment_is_enough(real: Source) -> None:
    (real.directory / "pvc.yml").write_text("plugin: pvc.cluster.pvc\n")
    options = {f"PVC_{name.upper()}": value for name, value in real.options.items()}
    done = ran(
        "ansible-inventory",
        "-i",
        "pvc.yml",
        "--list",
        cwd=real.directory,
        **{**options, "PVC_HOSTS": ",".join(real.options["hosts"])},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pvc_nodes"] == {"hosts": ["node1"]}
    assert done.stderr == ""


def test_secrets_may_be_encrypted_and_files_lie_beside_the_source(real: Source) -> None:
    (real.directory / "vault-password").write_text("open sesame")
    encrypted = ran(
        "ansible-vault",
        "encrypt_string",
        "--vault-password-file=vault-password",
        real.options["password"],
        cwd=real.directory,
    ).stdout
    for name in ("ca_file", "cert_file", "key_file"):
        (real.directory / name).write_bytes(Path(real.options[name]).read_bytes())
        real.options[name] = name
    del real.options["password"]
    path = real.write({})
    path.write_text(f"{path.read_text()}password: {encrypted}")
    done = ran(
        "ansible-inventory", "-i", "pvc.yml", "--graph", "--vault-password-file=vault-password", cwd=real.directory
    )
    assert "node1" in done.stdout, done.stderr


def test_a_playbook_gets_data_as_data(zookeeper: Cluster, real: Source) -> None:
    evil_file = real.directory / "evil"
    evil = EVIL.replace("evil_file", repr(str(evil_file)))
    with Agent(zookeeper.another(), "node1", STATUS):
        zookeeper.ok(vm, {"name": "web1", "memory": 64, "description": evil, "metadata": {"address": "127.0.0.1"}})
    real.write({"compose": {"composed": "pvc.description"}})
    task = {
        "ansible.builtin.debug": {
            "msg": "<{{ pvc.description }}> <{{ composed }}> <{{ hostvars['web1'].pvc.description }}>"
        }
    }
    play = [{"hosts": "pvc_vms", "gather_facts": False, "tasks": [task]}]
    (real.directory / "play.yml").write_text(yaml.safe_dump(play))
    done = ran(
        "ansible-playbook", "-i", "pvc.yml", "play.yml", cwd=real.directory, ANSIBLE_CALLBACK_RESULT_FORMAT="yaml"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("lookup(") == 3
    assert not evil_file.exists()


def test_the_command_line_says_what_is_wrong(real: Source) -> None:
    real.write({"passwrod": "x"})
    done = ran(
        "ansible-inventory", "-i", "pvc.yml", "--list", cwd=real.directory, ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="1"
    )
    assert done.returncode != 0
    assert "passwrod: there is no such option; did you mean password?" in " ".join(done.stderr.split())
    assert "correct horse" not in done.stdout + done.stderr
