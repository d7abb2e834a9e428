# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What commands work with: the cluster that the options name, and the form of the answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

from pvc_state import kazoo_store
from pvc_state.connection import Connection
from pvc_state.errors import NotFound
from pvc_state.fence_report import warnings
from pvc_state.snapshot import Snapshot, load
from pvc_state.store import Store

from . import output
from .connection import connection

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        options: of the connection, as far as they were given.
        form: one of output.FORMATS.
        connect: opens the store; tests open one in memory.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    form: str = "table"
    connect: Callable[[Connection], Store] = kazoo_store.connect

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The open store. Raises PvcError."""
        store = self.connect(connection(self.options))
        try:
            yield store
        finally:
            store.close()

    @contextmanager
    def cluster(self, vms: Collection[str] | None = None) -> Iterator[tuple[Store, Snapshot]]:
        """The open store and what it holds, at all VMs or at these; says what nobody must overlook."""
        with self.store() as store:
            snapshot = load(store, vms)
            for text in warnings(snapshot):
                output.warn(text)
            yield store, snapshot

    def show(self, answer: object, parts: output.Parts) -> None:
        """Print the answer: as it is for programs, in these parts for people."""
        output.show(self.form, answer, parts)


pass_session = click.make_pass_decorator(Session)


def _set_form(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).form = value


def output_option(function: F) -> F:
    """-o, before the command's name and behind it."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(output.FORMATS),
        callback=_set_form,
        expose_value=False,
        help="How the answer is shown: as a table (default), or as JSON or YAML as the modules return it.",
    )
    return option(function)


def must_exist(known: Collection[str], kind: str, name: str) -> None:
    """Raises NotFound for a name that the cluster does not have."""
    if name not in known:
        lists = {"vm": "vms", "node": "nodes", "rule": "show rules"}[kind]
        raise NotFound("it does not exist", obj=f"{kind} {name}", remedy=f"see pvc {lists}")
