# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs and their loads as a case writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import checks
from .case import KINDS, WANTED, Load, ServiceSpec
from .checks import BadCase

#: What a load consists of.
LOAD = ("cpu|cpus|cpu_usage?", "mem_bytes|mem|memory|memory_bytes?")


def service(name: str, given: Mapping[str, Any], nodes: frozenset[str]) -> ServiceSpec:
    """A VM; raises BadCase."""
    what = f"service {name}"
    options = {"kind", "node", "wanted", "failback", "max_local_restarts", "max_moves_on_start_failure"}
    checks.only(what, given, {*options, "faults", "load", "size", "running"})
    faults = checks.mapping(f"{what}: faults", given.get("faults") or {})
    checks.only(
        f"{what}: faults", faults, {"start_fails_times", "move_fails_times", "stop_always_fails", "only_on_node"}
    )
    size = checks.mapping(f"{what}: size", given.get("size") or {})
    size = checks.renamed(f"{what}: size", size, ("cpus|maxcpu|cpu|vcpus?", "mem_bytes|maxmem|mem|memory_bytes?"))
    faulty_node = faults.get("only_on_node") or ""
    return ServiceSpec(
        node=checks.one_of(what, "node", given.get("node"), nodes),
        kind=checks.one_of(what, "kind", given.get("kind", "vm"), KINDS),
        wanted=checks.one_of(what, "wanted", given.get("wanted", "started"), WANTED),
        failback=checks.truth(what, "failback", given.get("failback", True)),
        max_local_restarts=checks.count(what, "max_local_restarts", given.get("max_local_restarts", 1), least=-1),
        max_moves=checks.count(what, "max_moves_on_start_failure", given.get("max_moves_on_start_failure", 1)),
        start_fails=checks.count(what, "start_fails_times", faults.get("start_fails_times", 0)),
        move_fails=checks.count(what, "move_fails_times", faults.get("move_fails_times", 0)),
        stop_fails=checks.truth(what, "stop_always_fails", faults.get("stop_always_fails", False)),
        faulty_node=checks.one_of(what, "only_on_node", faulty_node, nodes) if faulty_node else "",
        cpus=max(1, checks.count(what, "cpus", size.get("cpus", 1))),
        memory=max(64, checks.mebibytes(what, "mem_bytes", size.get("mem_bytes", 512 << 20))),
        running=checks.truth(what, "running", given.get("running", False)),
        load=load(f"{what}: load", given["load"]) if given.get("load") else None,
    )


def load(what: str, given: object) -> Load:
    """As an object, or as a number of processors."""
    if not isinstance(given, dict):
        return Load(checks.number(what, "cpu", given))
    parts = checks.renamed(what, given, LOAD)
    return Load(
        checks.number(what, "cpu", parts["cpu"]) if "cpu" in parts else None,
        checks.mebibytes(what, "mem_bytes", parts["mem_bytes"]) if "mem_bytes" in parts else None,
    )


def set_load(what: str, args: Mapping[str, Any]) -> Load:
    """The load that an operation gives a VM, as one object or in its parts."""
    parts = {key: args[key] for key in ("cpu", "mem_bytes") if key in args}
    if "load" in args and parts:
        raise BadCase(f"{what}: load and {' and '.join(parts)} mean the same")
    if "load" not in args and not parts:
        raise BadCase(f"{what}: load is missing")
    return load(what, args.get("load", parts))
