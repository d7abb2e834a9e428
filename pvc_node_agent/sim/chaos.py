# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m pvc_node_agent.sim.chaos``: clusters in which everything goes wrong at random, until one breaks.

A seed decides all of one run, so that what it finds can be played again: ``--seed 42 --story``.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pvc_state import paths
from pvc_state.records import Node, NodeStatus, Rule

from .machine import Machine
from .power import MOODS
from .stage import Stage, fence_devices

#: How many things go wrong in one run.
LENGTH = 60
#: Kinds of evidence that suffice: each alone, and all together.
EVIDENCE: Sequence[Sequence[str]] = (("storage_cut",), ("powered_off",), ("storage_cut", "powered_off"))
#: Coordinators and further hypervisors.
SIZES = ((3, 0), (5, 0), (3, 2))
#: Seconds that a leader's orders take.
ORDERS: Sequence[Mapping[str, float]] = ({}, {"cut": 3.0, "restore": 3.0, "power": 10.0}, {"cut": 0.5, "power": 5.0})
#: Fence devices of each node, and whether each switches one supply.
DEVICES = ((1, False), (2, False), (2, True))
#: Seconds after which all is served again, once a single node is missing.
REPAIRED = 300.0
PAUSES = (0.0, 0.2, 1.0, 3.0, 5.0, 8.0, 20.0, 60.0)
RULES: Sequence[Sequence[Rule]] = (
    (),
    (Rule("apart", ("vm1", "vm2"), strict=True),),
    (Rule("together", ("vm1", "vm3"), strict=True),),
    (Rule("node_preference", ("vm1",), {"node1": 1, "node2": 0}, strict=True),),
    (Rule("node_preference", ("vm2",), {"node3": 1}),),
)


