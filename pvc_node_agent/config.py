# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of the agent: one TOML file, checked whole before anything starts.

Every error names the file, the key and what would be right; a key that is not known is an error, since a misspelt
option that is skipped in silence is worse than an agent that does not start.
"""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvc_state.errors import PvcError

DEFAULT_PATH = Path("/etc/pvc-node-agent/agent.toml")

_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_ZNODE = re.compile(r"(/[^/\s]+)+")
_SERVER = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}")
_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class ConfigError(PvcError):
    """The configuration file is missing, unreadable or wrong."""


@dataclass(frozen=True)
class ZookeeperConfig:
    """[zookeeper]: where the cluster's state is, and as whom to ask for it.

    Attributes:
        session_timeout: of the first session; later ones are as long as the cluster's settings say.
    """

    hosts: tuple[str, ...]
    username: str
    password: str = field(repr=False)
    root: str = "/pvc"
    tls: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    session_timeout: float = 6.0
    connect_timeout: float = 10.0


@dataclass(frozen=True)
class LibvirtConfig:
    """[libvirt]: the hypervisor of this node.

    Attributes:
        domain_type: ``kvm``, ``qemu`` (software emulation), or ``auto``: kvm where libvirt offers it.
        machine: QEMU's machine type.
        cpu_model: ``host-passthrough``, ``host-model`` or a model's name; ``auto``: host-model under kvm, else qemu64.
    """

    uri: str = "qemu:///system"
    domain_type: str = "auto"
    machine: str = "q35"
    cpu_model: str = "auto"


@dataclass(frozen=True)
class CephConfig:
    """[ceph]: how the node and its VMs reach their volumes.

    Attributes:
        secret_uuid: libvirt's secret that holds the key of the user.
    """

    secret_uuid: str
    conf: str = "/etc/ceph/ceph.conf"
    user: str = "libvirt"


@dataclass(frozen=True)
class HealthConfig:
    """[health]: which services should run on this node, to be looked at and told of.

    Attributes:
        zookeeper: host and plain port of its server, which listens on loopback; empty: none runs here.
        patroni: URL of its member's REST API, asked with the certificate of [zookeeper]; empty: none runs here.
    """

    zookeeper: str = ""
    patroni: str = ""
    ceph: bool = False
    frr: bool = False


@dataclass(frozen=True)
class FenceConfig:
    """[fence]: by what a coordinator takes other nodes out of the way.

    Attributes:
        user: of Ceph, one that may do this and nothing else. keyring: with its key.
        credentials: directory with the passwords of fence devices, a file each.
    """

    user: str = "pvc-fence"
    keyring: str = "/etc/ceph/ceph.client.pvc-fence.keyring"
    credentials: str = "/etc/pvc/fence.d"


@dataclass(frozen=True)
class Config:
    """The whole file.

    Attributes:
        parallel_starts: how many VMs are started at the same time.
        addresses: what the node is reached by in each network of the cluster; published in its status.
        health: None when the file does not have the section: nothing is looked at, and nothing told.
        fence: None when the file does not have the section: the node may lead, but fences nobody, and says so.
    """

    node: str
    zookeeper: ZookeeperConfig
    ceph: CephConfig
    libvirt: LibvirtConfig = LibvirtConfig()
    parallel_starts: int = 4
    addresses: Mapping[str, str] = field(default_factory=dict)
    health: HealthConfig | None = None
    fence: FenceConfig | None = None


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            "there is no such file",
            obj=str(path),
            remedy="write it, as role node_agent does, or name another with --config",
        ) from None
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"it cannot be read: {err}", obj=str(path), remedy="run the agent as root") from err
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(
            f"others than its owner may use it (mode {stat.S_IMODE(mode):04o}), but it holds a password",
            obj=str(path),
            remedy=f"chmod 0600 {path}",
        )
    return parse(text, str(path))


def parse(text: str, source: str) -> Config:
    """The configuration in a text. Raises ConfigError; ``source`` is what the error calls the text."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"it is no TOML: {err}", obj=source, remedy="correct the line") from err
    top = _Table(source, "", raw)
    zookeeper = top.table("zookeeper")
    tls = zookeeper.boolean("tls", True)
    libvirt = top.table("libvirt", required=False)
    ceph = top.table("ceph")
    health = top.table("health", required=False)
    fence = top.table("fence", required=False)
    config = Config(
        node=top.text("node", pattern=_NAME, wanted="the node's short host name"),
        parallel_starts=top.whole("parallel_starts", 4, low=1, high=64),
        zookeeper=ZookeeperConfig(
            hosts=zookeeper.texts("hosts", wanted='a list such as ["10.0.0.1:2281", "10.0.0.2:2281"]'),
            root=zookeeper.text("root", "/pvc", pattern=_ZNODE, wanted="an absolute path such as /pvc"),
            username=zookeeper.text("username"),
            password=zookeeper.text("password", secret=True),
            tls=tls,
            ca_file=zookeeper.file("ca_file", required=tls),
            cert_file=zookeeper.file("cert_file", required=tls),
            key_file=zookeeper.file("key_file", required=tls),
            session_timeout=zookeeper.seconds("session_timeout", 6.0, low=1.0, high=60.0),
            connect_timeout=zookeeper.seconds("connect_timeout", 10.0, low=1.0, high=300.0),
        ),
        libvirt=LibvirtConfig(
            uri=libvirt.text("uri", "qemu:///system"),
            domain_type=libvirt.text(
                "domain_type", "auto", pattern=re.compile("auto|kvm|qemu"), wanted="auto, kvm or qemu"
            ),
            machine=libvirt.text("machine", "q35"),
            cpu_model=libvirt.text("cpu_model", "auto"),
        ),
        ceph=CephConfig(
            conf=ceph.file("conf", "/etc/ceph/ceph.conf", must_exist=False),
            user=ceph.text("user", "libvirt"),
            secret_uuid=ceph.text("secret_uuid", pattern=_UUID, wanted="the UUID of libvirt's Ceph secret"),
        ),
        addresses=top.table("addresses", required=False).all_texts(),
        health=HealthConfig(
            zookeeper=health.optional("zookeeper", _SERVER, "an address and a port such as 127.0.0.1:2181"),
            patroni=health.optional("patroni", _URL, "a URL such as https://10.0.0.1:8008"),
            ceph=health.boolean("ceph", False),
            frr=health.boolean("frr", False),
        )
        if "health" in raw
        else None,
        fence=FenceConfig(
            user=fence.text("user", "pvc-fence"),
            keyring=fence.file("keyring", "/etc/ceph/ceph.client.pvc-fence.keyring", must_exist=False),
            credentials=fence.file("credentials", "/etc/pvc/fence.d", must_exist=False),
        )
        if "fence" in raw
        else None,
    )
    for table in (zookeeper, libvirt, ceph, health, fence, top):
        table.no_more()
    return config


