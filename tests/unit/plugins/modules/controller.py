# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine that runs the collection's playbooks by ansible-playbook itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.unit.plugins.modules.harness import Cluster

ROOT = Path(__file__).resolve().parents[4]

#: Ceph as the playbook asks it: everything may stop, but OSDs while there is a file ``busy`` beside it.
CEPH = """#!/bin/sh
case "$*" in
    "node ls"*) echo '{"mon": {"node1": ["node1"]}, "osd": {"node1": [0], "node2": [1]}}' ;;
    "osd dump"*) echo '{"osds": [{"osd": 0, "state": ["exists", "up"]}, {"osd": 1, "state": ["exists", "up"]}]}' ;;
    "osd ok-to-stop"*) test ! -e "${0%/*}/busy" || { echo "Error EBUSY: 3 PGs would become unavailable" >&2; exit 16; } ;;
esac
"""


class Controller:
    """A machine with Ansible and a ``ceph`` of its own, and an inventory of the cluster: node2 is no coordinator."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.directory = directory
        program = directory / "ceph"
        program.write_text(CEPH)
        program.chmod(0o755)
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
        inventory = {
            "all": {
                "vars": {**local, "pvc_connection": dict(cluster.options), "pvc_reboot_recent": 0},
                "children": {
                    "cluster": {"hosts": {"node2": {}}, "children": {"coordinators": {"hosts": {"node1": {}}}}}
                },
            }
        }
        (directory / "hosts.json").write_text(json.dumps(inventory))

    def run(self, playbook: str, *arguments: str, check: bool = True) -> tuple[bool, str]:
        """Whether it succeeds, as a dry run unless told otherwise, and what it says. playbook: the collection's, or a file's."""
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "--inventory=hosts.json"]
        command += ["--check"] if check else []
        environment: dict[str, Any] = {
            **os.environ,
            "PATH": f"{self.directory}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_FORCE_COLOR": "0",
            "COLUMNS": "1000",
        }
        environment.pop("ANSIBLE_CONFIG", None)
        done = subprocess.run(
            [*command, playbook if playbook.endswith(".yml") else f"pvc.cluster.{playbook}", *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode == 0, " ".join((done.stdout + done.stderr).split())
