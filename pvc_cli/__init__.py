# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of a PVC cluster: it reads options, asks pvc_state, and shows what that answers."""

from __future__ import annotations
