# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command: ``python -m pvc_node_agent.sim CASE.json``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from . import case as cases
from .play import Play
from .result import result


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 64 and more for what cannot be played."""
    parser = argparse.ArgumentParser(prog="python -m pvc_node_agent.sim", description="Plays a case of a cluster.")
    parser.add_argument("case", type=Path, help="the case, a JSON file")
    parser.add_argument("--story", action="store_true", help="print what happened and why, instead of the result")
    options = parser.parse_args(arguments)
    try:
        case = cases.parse(json.loads(options.case.read_text()))
    except (OSError, json.JSONDecodeError, cases.BadCase) as err:
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


if __name__ == "__main__":
    sys.exit(main())
