# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the connection comes from: options before the environment before files, and a password never from an argument."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvc_cli import connection
from tests.cli.conftest import Pvc

AGENT = """
node = "node1"
[zookeeper]
hosts = ["10.0.0.1:2281", "10.0.0.2:2281"]
root = "/pvc"
username = "pvc"
password = "of the agent"
ca_file = "/etc/pvc/tls/ca.pem"
cert_file = "/etc/pvc/tls/cert.pem"
key_file = "/etc/pvc/tls/key.pem"
session_timeout = 6.0
[libvirt]
uri = "qemu:///system"
"""

NOTHING = {"PVC_HOSTS": "", "PVC_PASSWORD": ""}


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_options_come_before_the_environment_before_a_file(pvc: Pvc, tmp_path: Path) -> None:
    config = written(
        tmp_path / "mine.toml",
        '[zookeeper]\nhosts = ["c:1"]\nroot = "/c"\nusername = "c"\npassword = "c"\nconnect_timeout = 3\ntls = false\n',
    )
    password = written(tmp_path / "password", "of a file\nand more\n")
    env = {"PVC_HOSTS": "b:1, b:2", "PVC_ROOT": "/b", "PVC_PASSWORD": "b"}
    assert pvc("--config", str(config), "--root", "/a", "vms", env=env).exit_code == 0
    assert pvc("--password-file", str(password), "vms", env={**env, "PVC_CONFIG": str(config)}).exit_code == 0
    first, second = pvc.seen
    assert (first.hosts, first.root, first.username, first.password) == (("b:1", "b:2"), "/a", "c", "b")
    assert (first.connect_timeout, first.patience, first.tls) == (3, 3, False)
    assert (second.root, second.password) == ("/b", "of a file")


def test_root_on_a_node_needs_nothing_else(pvc: Pvc) -> None:
    written(connection.AGENT, AGENT)
    assert pvc("vms", env=NOTHING).exit_code == 0
    (seen,) = pvc.seen
    assert (seen.hosts, seen.password) == (("10.0.0.1:2281", "10.0.0.2:2281"), "of the agent")
    assert (seen.ca_file, seen.session_timeout) == ("/etc/pvc/tls/ca.pem", 6.0)


def test_the_first_file_counts(pvc: Pvc, tmp_path: Path) -> None:
    written(connection.AGENT, AGENT)
    written(connection.SITE, '[zookeeper]\nhosts = ["site:1"]\npassword = "s"\n', 0o640)
    assert pvc("vms", env=NOTHING).exit_code == 0
    secret = written(tmp_path / "secret", "from a file")
    own = f'[zookeeper]\nhosts = ["own:1"]\nusername = "pvc-reader"\npassword_file = "{secret}"\n'
    written(tmp_path / "config" / "pvc" / "cli.toml", own, 0o644)
    assert pvc("vms", env=NOTHING).exit_code == 0
    assert [(one.hosts, one.username, one.password) for one in pvc.seen] == [
        (("site:1",), "pvc", "s"),
        (("own:1",), "pvc-reader", "from a file"),
    ]


def test_nothing_says_where_the_cluster_is(pvc: Pvc) -> None:
    result = pvc("vms", env=NOTHING)
    assert result.exit_code == 64
    assert result.stderr.startswith(
        "Error: hosts: nothing says where the cluster is; give --hosts or PVC_HOSTS, write "
    )
    result = pvc("vms", env={"PVC_PASSWORD": ""})
    assert result.exit_code == 64
    assert result.stderr.startswith("Error: password: it is missing; set PVC_PASSWORD, or give --password-file")


@pytest.mark.parametrize(
    ("text", "mode", "problem"),
    [
        ("[zookeeper]\nhost = 1\n", 0o600, "zookeeper.host: no such option; known: hosts, root, "),
        ('[zookeeper]\nhosts = "a:1"\n', 0o600, "zookeeper.hosts: it is str; give list"),
        ("[zookeeper]\nconnect_timeout = true\n", 0o600, "zookeeper.connect_timeout: it is bool; give float"),
        ("hosts = []\n", 0o600, "it has no table [zookeeper]; add it, with hosts and password"),
        ("[zookeeper\n", 0o600, "it is no TOML: "),
        (
            '[zookeeper]\nhosts = ["a:1"]\npassword = "x"\n',
            0o644,
            "everybody may read it, but it holds a password; chmod",
        ),
        ('[zookeeper]\nhosts = ["a:1"]\npassword_file = "/nowhere"\n', 0o600, "/nowhere cannot be read: No such file"),
        ('[zookeeper]\nhosts = ["a b"]\npassword = "x"\n', 0o600, "hosts: 'a b' is no server"),
    ],
)
def test_files_that_are_wrong(pvc: Pvc, text: str, mode: int, problem: str) -> None:
    written(connection.SITE, text, mode)
    result = pvc("vms", env=NOTHING)
    if "is no server" in problem:  # the store says that, and the one in memory has no servers
        with pytest.raises(Exception, match="is no server"):
            pvc.seen[-1].check()
        return
    assert result.exit_code == 3
    assert problem in result.stderr
    assert "Traceback" not in result.stderr


def test_a_file_that_is_named_must_be_there(pvc: Pvc) -> None:
    assert pvc.fails("--config", "/nowhere.toml", "vms", code=3) == (
        "Error: /nowhere.toml: it cannot be read: No such file or directory; name a file that you may read with --config"
    )


def test_no_option_takes_a_password(pvc: Pvc) -> None:
    assert pvc("--password", "x", "vms").exit_code == 64
    assert "secret" not in repr(pvc.seen)


def test_places_in_order(tmp_path: Path) -> None:
    assert connection.places({"HOME": "/home/ann"})[0] == Path("/home/ann/.config/pvc/cli.toml")
    assert connection.places({"HOME": "/home/ann", "XDG_CONFIG_HOME": "/x"}) == [
        Path("/x/pvc/cli.toml"),
        connection.SITE,
        connection.AGENT,
    ]
