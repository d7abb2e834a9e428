# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: Debian nodes in systemd-nspawn containers, with switches, disks and a power button each."""

from __future__ import annotations
