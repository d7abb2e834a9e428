# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command: ``python -m pvc_node_agent.sim CASE.json``, and ``--live`` for the running cluster."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from pvc_state.errors import PvcError
from pvc_state.failover_report import failover_view

from .. import config
from . import live, reading
from .checks import BadCase
from .play import Play
from .result import result


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 64 and more for what cannot be played or read."""
    parser = argparse.ArgumentParser(
        prog="python -m pvc_node_agent.sim",
        description="Plays a case of a cluster, or tells what would happen if a node of the running one died.",
    )
    parser.add_argument("case", type=Path, nargs="?", help="the case, a JSON file")
    parser.add_argument("--story", action="store_true", help="print what happened and why, instead of the result")
    parser.add_argument("--live", action="store_true", help="look at the running cluster; nothing is changed")
    parser.add_argument("--node", action="append", default=[], help="with --live: the node that dies; all without it")
    parser.add_argument("--json", action="store_true", help="with --live: print JSON")
    parser.add_argument(
        "--config", type=Path, default=config.DEFAULT_PATH, help="with --live: the agent's configuration (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.live == (options.case is not None):
        parser.error("give either a case or --live")
    return _live(options) if options.live else _play(options)


def _play(options: argparse.Namespace) -> int:
    try:
        case = reading.parse(json.loads(options.case.read_text()))
    except (OSError, json.JSONDecodeError, BadCase) as err:
        sys.stderr.write(f"{options.case}: {err}\n")
        return os.EX_DATAERR
    play = Play(case)
    play.run()
    if options.story:
        sys.stdout.write("\n".join(play.story) + "\n")
    else:
        json.dump(result(play), sys.stdout, indent=1)
        sys.stdout.write("\n")
    return os.EX_OK


def _live(options: argparse.Namespace) -> int:
    try:
        found = live.reports(live.snapshot(options.config), options.node)
    except PvcError as err:
        sys.stderr.write(f"{err}\n")
        return os.EX_UNAVAILABLE
    if options.json:
        json.dump([failover_view(one) for one in found], sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("\n\n".join(map(live.text, found)) + "\n")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
