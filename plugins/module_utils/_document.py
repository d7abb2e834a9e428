# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""Documents in tasks: where one comes from, and what a module says of one that is refused.

The options are documented in ``doc_fragments/_document.py``; keep the two in step.
"""

from __future__ import annotations

import typing as t

from . import _module
from .pvc_state import document_work
from .pvc_state.document_work import RefusedDocument, Wanted

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from .pvc_state.plan_document import Wishes
    from .pvc_state.store import Store

#: Where a document comes from, and what becomes of what it does not name.
SPEC: dict[str, t.Any] = {
    "document": {"type": "dict"},
    "src": {"type": "list", "elements": "path"},
    "commit": {"type": "int"},
    "mark": {"type": "str"},
    "prune": {"type": "bool", "default": False},
    "prune_volumes": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


def wishes(module: AnsibleModule) -> Wishes:
    """What is to become of what the document does not name."""
    params = module.params
    return document_work.wishes(params["prune"], params["prune_volumes"], params["force"])


def wanted(module: AnsibleModule, store: Store) -> Wanted:
    """The document that a task gives, names the files of, or means by a commit."""
    given = {name: module.params[name] for name in ("document", "src", "commit", "mark")}
    try:
        return document_work.wanted(store, **given)
    except RefusedDocument as err:
        refuse(module, err)


def loaded(plan: t.Any) -> t.Any:
    """A saved plan, or the one in the file of this name."""
    return document_work.loaded(plan) if isinstance(plan, str) else plan


def refuse(module: AnsibleModule, err: RefusedDocument) -> t.NoReturn:
    """Fail with all that is wrong, and show the whole of what was planned where that is why."""
    planned = {} if err.plan is None else {"plan": err.plan, "plan_text": err.text}
    _module.fail(module, err, **planned, refused=err.refused)
