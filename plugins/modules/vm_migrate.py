#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_migrate
short_description: Move virtual machines to other nodes, back, or not any more
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Moves one VM (O(name)) or any number of them (O(vms)) to another node, while they run if they can. All moves of a task are one plan.
    When one of them cannot be, none is begun.
  - The node's agent carries a move out. Whatever breaks meanwhile, one copy of the guest runs, under one claim.
  - VMs that a rule keeps together move together.
  - Where a VM is always to be is a matter of O(pvc.cluster.vm#module:node) and of rules. What this module has moved stays where it is until
    a rule, a drain or a failure moves it.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
attributes:
  idempotent:
    support: partial
    details: Without O(to), each run moves the VMs to yet another node.
options:
  name:
    description: The VM. Exactly one of O(name) and O(vms) is needed.
    type: str
  vms:
    description: Several VMs. Options beside the list are the defaults of everything in it.
    type: list
    elements: dict
    suboptions:
      name:
        description: The VM.
        type: str
        required: true
      state:
        description: As O(state).
        type: str
        choices: [moved, back, cancelled]
      to:
        description: As O(to).
        type: str
      method:
        description: As O(method).
        type: str
        choices: [live, cold]
      home:
        description: As O(home).
        type: str
        choices: [remember, forget]
      force:
        description: As O(force).
        type: bool
  state:
    description:
      - V(moved) moves it to another node. A VM that is there already is left as it is.
      - V(back) moves it to the node that it remembers as its home. One that remembers none is left as it is.
      - V(cancelled) ends a move that is under way. The guest runs on where it was. When the guest has arrived already, or when the cluster
        would begin the move again at once, it is refused.
    type: str
    choices: [moved, back, cancelled]
    default: moved
  to:
    description:
      - The node to move it to. By default the best of the other nodes, with the reason in RV(why).
      - When no node can take it, the error says of each why not.
    type: str
  method:
    description:
      - V(live) insists that a guest that runs goes on running. V(cold) has it stopped, moved and started.
      - By default it is what the VM's own option O(pvc.cluster.vm#module:migration.method) says.
      - A VM that does not run is moved as it is.
    type: str
    choices: [live, cold]
  home:
    description:
      - V(remember) makes it a move for a while. The VM stays until O(state=back), and remembers the node where it was at home until then.
      - V(forget) makes it a move for good. For a VM that is on that node already it forgets its home.
      - By default it is a move for good, unless the VM's home is just being emptied. Then it still returns when that takes VMs again.
    type: str
    choices: [remember, forget]
  force:
    description: Whether to move a VM whose O(pvc.cluster.vm#module:migration.method) is V(none). It is stopped for that.
    type: bool
    default: false
  parallel:
    description:
      - How many of the task's VMs are on their way at the same time. V(0) sets no limit. The others begin when one has arrived, and none is
        begun any more once one could not be moved. It needs O(wait).
      - Each node sends two guests at a time in any case.
    type: int
    default: 0
  wait:
    description: Whether to wait until they have arrived, and run there if they are to run. Check mode never waits.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait. The module then fails and says how far each VM is; what has begun goes on.
    type: int
    default: 600
seealso:
  - module: pvc.cluster.vm
  - module: pvc.cluster.node
    description: Drains a node.
"""

EXAMPLES = r"""
- name: To another node of the cluster's choice
  pvc.cluster.vm_migrate:
    name: worker1

- name: Away to node2 for a while, one at a time
  pvc.cluster.vm_migrate:
    vms: [{name: worker1}, {name: worker3, method: cold}]
    to: node2
    home: remember
    parallel: 1

- name: And back
  pvc.cluster.vm_migrate:
    vms: [{name: worker1}, {name: worker3}]
    state: back

- name: Begin a move
  pvc.cluster.vm_migrate:
    name: worker3
    to: node2
    wait: false

- name: Think better of it
  pvc.cluster.vm_migrate:
    name: worker3
    state: cancelled
"""

RETURN = r"""
moves:
  description: The moves of the task, those included that were under way already.
  returned: success, and failure after moves have begun
  type: list
  elements: dict
  contains:
    vm:
      description: The VM. VMs that are kept together with one of the task's are here, too.
      type: str
    from:
      description: The node that it leaves.
      type: str
    to:
      description: The node that it goes to.
      type: str
    stage:
      description:
        - V(planned) in check mode. V(prepared) when it waits for its turn, V(running) while its guest is on its way or being stopped,
          V(switched) when it belongs to the new node and does not run there yet, V(done), or V(refused) when it did not come about.
      type: str
    why:
      description: In words, why it is at that stage.
      type: str
    took:
      description: In words, how long the move of a running guest took and how long the guest stood still. Empty where that is not known.
      type: str
  sample:
    - from: node1
      stage: done
      to: node2
      took: from node1 in 4.1 s; its guest stood still for 130 ms
      vm: web1
      why: runs
why:
  description: By VM, where it goes and for what reason, or that there is nothing to do.
  returned: success
  type: dict
  sample: {web1: "moves from node1 to node2: a user moves it (11264 MiB free, the most of 2 nodes that fit); while it runs"}
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(vm web1).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(to).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state.commit import commit
from ..module_utils.pvc_state.errors import InvalidRequest, PvcError, WaitTimeout
from ..module_utils.pvc_state.option_values import given
from ..module_utils.pvc_state.plan_move import journeys, plan_move
from ..module_utils.pvc_state.requests import MOVES, MoveRequest
from ..module_utils.pvc_state.snapshot import NotInitialised
from ..module_utils.pvc_state.wait_move import MovesFailed, carry_out, planned, view

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store

_MOVE: dict[str, t.Any] = {
    "state": {"type": "str", "choices": list(MOVES)},
    "to": {"type": "str"},
    "method": {"type": "str", "choices": ["live", "cold"]},
    "home": {"type": "str", "choices": ["remember", "forget"]},
    "force": {"type": "bool"},
}
SPEC: dict[str, t.Any] = {
    "name": {"type": "str"},
    "vms": {"type": "list", "elements": "dict", "options": {"name": {"type": "str", "required": True}, **_MOVE}},
    **_MOVE,
    "state": {**_MOVE["state"], "default": "moved"},
    "force": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 0},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 600},
}


