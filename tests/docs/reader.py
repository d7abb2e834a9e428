# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who reads the documentation, and does what it says: with Ansible, on a cluster of which ZooKeeper is real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.unit.plugins.modules.harness import Cluster
from tests.unit.repository.tree import ROOT

#: rbd and qemu-img, with files for volumes.
PROGRAMS = ROOT / "tests" / "unit" / "plugins" / "modules" / "programs"
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}


class Reader:
    """A machine with Ansible, this collection, and an inventory whose nodes are all this machine.

    Attributes:
        directory: where the reader's files are, and everything is run.
        variables: variables of all hosts.
    """

    def __init__(self, directory: Path, cluster: Cluster, variables: Mapping[str, Any]) -> None:
        self.directory = directory
        inventory = {
            "all": {
                "vars": {**LOCAL, "pvc_connection": dict(cluster.options), **variables},
                "children": {
                    "cluster": {"children": {"coordinators": {"hosts": {f"node{n}": {} for n in (1, 2, 3)}}}},
                    "guests": {"hosts": {"web1": {}, "web2": {}}},
                },
            }
        }
        (directory / "hosts.json").write_text(json.dumps(inventory))
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_INVENTORY": "hosts.json",
            "ANSIBLE_HOME": str(directory / "ansible"),
            "COLUMNS": "1000",
            "PATH": f"{PROGRAMS}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins' / 'module_utils'}",
            "STAND_IN": str(directory / "ceph"),
            **{f"PVC_{name.upper()}": _text(value) for name, value in cluster.options.items()},
        }
        (directory / "ceph").mkdir()
        (directory / "ceph.conf").touch()

    def does(self, *command: str, fails: bool = False) -> str:
        """What a command prints, which must end as it should."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, f"{' '.join(command)}: exit code {done.returncode}\n{said}"
        return said

    def runs(self, tasks: str, *, fails: bool = False) -> str:
        """What ansible-playbook prints of these tasks, given as YAML."""
        play = [
            "- hosts: localhost",
            "  gather_facts: false",
            "  module_defaults:",
            '    group/pvc.cluster.cluster: "{{ pvc_connection }}"',
            *(
                f"    pvc.cluster.{name}: {{ceph_conf: {self.directory}/ceph.conf}}"
                for name in ("vm_export", "vm_import")
            ),
            "  tasks:",
            *(f"    {line}" if line else "" for line in tasks.strip().splitlines()),
        ]
        return self.plays("\n".join(play), fails=fails)

    def plays(self, playbook: str, *, fails: bool = False) -> str:
        """What ansible-playbook prints of this playbook, given as YAML."""
        (self.directory / "playbook.yml").write_text(playbook + "\n")
        return self.does("ansible-playbook", "playbook.yml", fails=fails)


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)
