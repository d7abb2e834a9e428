# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc events: what happens in the cluster."""

from __future__ import annotations

import click

from ..session import output_option


@click.command(hidden=True)
@output_option
def events() -> None:
    """Show what happens."""
    raise click.UsageError("this release has no events")
