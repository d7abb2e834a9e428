# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How commands end: an exit code for each kind of error, one sentence, and never a traceback."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvc_cli.exit_codes import Exit, exit_code
from pvc_state import errors, paths
from pvc_state.connection import Connection
from pvc_state.kazoo_store import connect
from tests.cli.conftest import Pvc
from tests.store import conftest as stores
from tests.store.harness import LONG
from tests.store.server import Server
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request

ROOT = Path(__file__).resolve().parents[2]
#: Long for everything that a test waits for: a loaded machine must not fail it.
PATIENCE = 60.0

#: A real ZooKeeper, as the tests of the stores have it.
server = stores.server


def test_every_error_of_the_library_has_a_code() -> None:
    kinds = [errors.PvcError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    found = {kind.__name__: exit_code(kind.__new__(kind)) for kind in kinds}
    assert found["InvalidRequest"] == found["Refusals"] == Exit.REFUSED
    assert found["NotFound"] == Exit.NOT_FOUND
    assert found["StoreUnavailable"] == Exit.UNREACHABLE
    assert found["OutcomeUnknown"] == Exit.UNKNOWN_OUTCOME
    assert found["AccessDenied"] == Exit.DENIED
    assert found["Conflict"] == Exit.CONFLICT
    assert found["WaitTimeout"] == found["NotHealthy"] == Exit.TIMEOUT
    assert found["DamagedRecord"] == found["SchemaMismatch"] == found["NotInitialised"] == Exit.DAMAGED


def test_the_documentation_has_the_same_codes() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| ([0-9]+) \|", text, re.MULTILINE)} == {int(code) for code in Exit}


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["vmz"], 64, "No such command 'vmz'"),
        (["vms", "--state", "running"], 64, "'running' is not one of"),
        (["-o", "xml", "vms"], 64, "'xml' is not one of 'table', 'json', 'yaml'"),
        (["show", "vm"], 64, "Missing argument 'NAME'"),
        (["show", "vm", "web9"], 4, "vm web9: it does not exist; see pvc vms"),
        (["show", "rule", "one"], 4, "rule one: it does not exist; see pvc show rules"),
        (["why", "node", "web1"], 4, "node web1: it does not exist; see pvc nodes"),
        (["why", "fence", "web1"], 4, "node web1: it does not exist; see pvc nodes"),
        (
            ["failover-report", "node9"],
            3,
            "node node9, nodes: it is not part of the cluster; give some of node1, node2",
        ),
        (["console", "web1"], 3, "vm web1: its console is in /console/web1 on node1, and can be read only there;"),
        (["console", "db1"], 3, "vm db1: it has not run on node2 yet; start it, or wait for that"),
        (["console", "web1", "--lines", "0"], 64, "0 is not in the range"),
        (["status", "--wait", "-1"], 64, "-1"),
    ],
)
def test_errors_are_a_sentence(pvc: Pvc, args: list[str], code: int, words: str) -> None:
    assert words in pvc.fails(*args, code=code)


def test_servers_that_do_not_answer(pvc: Pvc) -> None:
    pvc.cluster.ensemble.down()
    assert pvc.fails("vms", code=5) == "Error: no server of the ensemble answers"


def test_a_damaged_tree(pvc: Pvc) -> None:
    pvc.cluster.overwrite(paths.SCHEMA, b"{}")
    assert "znode /schema: it holds no valid record" in pvc.fails("vms", code=9)


