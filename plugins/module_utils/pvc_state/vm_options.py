# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VM's options may be, by themselves: checked and brought into the form of records, with derived defaults.

What depends on the rest of the cluster is plan_vm's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from . import paths
from .errors import InvalidRequest
from .records import MIGRATION_METHODS, WANTED, Boot, Disk, Ha, Migration, Nic
from .requests import UNSET, DiskRequest, HaRequest, MigrationRequest, NicRequest

NAME_RULE = "use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends"

MEMORY = range(16, 16 * 1024 * 1024 + 1)
VCPUS = range(1, 513)
SHUTDOWN_TIMEOUT = range(1, 86_401)
DISK_SIZE = range(1024 * 1024, (1 << 60) + 1)
DISKS, NICS, TAGS, METADATA = 24, 16, 64, 64
HA_NUMBERS = {
    "max_local_restarts": range(-1, 1001),
    "max_moves": range(1001),
    "priority": range(-1000, 1001),
}
MIGRATION_NUMBERS = {
    "max_downtime": range(1, 60_001),
    "bandwidth": range(1_000_001),
}
MODELS = ("virtio", "e1000e")

_RBD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_BRIDGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:=-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def rbd_snapshot(name: str) -> str:
    """What a snapshot of a VM is called in Ceph: by this the agent knows its own from those of others."""
    return f"pvc.{name}"


class Checker:
    """Checks the options of one object; every error names it."""

    def __init__(self, obj: str) -> None:
        self.obj = obj

    def refuse(self, option: str, problem: str, remedy: str) -> NoReturn:
        raise InvalidRequest(problem, obj=self.obj, option=option, remedy=remedy)

    def name(self, value: Any, option: str = "name") -> str:
        if not isinstance(value, str) or not paths.NAME.fullmatch(value):
            self.refuse(option, f"{value!r} is no valid name", NAME_RULE)
        return value

    def number(self, option: str, value: Any, allowed: range, unit: str = "") -> int:
        # bool is an int in Python
        if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
            within = f"give a whole number from {allowed.start} to {allowed.stop - 1}"
            self.refuse(option, f"{value!r} is not possible", f"{within} {unit}".rstrip())
        return value

    def seconds(self, option: str, value: Any, low: float, high: float) -> float:
        return self.fraction(option, value, low, high, "seconds")

    def fraction(
        self, option: str, value: Any, low: float, high: float, unit: str = "", *, or_zero: bool = False
    ) -> float:
        sound = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not sound or not (low <= value <= high or (or_zero and value == 0)):
            within = f"give {'0, or ' if or_zero else ''}a number from {low:g} to {high:g}"
            self.refuse(option, f"{value!r} is not possible", f"{within} {unit}".rstrip())
        return float(value)

    def truth(self, option: str, value: Any) -> bool:
        if not isinstance(value, bool):
            self.refuse(option, f"{value!r} is neither true nor false", "give true or false")
        return value

    def text(self, option: str, value: Any, limit: int = 1024) -> str:
        if not isinstance(value, str) or len(value) > limit or _CONTROL.search(value):
            self.refuse(
                option, "it is no plain text", f"give at most {limit} characters, none of them a control character"
            )
        return value

    def pattern(self, option: str, value: Any, pattern: re.Pattern[str], remedy: str) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            self.refuse(option, f"{value!r} is not possible", remedy)
        return value

    def choice(self, option: str, value: Any, allowed: Sequence[str]) -> str:
        if value not in allowed:
            self.refuse(option, f"{value!r} is not possible", f"give one of {', '.join(allowed)}")
        return str(value)

    def at_most(self, option: str, values: Sequence[Any], limit: int) -> None:
        if len(values) > limit:
            self.refuse(option, f"{len(values)} are too many", f"give at most {limit}")


