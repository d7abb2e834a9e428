# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the services of this node are looked at: one file per kind, each asks the service itself and reads its answer.

Nothing here decides: what is seen is posted, and the step publishes what has changed. What it means for the cluster is
concluded by ``pvc_state.health``, from what all nodes have published.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pvc_state.store import Store

from ..config import Config, HealthConfig
from ..fence.device import Devices
from . import ceph, fence, frr, patroni, zookeeper
from .lookout import Look


def looks(config: Config, store: Callable[[], Store]) -> dict[str, Look]:
    """How the services that should run on this node are looked at, by kind, and on coordinators all fence devices.

    Args:
        store: returns the store that the agent is enrolled with; raises StoreUnavailable when there is none.
    """
    health, tls = config.health or HealthConfig(), config.zookeeper
    found: dict[str, Look] = {}
    if health.zookeeper:
        host, _colon, port = health.zookeeper.rpartition(":")
        found["zookeeper"] = partial(zookeeper.look, host, int(port))
    if health.patroni:
        api = patroni.Api(health.patroni, tls.ca_file, tls.cert_file, tls.key_file)
        found["patroni"] = partial(patroni.look, api)
    if health.ceph:
        found["ceph"] = ceph.look
    if health.frr:
        found["frr"] = frr.look
    if config.health is not None and config.fence is not None:
        found["fence"] = fence.Fences(store, Devices(Path(config.fence.credentials))).look
    return found
