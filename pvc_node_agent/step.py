# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One step of the agent: from what is known to what is to be done, each with its reason. Pure.

Invariants, each held by a test:
- Without sight of the store nothing is started, stopped, moved or removed; only a node whose storage is cut, or that is
  shutting down, ends its own domains.
- While the node has a fence nothing is started, and it says that it is clean only when nothing runs.
- A VM is started only under this node's own claim, for the epoch and the record that were read, and only when the store
  shows the addresses that a fence would refuse.
- One effect per VM is under way at a time.
- A status, or the health of the services, is written only when it differs from the one in the store.
"""

from __future__ import annotations

from dataclasses import replace

from pvc_state.records import NodeStatus, SignOff, VmStatus

from .case import Case, Decided, Verdict
from .decide import decide
from .effects import Depart, Effect, EnsureVolumes, MigrateDomain, StartDomain, VmEffect, WriteHealth, WriteStatus
from .services import record
from .standing import Standing, clean, moves_until, onward, recovers, standing
from .view import Leaving, Memory, Outcome, Processor, Seen, Sentence, View

_NOTHING_REMEMBERED = Memory()
_UNSEEN = Seen(None, None)


def step(now: float, view: View) -> Outcome:
    """What is to be done now."""
    view = replace(view, leaving=onward(now, view)) if view.leaving is not None else view
    stand = standing(view)
    said, sentence = _of_node(view)
    sentences = [sentence] if said != view.said else []
    if not view.link.sees and not stand.unasked:
        until: list[float] = []
        leaving = _leave(now, view, view.leaving, until) if view.leaving is not None else None
        return Outcome((), tuple(sentences), view.memory, said, min(until, default=None), {}, leaving)

    effects: list[Effect] = []
    statuses: dict[str, VmStatus] = {}
    memory: dict[str, Memory] = {}
    decided: dict[str, Decided] = {}
    times: list[float] = []
    slots = view.settings.parallel_starts - sum(map(_is_start, view.busy.values()))
    # those that do not listen keep the turns of others for a while, but nobody from being started
    turns = slots - sum(_is_restarted(view.memory.get(vm)) for vm in view.domains)
    if not _is_reachable_by_a_fence(view):
        slots = 0
    spare = view.settings.parallel_volumes - sum(map(_is_spare, view.busy.values()))
    # a move that libvirt does not end must not keep the others from moving
    lanes = view.settings.parallel_moves - sum(
        _is_move(effect) and not view.memory.get(vm, _NOTHING_REMEMBERED).overdue for vm, effect in view.busy.items()
    )
    published = view.published.vms if view.published is not None else {}
    hypervisor = "" if view.hypervisor.up else view.hypervisor.reason
    # what must go is looked at even if nothing is known of it
    names = view.seen.keys() | view.memory.keys() | (view.domains.keys() if stand.sweep else set())
    for vm in sorted(names):
        seen = view.seen.get(vm)
        remembered = view.memory.get(vm, _NOTHING_REMEMBERED)
        if (seen is None or seen.stale) and not (stand.sweep and vm in view.domains):
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
            seen=seen or _UNSEEN,
            domain=view.domains.get(vm),
            memory=remembered,
            busy=view.busy.get(vm),
            slot=slots > 0,
            turn=turns > 0,
            spare=spare > 0,
            lane=lanes > 0,
            hypervisor=hypervisor,
            standing=stand,
            published=published.get(vm),
            enrolment=view.link.enrolment,
            left=vm in view.hypervisor.left,
        )
        before = view.decided.get(vm)
        verdict = before.verdict if before is not None and _still_so(before, case) else _decide(case, sentences)
        if vm in view.domains:
            turns -= _is_restarted(verdict.memory) - _is_restarted(remembered)
        if verdict.effect is not None:
            effects.append(verdict.effect)
            slots -= _is_start(verdict.effect)
            spare -= _is_spare(verdict.effect)
            lanes -= _is_move(verdict.effect)
        elif verdict.memory is remembered:
            decided[vm] = Decided(case, verdict)
        if verdict.status is not None:
            statuses[vm] = with_load(view, vm, verdict.status)
        if verdict.memory is not None:
            memory[vm] = verdict.memory
        if verdict.wake_at is not None:
            times.append(verdict.wake_at)

    leaving = view.leaving
    if view.link.sees:
        _publish(now, view, statuses, stand, effects, times)
    if any(isinstance(effect, Depart) for effect in effects):
        fate = "its VMs wait for it" if stand.frozen else "its VMs are to run elsewhere"
        sentences.append(Sentence("", "sign off", f"{stand.halt}, and nothing runs here any more; {fate}"))
    if leaving is not None:
        leaving = _leave(now, view, leaving, times)
    return Outcome(tuple(effects), tuple(sentences), memory, said, min(times, default=None), decided, leaving)


def _is_reachable_by_a_fence(view: View) -> bool:
    """Whether the store shows every address that clients on this node come from: a fence refuses those, and no others."""
    facts, published = view.facts, view.published
    if facts is None:
        return True
    if published is None or published.addresses != facts.addresses:
        return False
    return view.storage.address in ("", published.storage_address)


def _publish(
    now: float, view: View, vms: dict[str, VmStatus], stand: Standing, effects: list[Effect], times: list[float]
) -> None:
    """Write what is not in the store yet; the sign-off takes the place of the status once nothing runs any more."""
    status = node_status(view, vms)
    if status is not None and not view.writing:
        leaving = view.leaving
        empty = leaving is not None and leaving.stopping_since is not None and _empty(view)
        if leaving is not None and empty and not leaving.over:
            if now >= view.write_at:
                word = SignOff(recovers(leaving), stand.halt, back=leaving.reboot)
                effects.append(Depart(replace(status, signed_off=word)))
            else:
                times.append(view.write_at)
        elif status != view.published:
            if now >= view.write_at:
                effects.append(WriteStatus(status))
            else:
                times.append(view.write_at)
    services = view.services
    health = record(services)
    if health is not None and health != services.published and not services.writing:
        if now >= services.write_at:
            effects.append(WriteHealth(health))
        else:
            times.append(services.write_at)


def _empty(view: View) -> bool:
    """Whether nothing runs here, as far as anybody can tell."""
    return view.hypervisor.up and not view.domains and not view.busy


def _leave(now: float, view: View, leaving: Leaving, times: list[float]) -> Leaving:
    """When the machine's shutdown is to go on, whatever has come of it here."""
    if leaving.over:
        return leaving
    settings = view.settings
    if leaving.stopping_since is None:
        times.append(moves_until(leaving, settings))
        return leaving
    last = leaving.stopping_since + settings.stop_within + settings.sign_off_within
    if now >= last:
        return replace(leaving, over=True)
    times.append(last)
    return leaving


