#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Plan to make a cluster what a document says, without doing it
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Makes the plan that M(pvc.cluster.apply) would carry out, and returns it, so that it can be looked at, kept, and carried out later as
    that very plan.
  - A plan in which anything is refused cannot be carried out. The module then fails and returns the rest of the plan.
extends_documentation_fragment:
  - pvc.cluster._document
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
options:
  dest:
    description:
      - A file to save the plan in, on the host where the module runs. There is no secret in it.
      - The task is changed when the file is.
    type: path
seealso:
  - module: pvc.cluster.apply
"""

EXAMPLES = r"""
- name: What would become of the cluster
  pvc.cluster.plan:
    src: [cluster/]
    prune: true
    dest: plan.json
  register: planned

- name: Look at it
  ansible.builtin.debug:
    var: planned.plan_text

- name: Hand it to the next job of a workflow of AWX, which begins once somebody has approved it
  ansible.builtin.set_stats:
    data:
      approved_plan: "{{ planned.plan }}"
"""

RETURN = r"""
plan:
  description: The plan in the form that M(pvc.cluster.apply) takes. RV(plan.report) is what it would do, in its parts.
  returned: success
  type: dict
  contains:
    format:
      description: Of this form.
      type: int
    cluster:
      description: The cluster that it is for.
      type: str
    cluster_id:
      description: Its id. No other cluster takes the plan. Empty for one that is not made yet.
      type: str
    revision:
      description: Revision of the desired state that it was made at.
      type: int
    digest:
      description: What tells it from any other plan.
      type: str
    document:
      description: The document that it was made of.
      type: dict
    wishes:
      description: What was asked for beside the document.
      type: dict
      sample: {prune: true, prune_volumes: false, force: false}
    report:
      description: What it would do, like RV(pvc.cluster.apply#module:plan).
      type: dict
plan_text:
  description: What it would do, for people, one line for each thing.
  returned: success, and when something is refused
  type: list
  elements: str
  sample: ["+ vm web1: created on node2: 3072 MiB free, the most of 3 nodes", "Plan: 1 to create."]
refused:
  description: All that is wrong or refused, each thing like those in RV(pvc.cluster.apply#module:plan.refused).
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

import os
import tempfile
import typing as t

from ..module_utils import _document, _module
from ..module_utils.pvc_state.document_report import lines
from ..module_utils.pvc_state.document_work import RefusedDocument, saved_text, sound
from ..module_utils.pvc_state.plan_document import plan_document
from ..module_utils.pvc_state.saved_plan import save
from ..module_utils.pvc_state.snapshot import NotInitialised, load

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    want, wishes = _document.wanted(module, store), _document.wishes(module)
    try:
        snapshot = load(store)
    except NotInitialised:
        snapshot = None
    draft = plan_document(snapshot, want.document, wishes)
    try:
        sound(draft, want)
    except RefusedDocument as err:
        _document.refuse(module, err)
    saved = save(draft, want.data, wishes)
    text = saved_text(saved)
    before, changed = "", False
    if module.params["dest"] is not None:
        before = _there(module.params["dest"])
        changed = before != text
        if changed and not module.check_mode:
            _write(module, module.params["dest"], text)
    result = {"changed": changed, "plan": saved, "plan_text": list(lines(saved["report"]))}
    return {**result, "diff": {"before": before, "after": text if changed else before}} if module._diff else result


def _there(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _write(module: AnsibleModule, path: str, text: str) -> None:
    handle, temporary = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    module.atomic_move(temporary, os.path.abspath(path))


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {**_document.SPEC, "dest": {"type": "path"}},
        mutually_exclusive=[("document", "src", "commit")],
        required_one_of=[("document", "src", "commit")],
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
