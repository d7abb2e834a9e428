# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Completion of names: what the cluster holds, if it can be asked quickly; nothing otherwise."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from pvc_state import paths
from pvc_state.errors import PvcError

from .connection import connection
from .options import given
from .session import Session

#: Seconds that somebody who has pressed TAB waits.
_PATIENCE = 2.0

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _below(parent: str) -> Complete:
    def complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        root = ctx.find_root()
        session = root.obj if isinstance(root.obj, Session) else Session()
        options = {**given(root.params), "connect_timeout": _PATIENCE}
        try:
            store = session.connect(connection(options))
            try:
                names = store.children(parent) or []
            finally:
                store.close()
        except PvcError:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]

    return complete


vms, nodes, rules = _below(paths.VMS), _below(paths.NODES), _below(paths.RULES)
