# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can happen to a leader or a candidate: each event is data, folded into the view by ``absorb``."""

from __future__ import annotations

from dataclasses import dataclass

from pvc_state.snapshot import Snapshot

from .effects import StoreEffect


@dataclass(frozen=True)
class AliveSeen:
    """These nodes have a session. Every candidate is told, so that whoever leads next knows whom it has seen."""

    nodes: frozenset[str]


@dataclass(frozen=True)
class Blinded:
    """The store is out of reach: nothing is known of anybody's session until it is back."""

    reason: str


@dataclass(frozen=True)
class Elected:
    """This agent leads, under this epoch."""

    epoch: int


@dataclass(frozen=True)
class Deposed:
    """It does not any more."""

    reason: str


@dataclass(frozen=True)
class TreeSeen:
    """The tree, as it is now. Only the leader is told."""

    snapshot: Snapshot


@dataclass(frozen=True)
class StorageCut:
    """CutStorage has ended. epoch: Ceph's osdmap epoch that holds the entries; error: why it failed, else empty."""

    node: str
    fence: str
    epoch: int
    error: str = ""


@dataclass(frozen=True)
class StorageRestored:
    """RestoreStorage has ended."""

    node: str
    fence: str
    error: str = ""


@dataclass(frozen=True)
class PowerRead:
    """PowerOff has ended. off: the device read back that the node is off; why: what it said, in words."""

    node: str
    fence: str
    device: str
    off: bool
    why: str


@dataclass(frozen=True)
class MarkedDown:
    """MarkDown has ended; why: which OSDs, or why not."""

    node: str
    fence: str
    why: str


@dataclass(frozen=True)
class Written:
    """A write has ended; refused: why it was not made, empty when it was."""

    effect: StoreEffect
    refused: str = ""


DeviceResult = StorageCut | StorageRestored | PowerRead | MarkedDown
LeadEvent = AliveSeen | Blinded | Elected | Deposed | TreeSeen | DeviceResult | Written
