# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clusters of the modules' tests, for those of the inventory."""

from __future__ import annotations

from tests.unit.plugins.modules.conftest import agents, cluster, empty, server, tls_files, zookeeper

__all__ = ["agents", "cluster", "empty", "server", "tls_files", "zookeeper"]
