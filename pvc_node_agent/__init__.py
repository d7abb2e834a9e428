# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent of a node: runs the virtual machines that the node holds the claims of, and nothing else.

The way through the package: what happens outside arrives as an event (``events``); ``absorb`` folds it into the one
immutable ``view``; ``step`` looks at the view and returns effects with the reason for each; ``perform`` carries an
effect out against the outside world (``env``) and answers with an event. ``absorb`` and ``step`` are pure: a simulator
runs the same functions under a virtual clock.
"""

from __future__ import annotations

__version__ = "0.1.0"
