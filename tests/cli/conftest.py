# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster in memory with two nodes and a few VMs, and the command line on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pvc_cli import connection
from pvc_cli.app import cli
from pvc_cli.options import NAMES
from pvc_cli.session import Session
from pvc_state.connection import Connection
from pvc_state.memory_store import MemoryStore
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request


@dataclass
class Pvc:
    """The command line as somebody uses it whose output goes to a file.

    Attributes:
        seen: connections that it has asked for.
        closed: what it has opened, to see that it is closed.
    """

    cluster: Cluster
    seen: list[Connection] = field(default_factory=list)
    opened: list[MemoryStore] = field(default_factory=list)

    def __call__(self, *args: str, env: Mapping[str, str] | None = None, typed: str | None = None) -> Result:
        environ = {"PVC_HOSTS": "zk1:2281,zk2:2281", "PVC_PASSWORD": "secret", **(env or {})}
        runner = CliRunner(env=environ)
        return runner.invoke(cli, list(args), obj=Session(connect=self.connect), input=typed, prog_name="pvc")

    def connect(self, connection: Connection) -> MemoryStore:
        self.seen.append(connection)
        store = self.cluster.ensemble.connect(username=connection.username, password=connection.password)
        self.opened.append(store)
        return store

    def ok(self, *args: str) -> str:
        """What it prints when all goes well."""
        result = self(*args)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return result.stdout

    def json(self, *args: str, code: int = 0) -> Any:
        """The answer for programs."""
        result = self("-o", "json", *args)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def fails(self, *args: str, code: int) -> str:
        """What it says when it ends with an error: one line, and nothing else."""
        result = self(*args)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        assert "Traceback" not in result.stderr
        return result.stderr.strip()


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the environment nor the files of this machine count."""
    for name in (*NAMES, "password", "debug", "author", "job"):
        monkeypatch.delenv(f"PVC_{name.upper()}", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(connection, "SITE", tmp_path / "site.toml")
    monkeypatch.setattr(connection, "AGENT", tmp_path / "agent.toml")


@pytest.fixture
def pvc() -> Pvc:
    """Two nodes; web1 runs on node1, web2 is being started on node2, db1 is off there."""
    cluster = Cluster()
    cluster.apply(request("web1", node="node1", tags=("web",)), request("web2", tags=("web",)))
    cluster.apply(request("db1", state="stopped", node="node2"))
    node1, node2 = cluster.agents["node1"], cluster.agents["node2"]
    node1.observe("web1", "running", reason="started, as wanted", load=0.5, load_memory=320, console="/console/web1")
    node2.observe("web2", "starting", reason="libvirt is asked to start it")
    node2.observe("db1", "stopped", reason="stopped, as wanted")
    return Pvc(cluster)
