# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``pvc``: its options, and how it ends whatever happens."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, NoReturn

import click
from rich.text import Text

from pvc_state.errors import PvcError

from . import output
from .commands import console, events, failover, nodes, plan, show, status, top, vms, why
from .connection import NoCluster
from .exit_codes import Exit, SilentRefusal, exit_code
from .options import connection_options, given
from .session import Session, output_option


class Pvc(click.Group):
    """A group of commands that ends with one of our exit codes, and never with a traceback."""

    def main(self, *args: Any, **more: Any) -> NoReturn:
        more["standalone_mode"] = False
        try:
            code = super().main(*args, **more)
            sys.stdout.flush()
        except click.UsageError as err:
            err.show()
            code = Exit.USAGE
        except click.ClickException as err:
            err.show()
            code = err.exit_code
        except click.exceptions.Abort:
            code = Exit.INTERRUPTED
        except SilentRefusal:
            code = Exit.REFUSED
        except PvcError as err:
            _say(str(err))
            code = Exit.USAGE if isinstance(err, NoCluster) else exit_code(err)
        except BrokenPipeError:
            code = _broken_pipe()
        except Exception as err:
            if os.environ.get("PVC_DEBUG"):
                traceback.print_exc()
            _say(f"internal error: {type(err).__name__}: {err}; with PVC_DEBUG=1 it shows where")
            code = Exit.INTERNAL
        sys.exit(int(code) if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # before click makes it an exit code of its own
            ctx.exit(_broken_pipe())


def _say(text: str) -> None:
    output.console(stderr=True).print(Text(f"Error: {output.plain(text)}", style="red"), soft_wrap=True)


def _broken_pipe() -> int:
    """Who reads our output has gone: nothing more is written, the interpreter's last flush included."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.BROKEN_PIPE


@click.group(cls=Pvc, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@connection_options
@output_option
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:
    """See a PVC cluster, and change it.

    Where the cluster is comes from options, from the environment (PVC_HOSTS, PVC_PASSWORD and so on, as for the modules), or from
    a file: ~/.config/pvc/cli.toml, /etc/pvc/cli.toml, or what the node's agent has, which root may read.
    """
    ctx.ensure_object(Session).options = given(options)


for _command in (
    status.status,
    nodes.nodes,
    vms.vms,
    show.show,
    why.why,
    plan.plan,
    plan.apply,
    failover.failover_report,
    events.events,
    console.console,
    top.top,
):
    cli.add_command(_command)