def test_what_nobody_has_thought_of_is_told_without_a_traceback(pvc: Pvc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvc_state.info.vms", lambda *_: {}["missing"])
    assert pvc.fails("vms", code=70) == "Error: internal error: KeyError: 'missing'; with PVC_DEBUG=1 it shows where"
    assert "Traceback" in pvc("vms", env={"PVC_DEBUG": "1"}).stderr


def test_what_the_cluster_stores_writes_to_no_terminal(pvc: Pvc) -> None:
    pvc.cluster.agents["node1"].observe("web1", "running", reason="\x1b[31mred[bold]\x07")
    assert "\\x1b[31mred[bold]\\x07" in pvc.ok("show", "vm", "web1")
    assert pvc.json("show", "vm", "web1")["vms"][0]["observed"]["reason"] == "\x1b[31mred[bold]\x07"


def test_ctrl_c(pvc: Pvc, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pvc_state.info.vms", interrupt)
    assert pvc.fails("vms", code=130) == ""
    assert [store.session_id for store in pvc.opened] == [0]


# --- as a process ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def environ(server: Server) -> dict[str, str]:
    """The environment of a process that finds a real cluster, and minds colours as little as a fresh terminal."""
    return {
        **{name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")},
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins/module_utils'}",
        "PVC_HOSTS": f"127.0.0.1:{server.port}",
        "PVC_ROOT": "/cli",
        "PVC_TLS": "false",
        "PVC_PASSWORD": "secret",
        "PVC_CONNECT_TIMEOUT": str(PATIENCE),
        "TERM": "xterm-256color",
        "COLUMNS": "120",
        "LINES": "30",
    }


@pytest.fixture(scope="module")
def cluster(server: Server) -> Iterator[Cluster]:
    """A cluster in a real ZooKeeper."""
    patient = {"session_timeout": LONG, "connect_timeout": PATIENCE, "patience": PATIENCE}
    store = connect(Connection((f"127.0.0.1:{server.port}",), "/cli", "pvc", "secret", tls=False, **patient))
    made = Cluster(store=store, memory=1 << 20)
    made.apply(*(request(f"vm{index}", memory=16, node="node1") for index in range(9)))
    made.agents["node1"].observe("vm7", "running", load=0.25, load_memory=16)
    yield made
    store.close()


COMMAND = [sys.executable, "-m", "pvc_cli"]


def test_who_reads_the_output_may_go(cluster: Cluster, environ: dict[str, str]) -> None:
    for form in ("table", "json"):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*COMMAND, "-o", form, "vms"], env=environ, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writing)
        assert (done.stderr, done.returncode) == ("", 141)


def test_what_nobody_has_read_is_told_again(cluster: Cluster, environ: dict[str, str], tmp_path: Path) -> None:
    command = [*COMMAND, "-o", "json", "events", "--state-file", str(tmp_path / "state")]
    reading, writing = os.pipe()
    os.close(reading)
    assert subprocess.run(command, env=environ, stdout=writing, check=False).returncode == 141
    os.close(writing)
    told = [
        json.loads(subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=True).stdout)["events"]
        for _turn in range(2)
    ]
    assert [[event["type"] for event in events] for events in told] == [["commit"], []]


class Terminal:
    """A process in a terminal of its own."""

    def __init__(self, *args: str, env: dict[str, str]) -> None:
        self.seen = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [*COMMAND, *args], env)

    def await_text(self, text: bytes) -> None:
        """Until it has written this, since the last time."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert select.select([self.terminal], [], [], max(deadline - time.monotonic(), 0))[0], self.seen
            self.seen += self._read()
        self.seen = self.seen.partition(text)[2]

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def end(self) -> int:
        """Its exit code, once it has ended; it is read until then, since what it writes must go somewhere."""
        while data := self._read():
            self.seen += data
        _pid, status = os.waitpid(self.pid, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bytes:
        try:
            return os.read(self.terminal, 1 << 16)
        except OSError:  # its end, on Linux
            return b""


@pytest.mark.parametrize(("keys", "code"), [(b"q", 0), (b"xQ", 0), (b"\x03", 130)], ids=["q", "Q", "Ctrl-C"])
def test_top_shows_changes_until_a_key(cluster: Cluster, environ: dict[str, str], keys: bytes, code: int) -> None:
    top = Terminal("top", env=environ)
    top.await_text(b"vm7")
    cluster.agents["node1"].observe("vm7", "running", load=0.75, load_memory=16)
    top.await_text(b"0.75")
    cluster.agents["node1"].observe("vm7", "running", load=0.5, load_memory=16)
    top.await_text(b"0.5 of 1")
    top.type(keys)
    assert top.end() == code
    assert b"Traceback" not in top.seen
    assert b"\x1b[?1049l" in top.seen, "the screen is not as it was"


def test_colours_are_for_terminals_that_want_them(cluster: Cluster, environ: dict[str, str]) -> None:
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        shown = Terminal("vms", "vm7", env={**environ, **more})
        code = shown.end()
        assert code == 0, shown.seen
        assert (b"\x1b[32m" in shown.seen) == coloured
