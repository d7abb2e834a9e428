# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every path of the tree, relative to the store's root. No other file holds one.

docs/state.md is the same table in words.
"""

from __future__ import annotations

import re

#: A name of a VM or node: a DNS label, and so also a file name and a znode's name.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_COMMIT = re.compile(r"([0-9]{10,20})(?:\.([0-9]{1,9}))?")

SCHEMA = "/schema"
NODES = "/nodes"
STATUS = "/status"
ALIVE = "/alive"
HEALTH = "/health"
VMS = "/vms"
CLAIMS = "/claims"
ASSIGNED = "/assigned"
JOURNAL = "/journal"
STAGED = "/staged"
SETTINGS = "/settings"
RULES = "/rules"
LEADER = "/leader"
EPOCH = "/epoch"
FENCES = "/fences"
DECLARED = "/declared"
HISTORY = "/history"
COMMITS = "/commits"

#: Persistent parents that a tree is initialised with.
PARENTS = (
    NODES,
    STATUS,
    ALIVE,
    HEALTH,
    VMS,
    CLAIMS,
    ASSIGNED,
    STAGED,
    RULES,
    FENCES,
    DECLARED,
    HISTORY,
    COMMITS,
    EPOCH,
)


def node(name: str) -> str:
    """Desired state of a node; written by users' commits."""
    return f"{NODES}/{name}"


def status(name: str) -> str:
    """Observed state of a node and the VMs on it; written by that node's agent."""
    return f"{STATUS}/{name}"


def alive(name: str) -> str:
    """Ephemeral of a node's agent: its session is the node's liveness."""
    return f"{ALIVE}/{name}"


def health(name: str) -> str:
    """Health of the services on a node; written by that node's agent."""
    return f"{HEALTH}/{name}"


def rule(name: str) -> str:
    """Where VMs may run; written by users' commits."""
    return f"{RULES}/{name}"


def fence(node_name: str) -> str:
    """A node that is gone, and what became of its VMs; written by the leader."""
    return f"{FENCES}/{node_name}"


def declared(node_name: str) -> str:
    """An operator's word that a node is off; written by users' commits, removed by the leader with the fence."""
    return f"{DECLARED}/{node_name}"


def history(fence_id: str) -> str:
    """A fence that is over; written by the leader."""
    return f"{HISTORY}/{fence_id}"


def commit(revision: int, part: int = 0) -> str:
    """Who made a commit and what it changed, written with it; large ones have further parts beside the first."""
    return f"{COMMITS}/{revision:010d}" + (f".{part}" if part else "")


def commit_part(name: str) -> tuple[int, int] | None:
    """Revision and part that a name below /commits stands for; None for any other name."""
    match = _COMMIT.fullmatch(name)
    return (int(match[1]), int(match[2] or 0)) if match else None


def vm(name: str) -> str:
    """Desired state of a VM; written by users' commits, removed by the owner's agent once a deletion is done."""
    return f"{VMS}/{name}"


def claim(name: str) -> str:
    """The right to run a VM: which node, at which epoch."""
    return f"{CLAIMS}/{name}"


def assigned(node_name: str, vm_name: str | None = None) -> str:
    """Index of claims by node; an entry is empty and changes in the same commit as the claim."""
    return f"{ASSIGNED}/{node_name}" if vm_name is None else f"{ASSIGNED}/{node_name}/{vm_name}"


def staged(transaction: str, chunk: int | None = None) -> str:
    """A large plan's operations, in chunks, before the journal makes them visible at once."""
    return f"{STAGED}/{transaction}" if chunk is None else f"{STAGED}/{transaction}/{chunk:04d}"
