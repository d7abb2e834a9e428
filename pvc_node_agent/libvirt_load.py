# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt tells of the use of processors and memory by the domains of this node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import libvirt

from .load_watch import Used

_WHAT = libvirt.VIR_DOMAIN_STATS_CPU_TOTAL | libvirt.VIR_DOMAIN_STATS_BALLOON
#: Only those that run, and none that is waited for because something else is done to it.
_WHICH = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT


def usage(connection: Any) -> Mapping[str, Used]:
    """What each domain has used so far, by name; one of which libvirt does not tell is left out."""
    found = {}
    for domain, stats in connection.getAllDomainStats(_WHAT, _WHICH):
        if "cpu.time" in stats and "balloon.rss" in stats:
            found[domain.name()] = Used(stats["cpu.time"] / 1e9, stats["balloon.rss"] // 1024)
    return found