def requests(params: t.Mapping[str, t.Any]) -> list[MoveRequest]:
    """What a task asks for; options beside a list are the defaults of everything in it."""
    common = given({key: params[key] for key in _MOVE})
    listed = params["vms"] if params["name"] is None else [{"name": params["name"]}]
    return [MoveRequest(**{**common, **given(options)}) for options in listed]


def at_once(params: t.Mapping[str, t.Any]) -> int:
    """How many may be under way at the same time, 0 for any number."""
    parallel: int = params["parallel"]
    if parallel < 0:
        raise InvalidRequest(f"{parallel} is no number of VMs", option="parallel", remedy="give 0 or more")
    if parallel and not params["wait"]:
        raise InvalidRequest(
            "without waiting, nobody would begin those that come later", option="parallel", remedy="give wait: true"
        )
    return parallel


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    wanted, parallel = requests(module.params), at_once(module.params)
    try:
        whole = commit(store, lambda snapshot: plan_move(snapshot, wanted), check_mode=True).plan
    except NotInitialised:
        if not module.check_mode:
            raise
        result = _module.on_empty_system(module, {one.name: True for one in wanted})
        why = {one.name: "would be moved, if it can be" for one in wanted}
        return {**result, "why": why, "moves": []}
    changing = {change.name for change in whole.changes}
    rest = [one for one in wanted if one.name in changing] if parallel else []
    if not rest and not module.check_mode:
        whole = commit(store, lambda snapshot: plan_move(snapshot, wanted), author=_module.author(module)).plan
    result = _module.outcome(module, whole)
    if module.check_mode:
        return {**result, "moves": [view(one) for one in planned(whole, "planned")]}
    if not module.params["wait"]:
        return {**result, "moves": [view(one) for one in planned(whole, "prepared")]}
    cancelled = [one.name for one in wanted if one.state == "cancelled" and one.name in changing]
    begun = [one for one in journeys(whole) if not rest or one.vm not in changing]
    try:
        moves, said = carry_out(
            store, begun, rest, parallel, module.params["wait_timeout"], author=_module.author(module)
        )
        _stay(store, cancelled, {one.name: one for one in whole.changes}, module.params["wait_timeout"])
    except MovesFailed as err:
        _module.fail(module, err, **{**result, "moves": [view(one) for one in err.moves]})
    except PvcError as err:
        _module.fail(module, err, **result)
    return {**result, "why": {**result["why"], **said}, "moves": [view(one) for one in moves]}


def _stay(store: Store, names: list[str], changes: t.Mapping[str, t.Any], timeout: int) -> None:
    """Wait until cancelled moves have ended: each guest runs on where it was."""
    if not names:
        return
    # imported when it is needed: a call with nothing to do shall be quick
    from ..module_utils.pvc_state.wait import wait_for_vms

    snapshot = wait_for_vms(store, names, timeout)
    for name in names:
        before = changes[name].before["claim"]["node"]
        if snapshot.owner(name) != before:
            raise WaitTimeout(
                f"its guest had arrived on {snapshot.owner(name)} before its move could be cancelled, and runs there",
                obj=f"vm {name}",
                option="state",
                remedy=f"move it to {before} if it is to be there",
            )


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(SPEC, mutually_exclusive=[("name", "vms")], required_one_of=[("name", "vms")])
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
