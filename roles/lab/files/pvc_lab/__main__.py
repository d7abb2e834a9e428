# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""python3 -m pvc_lab: the command line."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
