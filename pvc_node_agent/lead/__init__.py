# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leading the cluster: one of the coordinators' agents fences what is dead, recovers its VMs, and moves others.

``step`` decides, purely, from a snapshot of the whole tree and what this agent remembers; ``candidate`` wins and loses the
lead; ``mirror`` keeps the snapshot; ``perform`` carries out what was decided, every write under the leader's epoch.
docs/safety.md has the protocol.
"""
