# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the agent speaks to systemd: its journal, with fields that can be searched for, and the service manager.

Without systemd's Python library, or without a journal, decisions go to standard error; without a service manager
nothing is notified. Fields: ``journalctl -u pvc-node-agent VM=web1``, ``DECISION=start``; of a leader also ``NODE=node3``
and ``EVIDENCE=storage_cut``.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from .view import Sentence

try:
    from systemd import daemon, journal
except ImportError:
    daemon = journal = None

_INFO, _WARNING = 6, 4


class JournalVoice:
    """The journal of this machine."""

    def say(self, sentence: Sentence) -> None:
        self._send(
            str(sentence),
            PRIORITY=_INFO,
            VM=sentence.vm,
            NODE=sentence.node,
            DECISION=sentence.decision,
            REASON=sentence.reason,
            EVIDENCE=sentence.evidence,
        )

    def trouble(self, text: str) -> None:
        self._send(text, PRIORITY=_WARNING)

    def _send(self, text: str, **fields: Any) -> None:
        journal.send(text, SYSLOG_IDENTIFIER="pvc-node-agent", **{key: value for key, value in fields.items() if value})


class StreamVoice:
    """Standard error."""

    def say(self, sentence: Sentence) -> None:
        print(sentence, file=sys.stderr, flush=True)  # noqa: T201 - this is the output

    def trouble(self, text: str) -> None:
        print(f"warning: {text}", file=sys.stderr, flush=True)  # noqa: T201 - this is the output


def voice() -> JournalVoice | StreamVoice:
    """The journal when this process writes there, standard error otherwise."""
    return JournalVoice() if journal is not None and "JOURNAL_STREAM" in os.environ else StreamVoice()


def notify(state: str) -> None:
    """Tell the service manager, if there is one: READY=1, WATCHDOG=1, STATUS=…, STOPPING=1."""
    if daemon is not None:
        daemon.notify(state)


def watchdog_interval() -> float | None:
    """Seconds between two signs of life that the service manager expects; None when it expects none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdigit() else None