class VmChecker(Checker):
    """Checks the options of a VM and derives what is left out."""

    def __init__(self, name: str, cluster_id: str) -> None:
        super().__init__(f"vm {name}")
        self._name = name
        self._cluster = cluster_id

    def state(self, value: Any) -> str:
        return self.choice("state", value, tuple(WANTED))

    def disks(self, requests: Sequence[DiskRequest]) -> tuple[Disk, ...]:
        self.at_most("disks", requests, DISKS)
        return tuple(self._disk(index, request) for index, request in enumerate(requests))

    def _disk(self, index: int, request: DiskRequest) -> Disk:
        option = f"disks[{index}]"
        rule = "use 1 to 128 of letters, digits, _ . and -, with a letter, digit or _ first"
        pool = self.pattern(f"{option}.pool", request.pool, _RBD, rule)
        volume = request.volume or f"{self._name}-disk{index}"
        self.pattern(f"{option}.volume", volume, _RBD, rule)
        if request.size is not None:
            self.number(f"{option}.size", request.size, DISK_SIZE, "bytes")
        return Disk(pool, volume, request.size)

    def nics(self, requests: Sequence[NicRequest]) -> tuple[Nic, ...]:
        self.at_most("nics", requests, NICS)
        return tuple(self._nic(index, request) for index, request in enumerate(requests))

    def _nic(self, index: int, request: NicRequest) -> Nic:
        option = f"nics[{index}]"
        self.pattern(
            f"{option}.bridge", request.bridge, _BRIDGE, "give the name of a bridge device, at most 15 characters"
        )
        mac = request.mac.lower() if isinstance(request.mac, str) else request.mac
        mac = mac or self.derived_mac(index)
        self.pattern(f"{option}.mac", mac, _MAC, "give a unicast address such as 02:12:34:56:78:9a, or leave it out")
        self.choice(f"{option}.model", request.model, MODELS)
        link = self.truth(f"{option}.link", request.link)
        return Nic(request.bridge, mac, request.model, link)

    def boot(self, boot: Boot) -> Boot:
        for option in ("kernel", "initrd"):
            path = self.text(f"boot.{option}", getattr(boot, option))
            if path and not path.startswith("/"):
                self.refuse(f"boot.{option}", f"{path!r} is no absolute path", "give the path of a file on the node")
        self.text("boot.cmdline", boot.cmdline, 2048)
        if not boot.kernel and (boot.initrd or boot.cmdline):
            self.refuse("boot.kernel", "it is missing", "name the kernel that initrd and cmdline are for")
        return boot

    def ha(self, request: HaRequest, base: Ha) -> Ha:
        """What is asked for over what there was."""
        values: dict[str, Any] = {}
        for option, allowed in HA_NUMBERS.items():
            if getattr(request, option) is not UNSET:
                values[option] = self.number(f"ha.{option}", getattr(request, option), allowed)
        for option in ("failback", "power_off"):
            if getattr(request, option) is not UNSET:
                values[option] = self.truth(f"ha.{option}", getattr(request, option))
        return dataclasses.replace(base, **values)

    def migration(self, request: MigrationRequest, base: Migration) -> Migration:
        """What is asked for over what there was."""
        values: dict[str, Any] = {}
        if request.method is not UNSET:
            values["method"] = self.choice("migration.method", request.method, tuple(MIGRATION_METHODS))
        for option, allowed in MIGRATION_NUMBERS.items():
            if getattr(request, option) is not UNSET:
                values[option] = self.number(f"migration.{option}", getattr(request, option), allowed)
        for option in ("auto_converge", "post_copy"):
            if getattr(request, option) is not UNSET:
                values[option] = self.truth(f"migration.{option}", getattr(request, option))
        if values.get("post_copy"):
            problem = (
                "a guest that has been moved waits until its claim has followed, and with post-copy it could not wait"
            )
            self.refuse(
                "migration.post_copy", problem, "leave it out; auto_converge or more max_downtime lets a move end, too"
            )
        return dataclasses.replace(base, **values)

    def tags(self, values: Sequence[str], option: str = "tags") -> tuple[str, ...]:
        self.at_most(option, values, TAGS)
        rule = "use 1 to 63 of letters, digits, _ . : = and -, with a letter or digit first"
        return tuple(
            sorted({self.pattern(f"{option}[{index}]", value, _TAG, rule) for index, value in enumerate(values)})
        )

    def metadata(self, values: Mapping[str, str]) -> Mapping[str, str]:
        self.at_most("metadata", list(values), METADATA)
        rule = "use 1 to 63 of letters, digits, _ . : = and - as a key, with a letter or digit first"
        for key, value in values.items():
            self.pattern("metadata", key, _TAG, rule)
            self.text(f"metadata.{key}", value)
        return dict(sorted(values.items()))

    def derived_mac(self, index: int) -> str:
        """A locally administered address: the same for the same cluster, VM and index; 40 bits keep VMs apart."""
        digest = hashlib.sha256(f"{self._cluster}/{self._name}/{index}".encode()).digest()
        return ":".join(f"{byte:02x}" for byte in b"\x02" + digest[:5])

    def derived_uuid(self, taken: Sequence[str] | set[str]) -> str:
        """libvirt's id of a new VM; not one that another VM has, which was created by this name and renamed."""
        space = uuid.uuid5(uuid.NAMESPACE_OID, self._cluster)
        attempt = 0
        while True:
            candidate = str(uuid.uuid5(space, f"vm/{self._name}/{attempt}" if attempt else f"vm/{self._name}"))
            if candidate not in taken:
                return candidate
            attempt += 1