def _is_start(effect: VmEffect) -> bool:
    """Whether it takes one of the node's slots for starts."""
    return isinstance(effect, StartDomain) or (isinstance(effect, EnsureVolumes) and effect.to_start)


def _is_restarted(memory: Memory | None) -> bool:
    """Whether the guest that it is about is being stopped to be started again."""
    return memory is not None and memory.restarting > 0


def _is_move(effect: VmEffect) -> bool:
    return isinstance(effect, MigrateDomain)


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
        and then.turn == case.turn
        and then.spare == case.spare
        and then.lane == case.lane
        and then.standing == case.standing
        and then.hypervisor == case.hypervisor
        and then.enrolment == case.enrolment
        and then.left == case.left
        and (wake_at is None or case.now < wake_at)
    )


def node_status(view: View, vms: dict[str, VmStatus]) -> NodeStatus | None:
    """What the node publishes of itself, None before it knows itself.

    The pools are those known last while Ceph has yet to answer, and so is the address that it sees.
    """
    facts, published = view.facts, view.published
    if facts is None:
        return None
    pools = facts.pools
    if pools is None:
        pools = published.pools if published is not None else ()
    leaving = view.leaving
    processor = view.hypervisor.processor
    if processor is None:
        processor = (
            Processor(published.cpu_model, published.cpu_models, published.cpu_default)
            if published is not None
            else Processor()
        )
    return NodeStatus(
        agent=facts.agent,
        boot_id=facts.boot_id,
        memory=facts.memory,
        cpus=facts.cpus,
        pools=pools,
        bridges=facts.bridges,
        addresses=facts.addresses,
        vms=vms,
        cpu_model=processor.model,
        cpu_models=processor.models,
        cpu_default=processor.default,
        storage_address=view.storage.address or (published.storage_address if published is not None else ""),
        storage_cut=bool(view.storage.cut),
        leaving=leaving.policy if leaving is not None else "",
        load=round(sum(status.load or 0.0 for status in vms.values())),
        load_memory=sum(status.load_memory or 0 for status in vms.values()),
        clean=clean(view),
    )


def with_load(view: View, vm: str, status: VmStatus) -> VmStatus:
    """A VM's status with what its guest uses, as far as that was measured here."""
    load, memory = view.loads.get(vm, (None, None)) if vm in view.domains else (None, None)
    if (status.load, status.load_memory) == (load, memory):
        return status
    return replace(status, load=load, load_memory=memory)


def _of_node(view: View) -> tuple[str, Sentence]:
    """The node's own state in words, and what about it is worth saying again when it changes."""
    link, hypervisor, stand = view.link, view.hypervisor, standing(view)
    if stand.sweep:
        return stand.sweep, Sentence("", "sweep", f"{stand.sweep}; no VM may stay here")
    if not link.sees:
        why = f"{link.reason} ({link.detail})" if link.detail else link.reason
        return f"blind {link.reason}", Sentence(
            "", "blind", f"{why}; what runs here runs on, and nothing is started or stopped"
        )
    if not hypervisor.up:
        return "without hypervisor", Sentence("", "without hypervisor", hypervisor.reason)
    if stand.halt:
        return stand.halt, Sentence("", "hold", f"{stand.halt}; nothing is started here")
    if view.storage.slow:
        return "slow storage", Sentence("", "slow storage", view.storage.slow)
    return "ready", Sentence("", "ready", "")
