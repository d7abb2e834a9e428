# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at this machine, and install the lab's program in its state folder: python3 -B setup.py --directory=... COMMAND."""

from __future__ import annotations

import sys

from pvc_lab.setup import main

sys.exit(main())
