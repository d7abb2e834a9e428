# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""One node or a list of them, as arguments and as requests to the library, and what is waited for after a change."""

from __future__ import annotations

import time
import typing as t
from collections.abc import Mapping

from ._module import fail
from .pvc_state import node_spec
from .pvc_state.author import whoever
from .pvc_state.errors import WaitTimeout
from .pvc_state.node_limits import EMPTY, why_down
from .pvc_state.option_values import given
from .pvc_state.requests import UNSET, DeadRequest, NodeRequest

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from .pvc_state.commit import Committed
    from .pvc_state.snapshot import Snapshot
    from .pvc_state.store import Store
    from .pvc_state.wait_node import Gone

Options = Mapping[str, t.Any]

#: Seconds for the coordinators to try a device: they look every few seconds, and a device may take ten to answer.
VERIFY_TIMEOUT = 30

#: Arguments that describe one node or a list of them.
SPEC: dict[str, t.Any] = {
    "name": {"type": "str"},
    "nodes": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, **node_spec.OPTIONS},
    },
    **node_spec.OPTIONS,
}


def requests(params: Options) -> list[NodeRequest]:
    """What a task asks for; options beside a list are the defaults of everything in it."""
    common = given({key: params[key] for key in node_spec.OPTIONS})
    listed = params["nodes"] if params["name"] is None else [{"name": params["name"]}]
    return [_request({**common, **given(options)}) for options in listed]


def _request(options: dict[str, t.Any]) -> NodeRequest:
    if "declared_dead" in options:
        word = options["declared_dead"]
        by = whoever() if word["by"] is None else word["by"]
        options["declared_dead"] = DeadRequest(word["why"], by, _now())
    return node_spec.request(options)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def verify(module: AnsibleModule, store: Store, requests: list[NodeRequest], done: Committed) -> None:
    """Fail when a device that is new to the cluster cannot be used; warn of others, and when nobody could try."""
    if not any(one.fence for one in requests if one.fence is not UNSET):
        return
    # imported when it is needed: a call with nothing to do shall be quick
    from .pvc_state.wait_node import reads, wait_for_reads

    before = done.snapshot_before.nodes if done.snapshot_before else {}
    new, old = {}, {}
    for one in requests:
        stored = before.get(one.name)
        known = stored.value.fence if stored and stored.value else ()
        for device in done.snapshot_after.nodes[one.name].value.fence if one.fence is not UNSET else ():
            (old if device in known else new)[one.name, device.name] = device
    for text in reads(done.snapshot_after, old).failed:
        module.warn(f"{text[0].upper()}{text[1:]}.")
    if not new:
        return
    found = wait_for_reads(store, new, VERIFY_TIMEOUT)
    if found.failed:
        raise WaitTimeout(
            "; ".join(found.failed),
            option="fence",
            remedy="the devices are declared; remove the cause, or give verify=false to declare what cannot be used yet",
        )
    for text in found.unread:
        module.warn(
            f"It is not known whether fence devices can be used: {text} was not read within {VERIFY_TIMEOUT} s."
        )


def warn(module: AnsibleModule, requests: list[NodeRequest], done: Committed) -> None:
    """What whoever asks for a state should know: nodes that are down, and what another loss would cost meanwhile."""
    before = done.snapshot_before
    if before is None or not any(one.state in (*EMPTY, "ready") for one in requests):
        return
    # imported when it is needed: a call with nothing to do shall be quick
    from .pvc_state.drain_report import exposed

    for one in requests:
        down = why_down(before, one.name) if one.name in before.nodes else ""
        if down and one.state in EMPTY:
            module.warn(f"Node {one.name} {down}: nothing moves from it, but what is recovered.")
        elif down and one.state == "ready":
            module.warn(f"Node {one.name} {down}: it takes no VM until that is over.")
    drained = {
        change.name
        for change in done.plan.changes
        if change.kind == "node" and (change.after or {}).get("state") in EMPTY
    }.intersection(one.name for one in requests if one.state in EMPTY)
    if drained and (lack := exposed(before, done.snapshot_after)):
        module.warn(f"While it takes no VMs: {lack}.")


def show(snapshot: Snapshot, requests: list[NodeRequest], gone: t.Sequence[Gone] = ()) -> dict[str, t.Any]:
    """The part of a result that says how far nodes are emptied; nothing where none is to be."""
    nodes = [one.name for one in requests if one.state in EMPTY]
    if not nodes:
        return {}
    from .pvc_state.drain_report import drain_view, drains

    found = drains(snapshot, nodes).nodes
    return {
        "drains": [
            {
                **drain_view(found[node]),
                "moved": [{"vm": one.vm, "to": one.to, "seconds": one.seconds} for one in gone if one.node == node],
            }
            for node in nodes
            if node in found
        ]
    }


def settle(
    module: AnsibleModule, store: Store, requests: list[NodeRequest], done: Committed, result: dict[str, t.Any]
) -> tuple[Snapshot, t.Sequence[Gone]]:
    """Wait until the nodes that are to be empty are, and until VMs have returned to those that take them again.

    Args:
        result: of the task so far: what is known of a drain that fails comes beside it.
    """
    snapshot, timeout = done.snapshot_after, module.params["wait_timeout"]
    empty = [one.name for one in requests if one.state in EMPTY]
    ready = [one.name for one in requests if one.state == "ready" and one.name in snapshot.alive]
    gone: t.Sequence[Gone] = ()
    if empty:
        from .pvc_state.drain_report import drains
        from .pvc_state.wait_node import NotDrained, wait_until_drained

        if drains(snapshot, empty).left:
            before = done.snapshot_before or snapshot

            def told(vm: str, node: str, to: str, left: int) -> None:
                module.log(f"VM {vm} has gone from {node} to {to}; {left} left")

            try:
                snapshot, gone = wait_until_drained(store, before, empty, timeout, told)
            except NotDrained as err:
                fail(module, err, **result, **show(err.snapshot, requests, err.gone))
        for node, drain in drains(snapshot, empty).nodes.items():
            for vm, why in drain.staying.items():
                module.warn(f"VM {vm} stays on {node}: {why}.")
    if any(claim.value and claim.value.home in ready and not claim.value.away for claim in snapshot.claims.values()):
        from .pvc_state.wait_node import wait_until_returned

        snapshot, kept = wait_until_returned(store, ready, timeout)
        for vm, why in kept.items():
            module.warn(f"VM {vm} has not returned: {why}.")
    return snapshot, gone
