# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user asks for. An option left out (UNSET) keeps its value; given as its default, it is reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .records import Boot


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


#: The option was not given.
UNSET: Final = Unset.UNSET


@dataclass(frozen=True)
class DiskRequest:
    """A disk as it is asked for.

    Attributes:
        size: bytes. None: the volume exists already; for a disk that the VM has, its size is kept.
        pool: Ceph pool.
        volume: name of the RBD image; empty: ``<vm>-disk<index>``.
    """

    size: int | None = None
    pool: str = "vms"
    volume: str = ""


@dataclass(frozen=True)
class NicRequest:
    """A network interface as it is asked for; an empty mac is derived from cluster, VM and index."""

    bridge: str
    mac: str = ""
    model: str = "virtio"


@dataclass(frozen=True)
class VmRequest:
    """A VM as it is asked for.

    Attributes:
        state: one of records.WANTED; UNSET starts a new VM.
        node: name of a node that the VM is bound to; None leaves the choice to placement.
        disks, nics: the whole list, in order.
        delete_volumes: only with state absent.
        The others: as in records.Vm.
    """

    name: str
    state: str | Unset = UNSET
    node: str | Unset | None = UNSET
    memory: int | Unset = UNSET
    vcpus: int | Unset = UNSET
    disks: Sequence[DiskRequest] | Unset = UNSET
    nics: Sequence[NicRequest] | Unset = UNSET
    boot: Boot | Unset = UNSET
    description: str | Unset = UNSET
    tags: Sequence[str] | Unset = UNSET
    shutdown_timeout: int | Unset = UNSET
    delete_volumes: bool | Unset = UNSET


@dataclass(frozen=True)
class NodeRequest:
    """A node as it is asked for; state is ``present`` or ``absent``."""

    name: str
    state: str = "present"
    coordinator: bool | Unset = UNSET
    memory_reserve: int | Unset = UNSET


@dataclass(frozen=True)
class MoveRequest:
    """A VM that is to go to another node now.

    Attributes:
        to: the node. cold: stop it for that, although it could move while it runs.
    """

    name: str
    to: str
    cold: bool = False
