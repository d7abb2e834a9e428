# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the services of this node are looked at: one file per kind, each asks the service itself and reads its answer.

Nothing here decides: what is seen is posted, and the step publishes what has changed. What it means for the cluster is
concluded by ``pvc_state.health``, from what all nodes have published.
"""

from __future__ import annotations

from functools import partial

from ..config import Config, HealthConfig
from . import ceph, frr, patroni, zookeeper
from .lookout import Look


def looks(config: Config) -> dict[str, Look]:
    """How the services that should run on this node are looked at, by kind."""
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
    return found
