# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One step of the agent: from what is known to what is to be done, each with its reason. Pure.

Invariants, each held by a test:
- Without sight of the store nothing is started, stopped, moved or removed.
- A VM is started only under this node's own claim, for the epoch and the record that were read.
- One effect per VM is under way at a time.
- A status, or the health of the services, is written only when it differs from the one in the store.
"""

from __future__ import annotations

from dataclasses import replace

from pvc_state.records import NodeStatus, VmStatus

from .case import Case, Decided, Verdict
from .decide import decide
from .effects import Effect, EnsureVolumes, StartDomain, VmEffect, WriteHealth, WriteStatus
from .services import record
from .view import Facts, Memory, Outcome, Sentence, View

_NOTHING_REMEMBERED = Memory()


def step(now: float, view: View) -> Outcome:
    """What is to be done now."""
    said, sentence = _of_node(view)
    sentences = [sentence] if said != view.said else []
    if not view.link.sees:
        return Outcome((), tuple(sentences), view.memory, said, None, {})

    effects: list[Effect] = []
    statuses: dict[str, VmStatus] = {}
    memory: dict[str, Memory] = {}
    decided: dict[str, Decided] = {}
    wake_at: float | None = None
    slots = view.settings.parallel_starts - sum(map(_is_start, view.busy.values()))
    spare = view.settings.parallel_volumes - sum(map(_is_spare, view.busy.values()))
    published = view.published.vms if view.published is not None else {}
    hypervisor = "" if view.hypervisor.up else view.hypervisor.reason
    for vm in sorted(view.seen.keys() | view.memory.keys()):
        seen = view.seen.get(vm)
        remembered = view.memory.get(vm, _NOTHING_REMEMBERED)
        if seen is None or seen.stale:
            if seen is not None or vm in view.domains or vm in view.busy:
                memory[vm] = remembered
            if seen is not None and vm in published:
                statuses[vm] = published[vm]
            continue
        case = Case(
            now=now,
            node=view.node,
            settings=view.settings,
            vm=vm,
            seen=seen,
            domain=view.domains.get(vm),
            memory=remembered,
            busy=view.busy.get(vm),
            slot=slots > 0,
            spare=spare > 0,
            hypervisor=hypervisor,
            published=published.get(vm),
        )
        before = view.decided.get(vm)
        verdict = before.verdict if before is not None and _still_so(before, case) else _decide(case, sentences)
        if verdict.effect is not None:
            effects.append(verdict.effect)
            slots -= _is_start(verdict.effect)
            spare -= _is_spare(verdict.effect)
        elif verdict.memory is remembered:
            decided[vm] = Decided(case, verdict)
        if verdict.status is not None:
            statuses[vm] = verdict.status
        if verdict.memory is not None:
            memory[vm] = verdict.memory
        if verdict.wake_at is not None:
            wake_at = verdict.wake_at if wake_at is None else min(wake_at, verdict.wake_at)

    if view.facts is not None and not view.writing:
        status = node_status(view.facts, view.published, statuses)
        if status != view.published and now >= view.write_at:
            effects.append(WriteStatus(status))
        elif status != view.published:
            wake_at = view.write_at if wake_at is None else min(wake_at, view.write_at)
    services = view.services
    health = record(services)
    if health is not None and health != services.published and not services.writing:
        if now >= services.write_at:
            effects.append(WriteHealth(health))
        else:
            wake_at = services.write_at if wake_at is None else min(wake_at, services.write_at)
    return Outcome(tuple(effects), tuple(sentences), memory, said, wake_at, decided)


def _is_start(effect: VmEffect) -> bool:
    """Whether it takes one of the node's slots for starts."""
    return isinstance(effect, StartDomain) or (isinstance(effect, EnsureVolumes) and effect.to_start)


def _is_spare(effect: VmEffect) -> bool:
    return isinstance(effect, EnsureVolumes) and not effect.to_start


def _decide(case: Case, sentences: list[Sentence]) -> Verdict:
    """Decide anew; what is decided is told once."""
    verdict = decide(case)
    memory, status = verdict.memory, verdict.status
    if memory is not None and verdict.decision:
        sentence = Sentence(case.vm, verdict.decision, verdict.reason)
        if str(sentence) != memory.said or verdict.effect is not None:
            sentences.append(sentence)
            memory = replace(memory, said=str(sentence))
    # the same object for the same value: most steps then compare identities only
    if memory == case.memory:
        memory = case.memory
    if status == case.published:
        status = case.published
    return verdict._replace(memory=memory, status=status)


def _still_so(before: Decided, case: Case) -> bool:
    """Whether a decision that changed nothing would be made again: it rests on the same, and its time has not come."""
    then, wake_at = before.case, before.verdict.wake_at
    return (
        then.seen is case.seen
        and then.domain is case.domain
        and then.memory is case.memory
        and then.busy is case.busy
        and then.published is case.published
        and then.slot == case.slot
        and then.spare == case.spare
        and then.hypervisor == case.hypervisor
        and (wake_at is None or case.now < wake_at)
    )


def node_status(facts: Facts, published: NodeStatus | None, vms: dict[str, VmStatus]) -> NodeStatus:
    """What the node publishes of itself; the pools are those known last while Ceph has yet to answer."""
    pools = facts.pools
    if pools is None:
        pools = published.pools if published is not None else ()
    return NodeStatus(
        agent=facts.agent,
        boot_id=facts.boot_id,
        memory=facts.memory,
        cpus=facts.cpus,
        pools=pools,
        bridges=facts.bridges,
        addresses=facts.addresses,
        vms=vms,
    )


def _of_node(view: View) -> tuple[str, Sentence]:
    """The node's own state in words, and what about it is worth saying again when it changes."""
    link, hypervisor = view.link, view.hypervisor
    if not link.sees:
        why = f"{link.reason} ({link.detail})" if link.detail else link.reason
        return f"blind {link.reason}", Sentence(
            "", "blind", f"{why}; what runs here runs on, and nothing is started or stopped"
        )
    if not hypervisor.up:
        return "without hypervisor", Sentence("", "without hypervisor", hypervisor.reason)
    return "ready", Sentence("", "ready", "")
