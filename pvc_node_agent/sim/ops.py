# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operations of a case: what each is about, and reading one strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import checks
from .case import WANTED, Op
from .checks import BadCase
from .services import LOAD, service, set_load

#: What each operation is about; ``?`` may be left out. Several names for one thing are separated by ``|``: the first is ours.
_MOVE = ("service", "to|target|to_node|node")
OPS: Mapping[str, Sequence[str]] = {
    "node_power_on": ("node",),
    "node_power_cut": ("node",),
    "node_isolate": ("node",),
    "node_reconnect": ("node",),
    "node_graceful_reboot": ("node",),
    "node_graceful_shutdown": ("node",),
    "agent_restart": ("node",),
    "manager_stop": ("node",),
    "manager_start": ("node",),
    "maintenance_on": ("node",),
    "maintenance_off": ("node",),
    "set_wanted_state": ("service", "state|wanted"),
    "move_live": _MOVE,
    "move_cold": _MOVE,
    "move_outside_ha": _MOVE,
    "stop": ("service", "timeout|timeout_s|seconds?"),
    "vm_lock": ("service", "lock|kind|name|lock_name?"),
    "vm_unlock": ("service", "lock|kind|name|lock_name?"),
    "service_add": (
        "service",
        "node",
        "wanted|state?",
        "running?",
        "kind?",
        "failback?",
        "max_local_restarts?",
        "max_moves_on_start_failure?",
        "faults?",
        "size?",
        "load?",
    ),
    "service_remove": ("service",),
    "set_load": ("service", "load?", *LOAD, "node?"),
    "state_store_fault": ("node", "what|fault|kind|mode|access?"),
    "state_store_ok": ("node", "what|fault|kind|mode|access?"),
    "pause": ("seconds|duration|duration_s|for_s?",),
    "wait": ("seconds|duration|duration_s|for_s?", "rounds|n?", "what|who|component|of|role|skip?", "node?"),
    "set_software_version": ("node", "version|to"),
    "ha_suspend": ("mode|resource_mode|resources?", "node?"),
    "ha_resume": ("node?",),
}
#: What becomes of VMs while HA is suspended: they are held as they are, or nobody manages them.
SUSPENSIONS = ("freeze", "ignore")
#: Kinds of faults of a node's tie to the store.
STORE_FAULTS = (
    *("", "rw", "read_write", "unavailable", "unreachable", "not_mounted"),
    *("update", "updates", "reads_stale", "stale", "inconsistent", "write", "writes_fail"),
)


def operation(number: int, given: Mapping[str, Any], nodes: frozenset[str]) -> Op:
    """One operation; raises BadCase."""
    op = str(given.get("op"))
    what = f"event {number} ({op})"
    if op not in OPS:
        raise BadCase(f"{what}: there is no such operation; there are: {', '.join(sorted(OPS))}")
    time = given.get("t")
    if isinstance(time, bool) or not isinstance(time, (int, float)) or time < 0:
        raise BadCase(f"{what}: t is no time")
    args = checks.renamed(what, {key: value for key, value in given.items() if key not in ("t", "op")}, OPS[op])
    for key in ("node", "to"):
        if key in args:
            checks.one_of(what, key, args[key], nodes)
    if op == "set_wanted_state":
        checks.one_of(what, "state", args["state"], WANTED)
    if op in ("state_store_fault", "state_store_ok"):
        checks.one_of(what, "what", args.get("what", ""), STORE_FAULTS)
    if op == "ha_suspend":
        checks.one_of(what, "mode", args.get("mode", "freeze"), SUSPENSIONS)
    if op == "set_load":
        args = {"service": args["service"], "load": set_load(what, args)}
    if op == "service_add":
        args = {
            "service": args["service"],
            "spec": service(str(args["service"]), checks.without(args, "service"), nodes),
        }
    return Op(float(time), op, args)