class _Table:
    """One table of the file; remembers which keys were asked for, so that the others can be refused."""

    def __init__(self, source: str, name: str, raw: Mapping[str, Any]) -> None:
        self._source = source
        self._name = name
        self._raw = raw
        self._asked: set[str] = set()

    def _error(self, key: str, problem: str, remedy: str) -> ConfigError:
        option = f"{self._name}.{key}" if self._name else key
        return ConfigError(problem, obj=self._source, option=option, remedy=remedy)

    def _value(self, key: str, kind: type | tuple[type, ...], default: Any, wanted: str) -> Any:
        self._asked.add(key)
        if key not in self._raw:
            if default is None:
                raise self._error(key, "it is missing", f"give {wanted}")
            return default
        value = self._raw[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._error(key, f"it is {type(value).__name__}", f"give {wanted}")
        return value

    def table(self, key: str, required: bool = True) -> _Table:
        value = self._value(key, dict, None if required else {}, f"a table [{key}]")
        return _Table(self._source, key, value)

    def text(
        self,
        key: str,
        default: str | None = None,
        pattern: re.Pattern[str] | None = None,
        wanted: str = "a text that is not empty",
        secret: bool = False,
    ) -> str:
        value = self._value(key, str, default, wanted)
        if not value or (pattern is not None and not pattern.fullmatch(value)):
            raise self._error(key, "it is not right" if secret else f"{value!r} is not right", f"give {wanted}")
        return str(value)

    def optional(self, key: str, pattern: re.Pattern[str], wanted: str) -> str:
        self._asked.add(key)
        return self.text(key, pattern=pattern, wanted=wanted) if key in self._raw else ""

    def texts(self, key: str, wanted: str) -> tuple[str, ...]:
        value = self._value(key, list, None, wanted)
        if not value or not all(isinstance(item, str) and item for item in value):
            raise self._error(key, "it is empty or holds something else than texts", f"give {wanted}")
        return tuple(value)

    def all_texts(self) -> dict[str, str]:
        return {key: self.text(key) for key in self._raw}

    def boolean(self, key: str, default: bool) -> bool:
        return bool(self._value(key, bool, default, "true or false"))

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        wanted = f"a whole number from {low} to {high}"
        value = self._value(key, int, default, wanted)
        if not low <= value <= high:
            raise self._error(key, f"{value} is out of range", f"give {wanted}")
        return int(value)

    def seconds(self, key: str, default: float, low: float, high: float) -> float:
        wanted = f"seconds from {low:g} to {high:g}"
        value = self._value(key, (int, float), default, wanted)
        if not low <= value <= high:
            raise self._error(key, f"{value} is out of range", f"give {wanted}")
        return float(value)

    def file(self, key: str, default: str | None = None, required: bool = True, must_exist: bool = True) -> str:
        """An absolute path; files that are needed from the first second on must exist."""
        wanted = "an absolute path of a file"
        value = self._value(key, str, default if required else "", wanted)
        if not value and not required:
            return ""
        if not value.startswith("/"):
            raise self._error(key, f"{value!r} is not right", f"give {wanted}")
        if must_exist and not Path(value).is_file():
            raise self._error(key, f"{value} does not exist", "create the file, or give the right path")
        return str(value)

    def no_more(self) -> None:
        for key in self._raw:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise self._error(key, "no such option", f"remove or correct it; known here: {known}")
