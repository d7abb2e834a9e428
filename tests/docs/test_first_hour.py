# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/first-hour.md works as written.

What is marked there with ``<!-- run -->`` is done in its order: a block of YAML is saved under the name in its first line, the
commands of a block of shell are run. Only ZooKeeper is real, agents are the tests' own. What needs machines is checked as far as it can be
without them: the commands exist. The lab's scenarios cut power and drain nodes for real.
"""

from __future__ import annotations

import re
import shlex

import pytest
from ansible_collections.pvc.cluster.plugins.modules import vm

from tests.docs.reader import Reader
from tests.unit.plugins.modules.harness import Cluster
from tests.unit.repository.tree import ROOT

PAGE = (ROOT / "docs" / "first-hour.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^(<!-- run -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(bool(block[1]), block[2], block[3]) for block in BLOCK.finditer(PAGE)]
PLAYBOOKS = sorted(set(re.findall(r"\bpvc\.cluster\.(\w+) (?:-|`)", PAGE)))


def test_every_block_is_run_or_needs_machines() -> None:
    """A block that is not marked has commands of the lab, of nodes, or of machines that nobody has here."""
    rest = [text for marked, _language, text in BLOCKS if not marked]
    commands = [line for text in rest for line in text.splitlines()]
    known = (
        "make lab",
        ". .venv/",
        "pvc ",
        "sudo /var/lib/pvc-lab/bin/pvc-lab power-",
        "ansible-playbook -i inventory pvc.",
    )
    assert [command for command in commands if not command.startswith(known)] == []
    assert sum(marked for marked, _language, _text in BLOCKS) >= 8


#: What `make lab` leaves.
GUEST = {
    "name": "guest1",
    "memory": 128,
    "disks": [{"volume": "guest1-disk0"}, {"volume": "guest1-disk1", "size": "16M"}],
}


def test_it_works_as_written(cluster: Cluster, reader: Reader) -> None:
    cluster.ok(vm, GUEST)
    (reader.directory / "inventory-examples").mkdir()
    (reader.directory / "hosts.json").rename(reader.directory / "inventory-examples" / "lab")
    said = []
    for marked, language, text in BLOCKS:
        if not marked:
            continue
        if language == "yaml":
            name = re.match(r"# ([\w-]+\.yml)\n", text)
            assert name, f"without a name: {text[:60]}"
            (reader.directory / name[1]).write_text(text)
            continue
        for command in text.splitlines():
            words = shlex.split(command.replace("$PWD", str(reader.directory)))
            said.append(reader.does(*words))
    _base, checked, done, again = said[:4]
    assert "changed=1" in checked
    assert "changed=1" in done
    assert "changed=0" in again
    plan, applied = said[-2:]
    assert "vm web3: created on" in " ".join(plan.split())
    assert "changed=1" in applied


@pytest.mark.parametrize(
    "command", re.findall(r"^(?:sudo /var/lib/pvc-lab/bin/)?(pvc(?:-lab)? [a-z-]+)", PAGE, re.MULTILINE)
)
def test_what_needs_machines_exists(command: str) -> None:
    program, name = command.split()
    if program == "pvc":
        from pvc_cli.app import cli

        assert name in cli.commands
    else:
        text = "\n".join(path.read_text() for path in (ROOT / "roles" / "lab" / "files" / "pvc_lab").glob("*.py"))
        assert f'"{name}"' in text
