# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clusters of the modules' tests, for jobs of AWX."""

from __future__ import annotations

from tests.unit.plugins.modules.conftest import server, tls_files, zookeeper

__all__ = ["server", "tls_files", "zookeeper"]
