#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: balance
short_description: Spread the VMs more evenly over the nodes
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Carries out the moves that M(pvc.cluster.balance_info) proposes, the best first, so many as O(max_moves) allows. Check mode shows
    exactly these.
  - Only moves of the first stage are made. Those that need the room that others leave are for the next run.
  - Nodes that are even enough are left as they are, and nothing is changed.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._balance
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
attributes:
  idempotent:
    support: partial
    details: Where O(max_moves) or the room has held moves back, the next run makes them.
options:
  max_moves:
    description: How many VMs are moved at most.
    type: int
    default: 10
  parallel:
    description:
      - How many VMs are on their way at the same time. The others begin when one has arrived, and none is begun any more once one could not
        be moved.
      - By default O(pvc.cluster.settings#module:parallel_moves).
    type: int
  per_node:
    description:
      - How many VMs are on their way to one node at the same time. V(0) sets no limit.
      - Each node sends two guests at a time in any case.
    type: int
    default: 2
  wait:
    description:
      - Whether to wait until they have arrived and run there. Check mode never waits.
      - Without waiting, only those are moved that may be on their way at the same time.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait. The module then fails and says how far each VM is; what has begun goes on.
    type: int
    default: 600
seealso:
  - module: pvc.cluster.balance_info
  - module: pvc.cluster.vm_migrate
  - module: pvc.cluster.settings
    description: Has the cluster spread VMs by itself, with O(pvc.cluster.settings#module:rebalance).
"""

EXAMPLES = r"""
- name: Spread the VMs over a new node, a few at a time
  pvc.cluster.balance:
    max_moves: 20
    parallel: 4

- name: Only what gains much, and begin it only
  pvc.cluster.balance:
    min_gain: 0.2
    wait: false
"""

RETURN = r"""
resources:
  description: What counts, which follows from O(pvc.cluster.settings#module:placement).
  returned: success
  type: list
  elements: str
  sample: [memory, vcpus]
spread:
  description:
    - How unevenly the nodes are loaded. It is the standard deviation of their shares of a resource, divided by the mean of these, on
      average over the resources. V(0) is even, V(1) is as far from it as what they carry on average.
  returned: success
  type: float
spread_after:
  description: The spread after all moves of the plan.
  returned: success
  type: float
sentence:
  description: The plan in a sentence.
  returned: success
  type: str
  sample: "The spread is 0.55; 4 moves would make it 0.02."
moves:
  description: The moves of the task.
  returned: success, and failure after moves have begun
  type: list
  elements: dict
  contains:
    vm:
      description: The VM. VMs that are kept together move together.
      type: str
    from:
      description: The node that it leaves.
      type: str
    to:
      description: The node that it goes to.
      type: str
    stage:
      description: How far it is, as with M(pvc.cluster.vm_migrate). In check mode V(planned).
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
nodes:
  description: The nodes that take VMs, with what they carry. No other nodes count.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: The node.
      type: str
    load:
      description: By resource, the share of what it has that is given away. For V(vcpus) it is vCPUs for each processor.
      type: dict
    load_after:
      description: The same after all moves of the plan.
      type: dict
  sample: [{node: node1, load: {memory: 0.71, vcpus: 1.25}, load_after: {memory: 0.4, vcpus: 0.75}}]
staying:
  description: VMs of these nodes that are not moved for this, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{vm: db1, why: "it is bound to node1 by its option node"}]
why:
  description: By VM, where it goes and for what reason.
  returned: success
  type: dict
  sample:
    web1: "moves from node1 to node2: for a spread of 0.31 instead of 0.55: node1 has 3 VMs to run there, node2 0 VMs to run there; while it
      runs"
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(vm web1).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(min_gain).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module
from ..module_utils._balance import SPEC, count, plan
from ..module_utils.pvc_state.balance_report import balance_view, requests
from ..module_utils.pvc_state.commit import commit
from ..module_utils.pvc_state.errors import PvcError
from ..module_utils.pvc_state.plan_move import plan_move
from ..module_utils.pvc_state.snapshot import NotInitialised
from ..module_utils.pvc_state.wait_move import MovesFailed, carry_out, planned, view, within

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.plan import Plan
    from ..module_utils.pvc_state.plan_balance import Balance
    from ..module_utils.pvc_state.requests import MoveRequest
    from ..module_utils.pvc_state.snapshot import Snapshot
    from ..module_utils.pvc_state.store import Store


class _Wanted:
    """What the task comes to on a cluster as it is: decided anew whenever a commit is."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        self._params = params
        self.parallel = 0
        self.balance: Balance
        self.moves: list[MoveRequest] = []

    def plan(self, snapshot: Snapshot) -> Plan:
        """The claims of the VMs that are to move."""
        given = self._params["parallel"]
        self.parallel = snapshot.policy.parallel_moves if given is None else given
        self.balance = plan(self._params, snapshot, stages=1)
        self.moves = requests(self.balance)
        if not self._params["wait"]:
            self.moves = within(self.moves, self.parallel or len(self.moves), self._params["per_node"])
        return plan_move(snapshot, self.moves)


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    params = module.params
    for option in ("parallel", "per_node"):
        count(params, option)
    wanted = _Wanted(params)
    at_once = params["wait"] and not module.check_mode
    try:
        whole = commit(store, wanted.plan, check_mode=module.check_mode or at_once, author=_module.author(module)).plan
    except NotInitialised:
        if not module.check_mode:
            raise
        whole = wanted.plan(_module.empty_system(module))
    result = {**_module.outcome(module, whole), **balance_view(wanted.balance)}
    if not at_once:
        stage = "planned" if module.check_mode else "prepared"
        return {**result, "moves": [view(one) for one in planned(whole, stage)]}
    try:
        moves, _said = carry_out(
            store,
            [],
            wanted.moves,
            wanted.parallel,
            params["wait_timeout"],
            per_node=params["per_node"],
            author=_module.author(module),
        )
    except MovesFailed as err:
        _module.fail(module, err, **{**result, "moves": [view(one) for one in err.moves]})
    except PvcError as err:
        _module.fail(module, err, **result)
    return {**result, "moves": [view(one) for one in moves]}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            **SPEC,
            "max_moves": {"type": "int", "default": 10},
            "parallel": {"type": "int"},
            "per_node": {"type": "int", "default": 2},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 600},
        }
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
