# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tests.unit.plugins.module_utils.pvc_state.builders import Cluster


@pytest.fixture
def cluster() -> Cluster:
    """Two nodes."""
    return Cluster()
