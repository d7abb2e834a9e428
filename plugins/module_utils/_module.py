# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""What every module shares: the connection options, opening the store, errors as results.

The options are documented in ``doc_fragments/connection.py``; keep the two in step.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Collection, Mapping

from ansible.module_utils.basic import AnsibleModule, env_fallback, missing_required_lib

from . import _compile_once  # noqa: F401 # pylint: disable=unused-import
from .pvc_state import kazoo_store
from .pvc_state.connection import Connection
from .pvc_state.errors import PvcError
from .pvc_state.fence_report import warnings
from .pvc_state.records import SCHEMA_VERSION, Author, Schema
from .pvc_state.snapshot import NotInitialised, Snapshot, empty
from .pvc_state.snapshot import load as load_snapshot

if t.TYPE_CHECKING:
    from .pvc_state.plan import Plan
    from .pvc_state.store import Store

#: Opens the store that the connection options describe. Tests hand the modules one that opens a store in memory.
Connect = Callable[[Connection], "Store"]

#: What a module does with the open store; returns the module's result.
Work = Callable[[AnsibleModule, "Store"], dict[str, t.Any]]


def _option(name: str, kind: str, **more: t.Any) -> dict[str, t.Any]:
    return {"type": kind, "fallback": (env_fallback, [f"PVC_{name.upper()}"]), **more}


CONNECTION = {
    "hosts": _option("hosts", "list", elements="str", required=True),
    "root": _option("root", "str", default="/pvc"),
    "username": _option("username", "str", default="pvc"),
    "password": _option("password", "str", required=True, no_log=True),
    "tls": _option("tls", "bool", default=True),
    "ca_file": _option("ca_file", "path"),
    "cert_file": _option("cert_file", "path"),
    "key_file": _option("key_file", "path", no_log=False),
    "connect_timeout": _option("connect_timeout", "float", default=10.0),
    "author": _option("author", "str"),
    "job": _option("job", "str"),
}

#: Those of them that say who is at work, and nothing about the connection.
_SIGNATURE = ("author", "job")


def create_module(spec: Mapping[str, t.Any], **constraints: t.Any) -> AnsibleModule:
    """An AnsibleModule with the connection options and those of the module."""
    return AnsibleModule(argument_spec={**CONNECTION, **spec}, supports_check_mode=True, **constraints)


def run(module: AnsibleModule, work: Work, connect: Connect | None = None) -> t.NoReturn:
    """Open the store, do the module's work with it, close it, and exit with the result or the error."""
    try:
        store = (connect or _connect_with_kazoo(module))(_connection(module.params))
        try:
            result = work(module, store)
        finally:
            store.close()
    except PvcError as err:
        fail(module, err)
    module.exit_json(**result)


def fail(module: AnsibleModule, err: PvcError, **result: t.Any) -> t.NoReturn:
    """Fail with an error of the library: as one sentence, and in its parts for playbooks that look at them."""
    parts = {"problem": err.problem, "object": err.obj, "option": err.option, "remedy": err.remedy}
    module.fail_json(msg=str(err), **parts, **result)


def author(module: AnsibleModule) -> Author:
    """Who the module's commit names; on one line, as lists show it."""
    # imported when it is needed: who only looks makes no commit
    from .pvc_state.author import signature

    return signature(*(module.params[name] for name in _SIGNATURE))


def load(module: AnsibleModule, store: Store, vms: Collection[str] | None = None) -> Snapshot | None:
    """The cluster for a module that only looks, at all VMs or at these.

    None in check mode on a system where the cluster has yet to be made.
    """
    try:
        return load_snapshot(store, vms)
    except NotInitialised:
        if not module.check_mode:
            raise
        _warn_of_empty_system(module)
        return None


def outcome(module: AnsibleModule, plan: Plan) -> dict[str, t.Any]:
    """What every module returns of a plan, carried out or not."""
    result = {"changed": plan.changed, "why": dict(plan.why)}
    return {**result, "diff": plan.diff()} if module._diff else result


def on_empty_system(module: AnsibleModule, wanted: Mapping[str, bool]) -> dict[str, t.Any]:
    """Check mode where the cluster itself has yet to be made: objects that are wanted would be, if it can take them."""
    _warn_of_empty_system(module)
    why = {name: "would be created, if the cluster can take it" for name, present in wanted.items() if present}
    after = "".join(f"{name}\n" for name in why)
    return {"changed": bool(why), "why": why, "diff": {"before": "", "after": after}}


def empty_system(module: AnsibleModule) -> Snapshot:
    """The cluster that is yet to be made, for check mode."""
    _warn_of_empty_system(module)
    return empty(Schema(SCHEMA_VERSION, "", ""))


def warn(module: AnsibleModule, snapshot: Snapshot) -> None:
    """Say loudly what nobody must overlook, whatever was asked for."""
    for text in warnings(snapshot):
        module.warn(text)


def _warn_of_empty_system(module: AnsibleModule) -> None:
    module.warn("The store holds no cluster yet: nothing could be looked up in it.")


def _connection(params: Mapping[str, t.Any]) -> Connection:
    options = {name: params[name] for name in CONNECTION if params[name] is not None and name not in _SIGNATURE}
    # A server may be lost while the module works: it then finds another one for as long as for the first.
    return Connection(**{**options, "hosts": tuple(options["hosts"]), "patience": options["connect_timeout"]})


def _connect_with_kazoo(module: AnsibleModule) -> Connect:
    if not kazoo_store.HAS_KAZOO:
        module.fail_json(
            msg=missing_required_lib("kazoo >= 2.8", url="https://kazoo.readthedocs.io/"),
            exception=kazoo_store.KAZOO_IMPORT_ERROR,
        )
    return kazoo_store.connect
