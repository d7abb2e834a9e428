# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is scripted to go wrong with a VM."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..effects import DestroyDomain, Effect, HandOver, MigrateDomain, ShutdownDomain, StartDomain
from ..env import EffectFailed


@dataclass
class Faults:
    """What is scripted to go wrong with one VM.

    Attributes:
        start_fails: attempts that fail before one succeeds; counted anew after that one. move_fails: the same for moves.
        stop_fails: whether it never stops.
        node: the faults are there on this node only; empty: on all.
        lock: who has locked it against starts, stops and moves; empty: nobody.
    """

    start_fails: int = 0
    move_fails: int = 0
    stop_fails: bool = False
    node: str = ""
    lock: str = ""
    starts: int = field(default=0, init=False)
    moves: int = field(default=0, init=False)

    def check(self, effect: Effect, node: str) -> None:
        """Raises EffectFailed for an effect on the node that is to fail."""
        match effect:
            case StartDomain():
                self._check_lock()
                self._check_start(node)
            case ShutdownDomain() | DestroyDomain():
                self._check_lock()
                if self.stop_fails and self._here(node):
                    raise EffectFailed("it was made not to stop")
            case MigrateDomain():
                self.check_move(node)
            case HandOver():
                self._check_lock()

    def check_move(self, node: str) -> None:
        """Raises EffectFailed for an attempt to move it away from the node that is to fail."""
        self._check_lock()
        if self.move_fails and self._here(node):
            self.moves += 1
            if self.moves <= self.move_fails:
                raise EffectFailed(f"its move was made to fail ({self.moves} of {self.move_fails})")
            self.moves = 0

    def _check_start(self, node: str) -> None:
        if self.start_fails and self._here(node):
            self.starts += 1
            if self.starts <= self.start_fails:
                raise EffectFailed(f"its start was made to fail ({self.starts} of {self.start_fails})")
            self.starts = 0

    def _here(self, node: str) -> bool:
        return self.node in ("", node)

    def _check_lock(self) -> None:
        if self.lock:
            raise EffectFailed(f"it is locked ({self.lock})")
