# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module in this process, as Ansible would start it, and looks at the whole tree before and after."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args
from ansible_collections.pvc.cluster.plugins.module_utils._module import Connect
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Store, Znode

Options = dict[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """A store for one test, of either kind.

    Attributes:
        options: connection options of the modules.
        connect: how the modules open the store; None for their own way, which is a real ZooKeeper's.
        another: opens one more store with the right credentials, for an agent.
        store: a store of the test's own.
    """

    options: Options
    connect: Connect | None
    another: Callable[[], Store]
    store: Store

    def run(self, module: ModuleType, options: Options, *, check: bool = False) -> Result:
        """The result of a module, failed or not."""
        return run(module, {**self.options, **options}, check=check, connect=self.connect)

    def ok(self, module: ModuleType, options: Options, *, check: bool = False) -> Result:
        """The result of a module that must not fail."""
        result = self.run(module, options, check=check)
        assert not result.get("failed"), result["msg"]
        return result

    def dump(self) -> dict[str, Znode]:
        """Every znode by its path, with versions; without those that agents write at times of their own."""
        return {
            path: znode
            for path, znode in _walk(self.store, "/")
            if not path.startswith((paths.STATUS, paths.ALIVE, paths.HEALTH))
        }


def run(module: ModuleType, options: Options, *, check: bool = False, connect: Connect | None = None) -> Result:
    """The result that a module prints."""
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    printed = io.StringIO()
    # A module is a process of its own: it knows nothing of the one before, and of no controller that a test has loaded.
    warnings._global_warnings.clear()
    process = mock.patch.object(_internal, "is_controller", False)
    with process, patch_module_args(arguments), contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        module.main(connect)
    result: Result = json.loads(printed.getvalue())
    return result


def _walk(store: Store, path: str) -> list[tuple[str, Znode]]:
    znode = store.get(path)
    if znode is None:
        return []
    found = [(path, znode)]
    for name in store.children(path) or []:
        found += _walk(store, f"{path.rstrip('/')}/{name}")
    return found
