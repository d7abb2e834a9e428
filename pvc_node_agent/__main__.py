# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command: ``pvc-node-agent`` or ``python -m pvc_node_agent``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pvc_state.errors import PvcError

from . import __version__, config


def main(arguments: list[str] | None = None) -> int:
    """Run the agent, or check its configuration. Returns the exit code: 0, or 78 for a wrong configuration."""
    parser = argparse.ArgumentParser(
        prog="pvc-node-agent", description="Runs the VMs that this node holds the claims of."
    )
    parser.add_argument("--config", type=Path, default=config.DEFAULT_PATH, help="configuration file (%(default)s)")
    parser.add_argument("--check-config", action="store_true", help="check the configuration file and end")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    try:
        loaded = config.load(options.config)
    except config.ConfigError as err:
        sys.stderr.write(f"pvc-node-agent: {err}\n")
        return os.EX_CONFIG
    if options.check_config:
        return os.EX_OK

    # the bindings to the node's daemons are needed from here on only, and are large
    from . import daemon

    try:
        daemon.run(loaded)
    except PvcError as err:
        sys.stderr.write(f"pvc-node-agent: {err}\n")
        return os.EX_SOFTWARE
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
