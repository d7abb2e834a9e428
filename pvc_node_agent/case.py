# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one decision about one VM is made from, and what it answers."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from pvc_state.records import VmStatus

from .effects import VmEffect
from .standing import Standing
from .view import Domain, Memory, Seen, Settings


class Case(NamedTuple):
    """One VM as a decision sees it.

    Attributes:
        node: name of this node. enrolment: of its agent.
        busy: the effect under way for it.
        slot: whether one more start may begin now.
        turn: whether one more guest may be stopped now to be restarted.
        spare: whether the volumes of one more VM that is not to be started may be looked after now.
        lane: whether one more guest may set out for another node now.
        hypervisor: empty, or why libvirt cannot be asked.
        standing: what the node as a whole may do.
        published: what the store shows of it.
        left: whether its last domain here was moved away, although this agent may not know of it.
    """

    now: float
    node: str
    settings: Settings
    vm: str
    seen: Seen
    domain: Domain | None
    memory: Memory
    busy: VmEffect | None
    slot: bool
    turn: bool
    spare: bool
    lane: bool
    hypervisor: str
    standing: Standing
    published: VmStatus | None
    enrolment: int = 0
    left: bool = False


class Verdict(NamedTuple):
    """The answer for one VM.

    Attributes:
        status: what to publish of it, None when it is not this node's to speak of.
        memory: what to remember, None to forget it.
        effect: what to do now.
        decision: the effect, or the absence of one, in words.
        reason: why.
        wake_at: when to ask again although nothing happened.
    """

    status: VmStatus | None
    memory: Memory | None
    effect: VmEffect | None = None
    decision: str = ""
    reason: str = ""
    wake_at: float | None = None


class Decided(NamedTuple):
    """A decision that asked for nothing, kept so that it need not be made again while its grounds are the same."""

    case: Case
    verdict: Verdict


def pause(settings: Settings, attempts: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(settings.longest_pause, settings.first_pause * 2.0 ** min(attempts - 1, 16))


def react(case: Case) -> tuple[Memory, float | None]:
    """Turn a new trouble into a pause; returns when the pause ends, None when there is none."""
    memory = case.memory
    if memory.trouble:
        attempts = memory.attempts + 1
        memory = replace(
            memory,
            trouble="",
            reason=memory.trouble,
            attempts=attempts,
            retry_at=case.now + pause(case.settings, attempts),
        )
    return memory, memory.retry_at if case.now < memory.retry_at else None
