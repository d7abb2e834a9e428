#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: access
short_description: Say who may read the cluster's state
version_added: 0.2.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Declares ZooKeeper users that may read the whole state of the cluster and change nothing. What reads works with such a user, that is
    all modules whose names end in C(_info), all others in check mode, the inventory, the event source, and the commands of C(pvc) that show
    something. Every change is refused.
  - Readers that are not named any more may read nothing. A password that is not the present one is changed.
  - All objects of the state are looked at, and those that others may read, or the readers may not, are changed. Nothing else of them
    changes, and no VM notices. When the module is interrupted, run it again.
  - Passwords are turned into digests where the module runs. They are neither sent to the servers nor shown.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
options:
  readers:
    description:
      - All of them, at most two. With an empty list, only O(username) may read.
      - To replace a password without a gap, declare a second reader first, and remove the old one when nobody uses it any more.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the user, unlike O(username).
        type: str
        required: true
      password:
        description: Its password, unlike that of O(username). Keep it in Ansible Vault.
        type: str
        required: true
notes:
  - Readers reach the servers with a certificate of the cluster's authority, as everybody does. It gives no access to the state by itself.
seealso:
  - module: pvc.cluster.node
    description: Initialises the state, for O(username) alone.
"""

EXAMPLES = r"""
- name: A user for dashboards and for people who only look
  pvc.cluster.access:
    readers:
      - name: pvc-reader
        password: "{{ pvc_reader_password }}"

- name: Nobody but the owner
  pvc.cluster.access:
    readers: []
"""

RETURN = r"""
readers:
  description: Names of the users that may read.
  returned: success
  type: list
  elements: str
  sample: [pvc-reader]
znodes:
  description: How many objects of the state had another access.
  returned: success
  type: int
  sample: 214
why:
  description: What was changed, or that there is nothing to change, under the key V(access).
  returned: success
  type: dict
  sample: {access: "pvc-reader may read: 214 znodes had another access"}
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, which is V(access).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(readers).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state.access import Granted, check, set_readers
from ..module_utils.pvc_state.errors import InvalidRequest
from ..module_utils.pvc_state.snapshot import NotInitialised

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import GuardedStore

READERS = {
    "type": "list",
    "elements": "dict",
    "required": True,
    "options": {
        "name": {"type": "str", "required": True},
        "password": {"type": "str", "required": True, "no_log": True},
    },
}


def passwords(readers: list[dict[str, str]]) -> dict[str, str]:
    """By name; refuses a name that is there twice."""
    found = {}
    for reader in readers:
        if reader["name"] in found:
            raise InvalidRequest(
                f"{reader['name']} is there twice", obj="access", option="readers", remedy="give each reader once"
            )
        found[reader["name"]] = reader["password"]
    return found


def work(module: AnsibleModule, store: GuardedStore) -> dict[str, t.Any]:
    readers = passwords(module.params["readers"])
    try:
        granted = set_readers(store, readers, check_mode=module.check_mode)
    except NotInitialised:
        if not module.check_mode:
            raise
        check(store.identity, readers)
        _module.empty_system(module)
        granted = Granted((), tuple(sorted(readers)), 1 if readers else 0)
    before, after = (f"readers: [{', '.join(names)}]\n" for names in (granted.before, granted.after))
    result = {
        "changed": granted.znodes > 0,
        "readers": list(granted.after),
        "znodes": granted.znodes,
        "why": {"access": granted.why},
    }
    return {**result, "diff": {"before": before, "after": after}} if module._diff else result


def main(connect: _module.Connect | None = None) -> None:
    _module.run(_module.create_module({"readers": READERS}), work, connect)


if __name__ == "__main__":
    main()
