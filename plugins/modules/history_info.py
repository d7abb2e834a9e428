#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: history_info
short_description: Show who has changed the cluster, when, with what, and how
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns the commits that the cluster remembers, the newest first. Every task that changes something is one, or several
    where it waits in between, as M(pvc.cluster.vm_migrate) with O(pvc.cluster.vm_migrate#module:parallel) does.
  - With O(commit), returns what was wanted right after one of them, too. M(pvc.cluster.apply) can make the cluster so again.
  - A commit whose record is damaged is returned, too, with the reason, unless a filter is given that it cannot be asked for.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  kind:
    description: Only changes of objects of this kind.
    type: str
    choices: [vm, node, rule, settings, snapshot, rollback, declared dead]
  name:
    description: Only changes of the object of this name, or of what belongs to the VM of this name, such as its snapshots.
    type: str
  who:
    description: Only commits whose author has this text as a part.
    type: str
  via:
    description: Only commits whose playbook or job has this text as a part.
    type: str
  since:
    description: Only commits of this revision and later ones.
    type: int
    default: 0
  limit:
    description: Only so many commits, the newest ones.
    type: int
    default: 20
  commit:
    description: The revision of a commit. RV(state) is then what was wanted right after it.
    type: int
notes:
  - The cluster remembers the newest two hundred commits, and fewer where they are very large.
  - Who and with what is what a task says of itself, or its controller. It is no proof.
  - What leaders and agents change without being asked is no commit, such as the state of a node that comes back drained. In
    RV(state) it counts as wanted until the next commit that changed the same object.
  - Times are of the clock of the host that the module ran on.
seealso:
  - module: pvc.cluster.apply
  - module: pvc.cluster.export_info
"""

EXAMPLES = r"""
- name: The last changes
  pvc.cluster.history_info:
  register: history

- name: Say them
  ansible.builtin.debug:
    msg: "{{ item.revision }} {{ item.at }} {{ item.who }} ({{ item.via }})"
  loop: "{{ history.commits }}"
  loop_control: {label: "{{ item.revision }}"}

- name: Who has changed web1 last
  pvc.cluster.history_info:
    kind: vm
    name: web1
    limit: 1

- name: What was wanted at first
  pvc.cluster.history_info:
    limit: 0
    commit: 0
"""

RETURN = r"""
commits:
  description: The commits that all filters let through, the newest first.
  returned: success
  type: list
  elements: dict
  contains:
    revision:
      description: Revision of the desired state that the commit made. They grow, with gaps.
      type: int
    damaged:
      description: Empty, or why its record cannot be read. What is not known is empty then.
      type: str
    at:
      description: When.
      type: str
      sample: "2026-01-31T03:00:12Z"
    who:
      description: Who, as they said. Empty where nobody did.
      type: str
      sample: alice on desk
    via:
      description: With which playbook or job.
      type: str
      sample: playbook site.yml, play The cluster
    objects:
      description: How many changes it made.
      type: int
    changes:
      description:
        - Those of its changes that all filters let through, each with the kind and the name of its object.
        - RV(ignore:action) is V(created), V(changed) or V(deleted), RV(ignore:why) what was done and for what reason.
      type: list
      elements: dict
      sample: [{action: changed, kind: vm, name: web1, why: "memory 512 -> 1024"}]
    diff:
      description: What they changed, as texts, in the form that diff mode has.
      type: dict
      sample: {after: "{\"vm web1\": {\"memory\": 1024}}", before: "{\"vm web1\": {\"memory\": 512}}"}
state:
  description: What was wanted right after O(commit), by kind and name, as the modules that read each kind return it. Settings have no name.
  returned: success, with O(commit)
  type: dict
  sample: {node: {}, rule: {}, settings: {"": {placement: free_memory}}, vm: {web1: {memory: 1024, state: started}}}
revision:
  description: Revision of the desired state now.
  returned: success, when the tree has been initialised
  type: int
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state.commit_log import load_commits
from ..module_utils.pvc_state.errors import InvalidRequest
from ..module_utils.pvc_state.history_report import history_views, state_at
from ..module_utils.pvc_state.records import CHANGED

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    params = module.params
    for option in ("since", "limit", "commit"):
        if (params[option] or 0) < 0:
            raise InvalidRequest(f"{params[option]} is not possible", option=option, remedy="give 0 or more")
    snapshot = _module.load(module, store, vms=() if params["commit"] is None else None)
    if snapshot is None:
        return {"changed": False, "commits": []}
    filters = {option: params[option] or "" for option in ("kind", "name", "who", "via")}
    commits = history_views(load_commits(store, params["since"]), **filters, limit=params["limit"])
    result = {
        "changed": False,
        "commits": commits,
        "revision": snapshot.journal,
        "cluster_name": snapshot.schema.cluster,
    }
    if params["commit"] is not None:
        result["state"] = state_at(snapshot, load_commits(store), params["commit"])
    return result


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            "kind": {"type": "str", "choices": list(CHANGED)},
            "name": {"type": "str"},
            "who": {"type": "str"},
            "via": {"type": "str"},
            "since": {"type": "int", "default": 0},
            "limit": {"type": "int", "default": 20},
            "commit": {"type": "int"},
        }
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
