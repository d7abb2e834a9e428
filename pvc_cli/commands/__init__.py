# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file for each command, or for a few that are about the same."""

from __future__ import annotations
