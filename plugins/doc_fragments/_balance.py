# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

from __future__ import annotations


class ModuleDocFragment:
    """Options of the modules that spread VMs over the nodes."""

    DOCUMENTATION = r"""
options:
  min_gain:
    description:
      - The share of the spread, from 0 to 1, that a move must gain if there were two nodes. With more nodes it is the share of two of them,
        since a move concerns no more. An exchange of two VMs must gain twice as much.
    type: float
    default: 0.01
  cold:
    description: Whether VMs are moved, too, that have to be stopped for it.
    type: bool
    default: false
"""
