# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file: what is right is read, and each way to be wrong gets its own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvc_node_agent import __version__, config, health
from pvc_node_agent.__main__ import main
from pvc_state.memory_store import MemoryEnsemble

GOOD = """
node = "node1"
[zookeeper]
hosts = ["10.0.0.1:2281", "10.0.0.2:2281"]
username = "pvc"
password = "s3cret"
ca_file = "{tls}/ca.pem"
cert_file = "{tls}/cert.pem"
key_file = "{tls}/key.pem"
session_timeout = 4
[libvirt]
domain_type = "qemu"
[ceph]
secret_uuid = "9a5310ac-ffb6-5787-b86b-0f1f97b93d02"
[addresses]
cluster = "10.0.0.1"
"""


@pytest.fixture
def text(tmp_path: Path) -> str:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    return GOOD.format(tls=tmp_path)


def write(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_what_is_right_is_read(tmp_path: Path, text: str) -> None:
    loaded = config.load(write(tmp_path, text))
    assert loaded.node == "node1"
    assert loaded.parallel_starts == 4
    assert loaded.zookeeper.hosts == ("10.0.0.1:2281", "10.0.0.2:2281")
    assert (loaded.zookeeper.root, loaded.zookeeper.tls, loaded.zookeeper.session_timeout) == ("/pvc", True, 4.0)
    assert (loaded.libvirt.uri, loaded.libvirt.domain_type) == ("qemu:///system", "qemu")
    assert (loaded.ceph.user, loaded.ceph.conf) == ("libvirt", "/etc/ceph/ceph.conf")
    assert loaded.addresses == {"cluster": "10.0.0.1"}


def test_without_tls_no_certificates_are_needed(text: str) -> None:
    lines = [line for line in text.splitlines() if "_file" not in line]
    lines.insert(lines.index("[zookeeper]") + 1, "tls = false")
    assert config.parse("\n".join(lines), "agent.toml").zookeeper.tls is False


def test_the_password_is_not_shown(text: str) -> None:
    assert "s3cret" not in repr(config.parse(text, "agent.toml"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('node = "node1"', "", "agent.toml, node: it is missing; give the node's short host name"),
        ('node = "node1"', 'node = "node 1"', "agent.toml, node: 'node 1' is not right"),
        ('node = "node1"', "node = 1", "agent.toml, node: it is int; give the node's short host name"),
        ('node = "node1"', "node = ", "agent.toml: it is no TOML"),
        (
            'node = "node1"',
            'node = "node1"\nnodes = 3',
            "agent.toml, nodes: no such option; remove or correct it; known",
        ),
        (
            'node = "node1"',
            'node = "node1"\nparallel_starts = 0',
            "parallel_starts: 0 is out of range; give a whole number",
        ),
        ('node = "node1"', 'node = "node1"\nparallel_starts = true', "parallel_starts: it is bool"),
        ("[zookeeper]", "[zookeper]", "agent.toml, zookeeper: it is missing; give a table [zookeeper]"),
        ('["10.0.0.1:2281", "10.0.0.2:2281"]', "[]", "zookeeper.hosts: it is empty or holds something else than texts"),
        (
            '["10.0.0.1:2281", "10.0.0.2:2281"]',
            "[1]",
            "zookeeper.hosts: it is empty or holds something else than texts",
        ),
        ('username = "pvc"', 'username = ""', "zookeeper.username: '' is not right; give a text that is not empty"),
        ('"s3cret"', '""', "zookeeper.password: it is not right; give a text that is not empty"),
        ("/ca.pem", "/none.pem", "none.pem does not exist; create the file, or give the right path"),
        (
            "session_timeout = 4",
            "session_timeout = 0.1",
            "zookeeper.session_timeout: 0.1 is out of range; give seconds from",
        ),
        (
            "session_timeout = 4",
            'root = "pvc"',
            "zookeeper.root: 'pvc' is not right; give an absolute path such as /pvc",
        ),
        ("session_timeout = 4", "tls = 1", "zookeeper.tls: it is int; give true or false"),
        ('"qemu"', '"xen"', "libvirt.domain_type: 'xen' is not right; give auto, kvm or qemu"),
        (
            '"qemu"',
            '"qemu"\nmashine = "pc"',
            "libvirt.mashine: no such option; remove or correct it; known here: cpu_model",
        ),
        (
            "9a5310ac-",
            "",
            "ceph.secret_uuid: 'ffb6-5787-b86b-0f1f97b93d02' is not right; give the UUID of libvirt's Ceph",
        ),
        ('cluster = "10.0.0.1"', "cluster = 10", "addresses.cluster: it is int"),
        (
            "[addresses]",
            '[health]\nzookeeper = "2181"\n[addresses]',
            "health.zookeeper: '2181' is not right; give an address and a port such as 127.0.0.1:2181",
        ),
        (
            "[addresses]",
            '[health]\npatroni = "10.0.0.1:8008"\n[addresses]',
            "health.patroni: '10.0.0.1:8008' is not right; give a URL such as https://10.0.0.1:8008",
        ),
        ("[addresses]", "[health]\nceph = 1\n[addresses]", "health.ceph: it is int; give true or false"),
        (
            "[addresses]",
            '[fence]\nkeyring = "x"\n[addresses]',
            "fence.keyring: 'x' is not right; give an absolute path",
        ),
        ("[addresses]", "[fence]\nipmi = true\n[addresses]", "fence.ipmi: no such option"),
        ("[addresses]", "[health]\nlibvirt = true\n[addresses]", "health.libvirt: no such option"),
    ],
)
def test_each_mistake_is_named(text: str, old: str, new: str, words: str) -> None:
    assert old in text
    with pytest.raises(config.ConfigError) as raised:
        config.parse(text.replace(old, new, 1), "agent.toml")
    assert words in str(raised.value)
    assert "s3cret" not in str(raised.value)


HEALTH = """
[health]
zookeeper = "127.0.0.1:2181"
patroni = "https://10.0.0.1:8008"
ceph = true
frr = true
"""


@pytest.mark.parametrize(
    ("section", "kinds"),
    [
        ("", []),
        ("[health]\n", []),
        ("[health]\nfrr = true\n", ["frr"]),
        (HEALTH, ["zookeeper", "patroni", "ceph", "frr"]),
        ("[health]\n[fence]\n", ["fence"]),
    ],
)
def test_what_is_named_is_looked_at(text: str, section: str, kinds: list[str]) -> None:
    parsed = config.parse(f"{text}{section}", "agent.toml")
    assert (parsed.health is not None) == bool(section)
    assert list(health.looks(parsed, MemoryEnsemble().connect)) == kinds


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(
        config.ConfigError, match=r"agent.toml: there is no such file; write it, as role node_agent does"
    ):
        config.load(tmp_path / "agent.toml")


def test_a_file_that_others_may_read(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text, 0o640)
    with pytest.raises(config.ConfigError, match=rf"mode 0640\), but it holds a password; chmod 0600 {path}"):
        config.load(path)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(config.ConfigError, match="it cannot be read"):
        config.load(path)


def test_the_command_checks_the_file(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path, text)
    assert main(["--config", str(good), "--check-config"]) == 0
    assert main(["--config", str(tmp_path / "none.toml"), "--check-config"]) == 78
    assert "none.toml: there is no such file" in capsys.readouterr().err


def test_the_command_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.strip() == __version__


def test_only_a_coordinator_fences(text: str) -> None:
    assert config.parse(text, "agent.toml").fence is None
    fence = config.parse(text + "\n[fence]\n", "agent.toml").fence
    assert fence == config.FenceConfig("pvc-fence", "/etc/ceph/ceph.client.pvc-fence.keyring", "/etc/pvc/fence.d")
