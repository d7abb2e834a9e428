# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at each kind of service from time to time, in a thread of its own, and posts what has changed.

A service that hangs keeps nothing else from being looked at. What is not as it should be is looked at more often:
somebody is likely to wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from pvc_state.records import Service

from ..env import Post
from ..events import ServicesSeen
from .ask import NoAnswer

#: Seconds between two looks at what is healthy, and at what is not.
STEADY = 3.0
UNEASY = 1.0

#: Asks one kind of service; raises NoAnswer, or whatever comes of an answer that it does not understand.
Look = Callable[[], Iterable[Service]]


def watch(looks: Mapping[str, Look], post: Post, stopped: threading.Event) -> None:
    """Look at each kind until told to stop."""
    for kind, look in looks.items():
        threading.Thread(target=_watch, args=(kind, look, post, stopped), name=f"health-{kind}", daemon=True).start()


def _watch(kind: str, look: Look, post: Post, stopped: threading.Event) -> None:
    before: tuple[Service, ...] | None = None
    while True:
        services = seen(kind, kind, look)
        if services != before:
            before = services
            post(ServicesSeen(kind, services, now()))
        if stopped.wait(STEADY if all(service.healthy for service in services) else UNEASY):
            return


def seen(kind: str, name: str, look: Look) -> tuple[Service, ...]:
    """What a look shows; an answer that cannot be had, or not be understood, is itself what it shows."""
    try:
        return tuple(look())
    except NoAnswer as err:
        return (Service(kind, name, "no answer", healthy=False, why=str(err)),)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as err:
        why = f"it gives an answer that this agent does not understand ({type(err).__name__}: {err})"
        return (Service(kind, name, "unclear", healthy=False, why=why),)


def now() -> str:
    """This machine's wall clock."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
