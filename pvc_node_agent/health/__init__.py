# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the services of this node are looked at: one file per kind, each asks the service itself and reads its answer.

Nothing here decides: what is seen is posted, and the step publishes what has changed. What it means for the cluster is
concluded by ``pvc_state.health``, from what all nodes have published.
"""

from __future__ import annotations
