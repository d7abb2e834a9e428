# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""What the modules have in common, as attributes."""

from __future__ import annotations


class ModuleDocFragment:
    # Every module extends this one, and one of the two below.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and return what it would change, without changing anything.
    support: full
  diff_mode:
    description: Returns what has changed, or would change in check mode, when in diff mode.
  idempotent:
    description: Run twice in a row with the same options, the second run changes nothing.
    support: full
  action_group:
    description: Use C(group/pvc.cluster.cluster) in C(module_defaults) to set options of all modules at once.
    support: full
    membership:
      - pvc.cluster.cluster
"""

    STATE = r"""
options: {}
attributes:
  diff_mode:
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    details: The module changes nothing.
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    details: The module changes nothing.
"""
