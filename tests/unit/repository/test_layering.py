# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree keeps the layering, and the checker notices each way to break it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.repository.layering import violations

ROOT = Path(__file__).resolve().parents[3]

#: A small tree in order: every kind of import that is allowed.
GOOD = {
    "plugins/module_utils/pvc_state/errors.py": "import os\n",
    "plugins/module_utils/pvc_state/records.py": "from .errors import PvcError\nfrom dataclasses import dataclass\n",
    "plugins/module_utils/pvc_state/snapshot.py": "from . import records\n",
    "plugins/module_utils/pvc_state/plan/vm.py": "from ..snapshot import Snapshot\nfrom .common import x\n",
    "plugins/module_utils/pvc_state/kazoo_store.py": "try:\n    import kazoo\nexcept ImportError:\n    kazoo = None\n",
    "plugins/module_utils/pvc_state/commit.py": "import time\nfrom .plan.vm import plan\nfrom . import kazoo_store\n",
    "plugins/module_utils/_module.py": "import ansible.module_utils.basic\nfrom .pvc_state import plan\n",
    "plugins/modules/vm.py": "from ..module_utils._module import run\n",
    "pvc_node_agent/step.py": "import libvirt\nfrom pvc_state.records import Vm\n",
    "pvc_cli/app.py": "import click\nfrom pvc_state import info\nfrom . import output\n",
    "roles/base/tasks/main.yml": "- ansible.builtin.debug: {}  # tells\n# see ../x\n",
    "roles/base/files/tool.py": "import json\n",
}

#: One file that breaks one rule, and words of the complaint.
BAD = {
    "records use the snapshot": (
        "plugins/module_utils/pvc_state/records.py",
        "from .snapshot import Snapshot\n",
        "imports .snapshot: this is a layer above its own",
    ),
    "the snapshot uses a plan": (
        "plugins/module_utils/pvc_state/snapshot.py",
        "def f():\n    from . import plan\n",
        "imports .plan: this is a layer above its own",
    ),
    "a plan uses a store, from a subfolder": (
        "plugins/module_utils/pvc_state/plan/vm.py",
        "from ..kazoo_store import KazooStore\n",
        "imports ..kazoo_store: this is a layer above its own",
    ),
    "only for its types": (
        "plugins/module_utils/pvc_state/records.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .commit import Commit\n",
        "imports .commit: this is a layer above its own",
    ),
    "a plan looks at the clock": (
        "plugins/module_utils/pvc_state/plan/vm.py",
        "import time\n",
        "imports time: this layer is pure",
    ),
    "the library uses Ansible": (
        "plugins/module_utils/pvc_state/errors.py",
        "from ansible.module_utils.basic import AnsibleModule\n",
        "neither Ansible nor the agent",
    ),
    "the library uses the agent": (
        "plugins/module_utils/pvc_state/commit.py",
        "import pvc_node_agent.step\n",
        "neither Ansible nor the agent",
    ),
    "the library uses libvirt": (
        "plugins/module_utils/pvc_state/commit.py",
        "import libvirt\n",
        "only the agent talks to the node's own daemons",
    ),
    "the library by its absolute name": (
        "plugins/module_utils/pvc_state/commit.py",
        "from pvc_state.records import Vm\n",
        "imports itself relatively",
    ),
    "the library reaches out": (
        "plugins/module_utils/pvc_state/commit.py",
        "from .._module import run\n",
        "leads out of the library",
    ),
    "kazoo without a guard": (
        "plugins/module_utils/pvc_state/kazoo_store.py",
        "from kazoo.client import KazooClient\n",
        "not guarded",
    ),
    "kazoo in a second file": (
        "pvc_node_agent/store.py",
        "try:\n    import kazoo\nexcept ImportError:\n    kazoo = None\n",
        "only one file may",
    ),
    "a module uses the agent": (
        "plugins/modules/vm.py",
        "from pvc_node_agent import step\n",
        "where there is no agent",
    ),
    "a module takes the library from the path": (
        "plugins/modules/vm.py",
        "from pvc_state import plan\n",
        "through their collection",
    ),
    "the agent uses Ansible": (
        "pvc_node_agent/step.py",
        "import ansible.utils\n",
        "where there is no Ansible",
    ),
    "the agent uses the command line": (
        "pvc_node_agent/step.py",
        "from pvc_cli import output\n",
        "knows nothing of the command line",
    ),
    "the command line uses the agent": (
        "pvc_cli/app.py",
        "from pvc_node_agent import step\n",
        "the command line knows the library only",
    ),
    "the command line uses Ansible": (
        "pvc_cli/app.py",
        "from ansible.module_utils.basic import AnsibleModule\n",
        "the command line knows the library only",
    ),
    "a module uses the command line": (
        "plugins/modules/vm.py",
        "from pvc_cli import output\n",
        "where there is no agent",
    ),
    "a role reads its neighbour": (
        "roles/base/tasks/main.yml",
        "- ansible.builtin.template:\n    src: ../../zookeeper/templates/zoo.cfg.j2\n",
        "roles/base/tasks/main.yml:2: ../ leads out of the role",
    ),
    "a role reads beside the playbook": (
        "roles/base/templates/deep/x.j2",
        "{{ lookup('file', playbook_dir ~ '/x') }}\n",
        "playbook_dir leads out of the role",
    ),
    "a role's program uses the library": (
        "roles/base/files/tool.py",
        "import pvc_state\n",
        "lies outside the role",
    ),
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_this_tree_keeps_the_layers() -> None:
    assert violations(ROOT) == []


def test_a_tree_in_order_has_no_violations(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert violations(tmp_path) == []


@pytest.mark.parametrize("case", BAD)
def test_each_broken_rule_is_named(tmp_path: Path, case: str) -> None:
    name, text, complaint = BAD[case]
    write(tmp_path, {**GOOD, name: text})
    found = violations(tmp_path)
    assert len(found) == 1
    assert complaint in found[0]
    assert name in found[0]
