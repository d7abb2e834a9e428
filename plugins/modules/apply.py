#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apply
short_description: Make a cluster what a document says
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Takes what is wanted of a whole cluster, or of a part of it, as one document. Everything in it is checked first. All that is wrong is
    told at once, with file and line.
  - The whole document is one plan and one transaction. Either everything is committed or nothing. Check mode shows the very plan.
  - The nodes' agents make it true. By default, the module waits until they have.
extends_documentation_fragment:
  - pvc.cluster._document
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
options:
  plan:
    description:
      - A plan that M(pvc.cluster.plan) has made, as its result RV(pvc.cluster.plan#module:plan), or the path of the file on the
        controller that it was saved in.
      - It is carried out as it is, or not at all when anything that it rests on has changed since.
    type: raw
  wait:
    description:
      - Whether to wait until the agents have made the VMs in the document what it says, and those that go are gone.
      - Check mode never waits.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait. The module then fails and says what is missing; the change stays committed.
    type: int
    default: 600
seealso:
  - module: pvc.cluster.plan
  - module: pvc.cluster.export_info
  - module: pvc.cluster.history_info
"""

EXAMPLES = r"""
- name: The whole cluster is what the files in this directory say
  pvc.cluster.apply:
    src: [cluster/]
    prune: true

- name: Two web servers that never share a node
  pvc.cluster.apply:
    document:
      document: shop
      vms:
        - {name: web1, memory: 2G, disks: [{size: 20G}], nics: [{bridge: br0}]}
        - {name: web2, memory: 2G, disks: [{size: 20G}], nics: [{bridge: br0}]}
      rules:
        - {name: web, kind: apart, vms: [web1, web2]}

- name: Carry out what was looked at, or nothing
  pvc.cluster.apply:
    plan: plan.json

- name: Make it again what it was after commit 4711
  pvc.cluster.apply:
    commit: 4711
"""

RETURN = r"""
plan:
  description: What is done, or would be in check mode, in its parts. The lists are in the order in which things are decided.
  returned: success, and when something is refused
  type: dict
  contains:
    creates:
      description: What is created.
      type: list
      elements: dict
      sample: [{kind: vm, name: web1, why: "created on node2: 3072 MiB free, the most of 3 nodes"}]
    changes:
      description: What is changed, field by field.
      type: list
      elements: dict
      sample:
        - kind: vm
          name: web1
          why: memory 1024 -> 2048
          fields: [{field: memory, before: 1024, after: 2048}]
    deletes:
      description: What is deleted, and what becomes of volumes.
      type: list
      elements: dict
      sample: [{kind: vm, name: old, why: "deleted by the agent of node1; volumes kept: vms/old-disk0"}]
    moves:
      description: VMs that the cluster will move because of it. RV(ignore:to) is V(null) for one that should move and cannot.
      type: list
      elements: dict
      sample: [{vm: web2, from: node1, to: node3, why: rule web keeps it apart from web1}]
    restarts:
      description: VMs that need a restart for a part of their changes.
      type: list
      elements: dict
      sample: [{vm: web1, waits: [machine none -> q35]}]
    refused:
      description:
        - What is refused, and why. Then nothing is done, and the module fails. RV(ignore:path) is where it is in the document,
          RV(ignore:file) and RV(ignore:line) where it is in the files of O(src).
      type: list
      elements: dict
      sample:
        - {object: vm web1, option: vcpus, problem: 0 is not possible, remedy: give a whole number from 1 to 512, path: [vms, 0, vcpus]}
    summary:
      description: The numbers of these, in words.
      type: str
      sample: "Plan: 2 to create, 1 to move."
plan_text:
  description: The same for people, one line for each thing.
  returned: success, and when something is refused
  type: list
  elements: str
  sample: ["+ vm web1: created on node2: 3072 MiB free, the most of 3 nodes", "Plan: 1 to create."]
why:
  description: By object, what was changed and for what reason, or that there is nothing to change.
  returned: success
  type: dict
  sample: {vm web1: "created on node2: 3072 MiB free, the most of 3 nodes", settings: nothing to change}
revision:
  description: The commit that was made, as M(pvc.cluster.history_info) lists it. V(null) where there was none.
  returned: success
  type: int
refused:
  description: All that is wrong, each thing like those in RV(plan.refused).
  returned: failure
  type: list
  elements: dict
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(vm web1).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(memory).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _document, _module
from ..module_utils.pvc_state.document_report import lines
from ..module_utils.pvc_state.document_work import RefusedDocument, carry_out, unsettled
from ..module_utils.pvc_state.errors import PvcError
from ..module_utils.pvc_state.plan_document import Draft, plan_document
from ..module_utils.pvc_state.saved_plan import plan_saved, restore

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.snapshot import Snapshot
    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    want = None
    if module.params["plan"] is not None:
        saved = restore(_document.loaded(module.params["plan"]))
        document = saved.document

        def draft(snapshot: Snapshot | None) -> Draft:
            return plan_saved(snapshot, saved)

    else:
        want, wishes = _document.wanted(module, store), _document.wishes(module)
        document = want.document

        def draft(snapshot: Snapshot | None) -> Draft:
            return plan_document(snapshot, document, wishes, supposing=module.check_mode)

    try:
        done, found = carry_out(store, draft, want, check_mode=module.check_mode, author=_module.author(module))
    except RefusedDocument as err:
        _document.refuse(module, err)
    result = {
        **_module.outcome(module, done.plan),
        "plan": found,
        "plan_text": list(lines(found)),
        "revision": done.revision,
    }
    late = unsettled(document, done) if module.params["wait"] and not module.check_mode else []
    if late:
        # imported when it is needed: a call with nothing to do shall be quick
        from ..module_utils.pvc_state.wait import wait_for_vms

        try:
            wait_for_vms(store, late, module.params["wait_timeout"])
        except PvcError as err:
            _module.fail(module, err, **result)
    return result


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            **_document.SPEC,
            "plan": {"type": "raw"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 600},
        },
        mutually_exclusive=[("document", "src", "commit", "plan")],
        required_one_of=[("document", "src", "commit", "plan")],
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
