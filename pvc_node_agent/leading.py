# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""This node's part in leading the cluster, put together for the daemon."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from .config import Config
from .env import Clock, EffectFailed, Voice
from .feed import Feed
from .fence.ceph import CephFence
from .fence.device import Devices
from .lead.candidate import Candidate
from .lead.loop import LeadInbox, LeadLoop, LeadPools
from .lead.perform import LeadPerformer
from .lead.view import LeadView
from .workers import Workers

#: Seconds between two turns of the leader's loop at most.
IDLE = 10.0
#: Seconds that an agent that stops gives itself to leave the lead to others.
PATIENCE = 2.0


class Leading:
    """The candidate and the leader's loop of this agent. A node that is no coordinator has them too: they stand back.

    Args:
        instance: of this process, as in its ephemeral.
        wall: the wall clock, for people.
    """

    def __init__(
        self, config: Config, instance: str, feed: Feed, clock: Clock, wall: Callable[[], str], voice: Voice
    ) -> None:
        self._clock = clock
        self._ceph = CephFence(config.ceph.conf, config.fence.user, config.fence.keyring) if config.fence else None
        power = Devices(Path(config.fence.credentials)) if config.fence else None
        inbox: LeadInbox = SimpleQueue()
        self.candidate = Candidate(config.node, instance, feed.store, clock, inbox.put)
        self._pools = LeadPools(
            ceph=Workers("ceph-fence", 4), power=Workers("power", 8), store=Workers("lead-store", 4)
        )
        self._loop = LeadLoop(
            LeadView(config.node),
            inbox,
            clock,
            self.candidate,
            LeadPerformer(config.node, feed.store, self._ceph, power, voice, self.candidate.doubt),
            self._pools,
            voice,
            wall=wall,
            session_timeout=lambda: feed.session_timeout,
            idle=IDLE,
            shown=self._show,
        )
        #: Under which epoch it leads, None while it does not; and when its loop turned last.
        self.epoch: int | None = None
        self.turned_at = clock.now()

    def start(self) -> None:
        """Begin to stand for the lead, in threads of its own."""
        threading.Thread(target=self._loop.run, name="lead", daemon=True).start()

    def stop(self) -> None:
        """Leave the lead to others at once."""
        self.candidate.resign(PATIENCE)
        self._loop.stop()
        if self._ceph is not None:
            self._ceph.close()

    def _show(self, view: LeadView) -> None:
        self.turned_at = self._clock.now()
        if view.epoch is not None and self.epoch is None and self._ceph is not None:
            # what it will be asked first is in a hurry
            self._pools.ceph.submit(self._warm)
        self.epoch = view.epoch

    def _warm(self) -> None:
        # should it fail: a fence's own attempt says so
        with suppress(EffectFailed):
            if self._ceph is not None:
                self._ceph.warm()
