# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs when pvc is called."""

from __future__ import annotations

import logging
from typing import NoReturn

from .app import cli


def main() -> NoReturn:
    """Do what the command line says, and exit."""
    # the library tells of lost connections in its own words
    logging.getLogger("kazoo").addHandler(logging.NullHandler())
    cli.main(prog_name="pvc")
    raise AssertionError("click exits")


if __name__ == "__main__":
    main()