class Chaos:
    """One run: a stage, and who may do what to it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)  # noqa: S311 - for the same run again, not for secrets
        coordinators, hypervisors = self.dice.choice(SIZES)
        self.stage = Stage(
            coordinators,
            hypervisors,
            vms=self.dice.choice((1, 3, 5)),
            evidence=self.dice.choice(EVIDENCE),
            rules=self.dice.choice(RULES),
            shutdown_policy=self.dice.choice(("conditional", "freeze", "failover", "migrate")),
            orders=self.dice.choice(ORDERS),
            **self._devices(),
            storm_limit=self.dice.choice((0, 0, 1, 5)),
            early_suspicion=self.dice.random() < 0.3,
            rebalance=seed % 3 == 0,
            rebalance_threshold=0.05,
        )

    def _devices(self) -> dict[str, Any]:
        devices, together = self.dice.choice(DEVICES)
        return {"devices": devices, "together": together}

    def run(self) -> None:
        """Raises AssertionError when something is violated."""
        stage, dice = self.stage, self.dice
        stage.advance(10.0)
        for _turn in range(LENGTH):
            name, do = dice.choice(ACTS)
            machine = dice.choice(list(stage.nodes.values()))
            stage._line("chaos", f"{name} {machine.name}")
            do(self, machine)
            stage.advance(dice.choice(PAUSES))
        self._one_is_left_to_itself()
        stage.calm()

    def _one_is_left_to_itself(self) -> None:
        """All is well again, but a node that is gone: what ran there must run elsewhere before anybody repairs it."""
        stage = self.stage
        gone = self._gone()
        if not gone or stage.nodes[gone[0]].rebooting is not None:
            return
        stage._line("chaos", f"all but {gone[0]} is repaired")
        stage.heal(but=gone[0])
        for name in stage.nodes:
            stage.node_state(name, "ready")
        stage.advance(REPAIRED)
        status = stage.record(NodeStatus, paths.status(gone[0]))
        if self._gone() == gone[:1] and status.signed_off is None and not stage.is_down:
            stage.serve()

    def _gone(self) -> list[str]:
        return [name for name in self.stage.nodes if self.stage.ensemble.peek(paths.alive(name)) is None]

    def vm(self) -> str:
        return self.dice.choice(self.stage.vms)


def _crash(chaos: Chaos, machine: Machine) -> None:
    chaos.stage.crash_after(machine.name, chaos.dice.randint(1, 6))


def _agent(_chaos: Chaos, machine: Machine) -> None:
    if machine.powered:
        machine.restart_agent()


def _network(chaos: Chaos, machine: Machine) -> None:
    if machine.powered:
        machine.network(store=chaos.dice.random() < 0.5, ceph=chaos.dice.random() < 0.5)


def _mood(chaos: Chaos, machine: Machine) -> None:
    device = chaos.dice.choice(("bmc", "bmc2"))
    chaos.stage.power.moods[f"{device}-{machine.name}"] = chaos.dice.choice(MOODS)


def _fence_failing(chaos: Chaos, _machine: Machine) -> None:
    chaos.stage.storage.fence_failing = chaos.dice.choice(("", "Ceph's monitors take too long"))


def _storage_failing(chaos: Chaos, _machine: Machine) -> None:
    chaos.stage.storage.failing = chaos.dice.choice(("", "Ceph has an error"))


def _store(chaos: Chaos, _machine: Machine) -> None:
    chaos.stage.store(chaos.dice.random() < 0.7)


def _late(chaos: Chaos, _machine: Machine) -> None:
    chaos.stage.ensemble.late(chaos.dice.random() < 0.5)


def _jump(chaos: Chaos, machine: Machine) -> None:
    machine.clock.ahead += chaos.dice.choice((1.0, 10.0, 1000.0))


def _want(chaos: Chaos, _machine: Machine) -> None:
    chaos.stage.want(chaos.vm(), chaos.dice.choice(("started", "started", "stopped", "disabled")))


def _node_state(chaos: Chaos, machine: Machine) -> None:
    chaos.stage.node_state(machine.name, chaos.dice.choice(("ready", "ready", "drained", "maintenance")))


def _maintenance(chaos: Chaos, _machine: Machine) -> None:
    chaos.stage.maintenance(chaos.dice.random() < 0.3)


def _leave(chaos: Chaos, machine: Machine) -> None:
    machine.leave(reboot=chaos.dice.random() < 0.5)


def _faulty(chaos: Chaos, machine: Machine) -> None:
    machine.store_faulty = chaos.dice.random() < 0.5


def _starts_fail(chaos: Chaos, machine: Machine) -> None:
    machine.hypervisor.failing = chaos.dice.choice(("", "no such bridge"))


def _guest_dies(chaos: Chaos, machine: Machine) -> None:
    machine.hypervisor.end(chaos.vm(), "its QEMU died")


def _breaks(chaos: Chaos, machine: Machine) -> None:
    machine.hypervisor.breaks = chaos.dice.random() < 0.5


def _stall(chaos: Chaos, machine: Machine) -> None:
    chaos.stage.stall(machine.name, chaos.dice.choice((2.0, 8.0, 30.0)))


def _moved(chaos: Chaos, machine: Machine) -> None:
    chaos.stage.move(chaos.vm(), machine.name)


def _declared(chaos: Chaos, machine: Machine) -> None:
    """Nobody vouches for a machine that has its power; and who does for one with a session is refused."""
    stage = chaos.stage
    lives = stage.ensemble.peek(paths.alive(machine.name)) is not None
    if lives or not machine.powered:
        accepted = stage.declare_dead(machine.name)
        assert not (accepted and lives), f"{machine.name} has a session and was declared dead"


def _evidence(chaos: Chaos, _machine: Machine) -> None:
    """Any kind, but nobody relies on fence devices alone where a node has none."""
    nodes = [chaos.stage.record(Node, paths.node(name)) for name in chaos.stage.nodes]
    equipped = all(node.fence for node in nodes)
    chaos.stage.set(evidence=tuple(chaos.dice.choice(EVIDENCE if equipped else (EVIDENCE[0], EVIDENCE[2]))))


def _settings(chaos: Chaos, _machine: Machine) -> None:
    chaos.stage.set(storm_limit=chaos.dice.choice((0, 1, 5)), early_suspicion=chaos.dice.random() < 0.3)


def _devices(chaos: Chaos, machine: Machine) -> None:
    if not chaos.stage.power.feeds:  # whoever declares one of two supplies is beyond any defence
        devices = fence_devices(machine.name, chaos.dice.choice((1, 2)))
        chaos.stage._change(paths.node(machine.name), Node, fence=tuple(devices))


Act = Callable[[Chaos, Machine], None]
#: What may happen, with how often it does.
_WEIGHTS: Sequence[tuple[int, str, Act]] = (
    (6, "power cut", lambda _chaos, machine: machine.power_cut()),
    (8, "power on", lambda _chaos, machine: machine.power_on()),
    (4, "isolate", lambda _chaos, machine: machine.isolate()),
    (4, "lose networks", _network),
    (8, "reconnect", lambda _chaos, machine: machine.reconnect()),
    (3, "pause", lambda _chaos, machine: machine.pause()),
    (5, "thaw", lambda _chaos, machine: machine.thaw()),
    (2, "stall before the next start", _stall),
    (2, "kill agent", lambda _chaos, machine: machine.kill_agent()),
    (5, "start agent", _agent),
    (5, "crash after an effect", _crash),
    (3, "fence device", _mood),
    (2, "cuts fail", _fence_failing),
    (2, "storage fails", _storage_failing),
    (2, "store", _store),
    (2, "late watches", _late),
    (2, "clock jump", _jump),
    (5, "want", _want),
    (3, "node state", _node_state),
    (1, "cluster maintenance", _maintenance),
    (3, "shut down", _leave),
    (1, "store faulty", _faulty),
    (1, "starts fail", _starts_fail),
    (2, "guest dies", _guest_dies),
    (1, "moves break", _breaks),
    (3, "move", _moved),
    (4, "declare dead", _declared),
    (1, "other evidence", _evidence),
    (1, "other settings", _settings),
    (1, "other devices", _devices),
)
ACTS: Sequence[tuple[str, Act]] = [(name, act) for weight, name, act in _WEIGHTS for _time in range(weight)]


def attempt(seed: int) -> str:
    """Run one seed; returns what went wrong, empty if nothing."""
    chaos = None
    try:
        chaos = Chaos(seed)
        chaos.run()
    except Exception as err:
        story = chaos.stage.story[-80:] if chaos is not None and not isinstance(err, AssertionError) else []
        return "".join([traceback.format_exc(), *(f"{line}\n" for line in story)])
    return ""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 1 when a seed has found something."""
    parser = argparse.ArgumentParser(prog="python -m pvc_node_agent.sim.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to try (%(default)s)")
    parser.add_argument("--first", type=int, default=1, help="first seed (%(default)s)")
    parser.add_argument("--seed", type=int, help="this seed only")
    parser.add_argument("--story", action="store_true", help="with --seed: print all that happened")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        chaos = Chaos(options.seed)
        try:
            chaos.run()
        finally:
            if options.story:
                sys.stdout.write("\n".join(chaos.stage.story) + "\n")
        return 0
    end, seed = time.monotonic() + options.seconds, options.first
    while time.monotonic() < end:
        trouble = attempt(seed)
        if trouble:
            sys.stdout.write(f"{trouble}\nseed {seed} has found something: --seed {seed} --story plays it again\n")
            return 1
        seed += 1
    sys.stdout.write(f"{seed - options.first} runs, nothing found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
