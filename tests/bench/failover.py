# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench-failover`: power cuts in a row on the lab, with what each of them cost and where the seconds went.

The victims rotate, and with them what they lead. Guests that write to their disks run all the time (they are those of
molecule/failover, which also proves that nobody wrote while another one did). CUTS=20 says how many.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.commit import commit
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.plan_vm import plan_vms
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.requests import VmRequest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.snapshot import load
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.wait import wait_for_vms

from tests.bench.failover_lab import AGENTS, CEPH, COMMAND, ZOOKEEPER, Cluster, PowerCut, lab, ssh, until
from tests.bench.failover_tree import Moments, watching
from tests.bench.figure import Figure
from tests.bench.lab import INVENTORY, require_lab
from tests.bench.playbook import HERE, ROOT, Results

CUTS = int(os.environ.get("CUTS") or "5")
POOL = "vms"
#: Seconds that are watched after a cut.
LIMIT = 60.0
OUTPUT = ROOT / "build" / "bench-failover.json"

#: Who is cut, and who leads ZooKeeper and the agents then. node1's monitor leads Ceph's whenever it lives.
ROUND = (
    ("node2", "node1", "node1"),
    ("node1", "node1", "node1"),
    ("node3", "node1", "node1"),
    ("node3", "node3", "node1"),
    ("node2", "node1", "node2"),
)

PARTS = ("detect", "fence", "claim", "start", "elsewhere", "writes")


@dataclass(frozen=True)
class Cut:
    """What one power cut cost, in seconds.

    Attributes:
        victim: which node. led: what it led.
        session: until the servers had ended its agent's session: the least that any failover costs.
        detect: until its fence was there. fence: from then until it was proven. claim: until the last VM had a new owner.
        start: until the last one ran there. elsewhere: all of that: from the cut on.
        writes: from the cut until each placement group had taken a write that was begun after it.
    """

    victim: str
    led: tuple[str, ...]
    vms: int
    session: float
    detect: float
    fence: float
    claim: float
    start: float
    elsewhere: float
    writes: float


def measure() -> list[Figure]:
    require_lab()
    variables = Results("failover.yml", {}, INVENTORY).result_of("Connection")["msg"]
    cluster = Cluster(variables["addresses"], variables["connection"])
    vms = sorted(variables["vms"])
    cuts: list[Cut] = []
    for number in range(CUTS):
        victim, zookeeper, agents = ROUND[number % len(ROUND)]
        until_healthy(cluster)
        cluster.make_lead(ZOOKEEPER, zookeeper)
        cluster.make_lead(AGENTS, agents)
        until_healthy(cluster)
        give(cluster, victim, vms)
        cuts.append(cut(cluster, victim, vms))
        print(f"cut {number + 1}: {cuts[-1]}", file=sys.stderr, flush=True)
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(json.dumps([vars(one) for one in cuts], indent=2) + "\n")
    until_healthy(cluster)
    return figures(cuts)


def until_healthy(cluster: Cluster) -> None:
    """Everything is up, and no fence stands."""

    def look() -> bool | None:
        status = cluster.ceph("status")
        states = {one["state_name"].split("+scrubbing")[0] for one in status["pgmap"]["pgs_by_state"]}
        if status["osdmap"]["num_up_osds"] != len(cluster.nodes) or states != {"active+clean"}:
            return None
        if len(status["quorum_names"]) != len(cluster.nodes) or not cluster.leader(ZOOKEEPER):
            return None
        with cluster.store() as store:
            snapshot = load(store)
        return True if set(snapshot.alive) >= set(cluster.nodes) and not snapshot.fences else None

    until(look, "the cluster is well", 300, 2)


def give(cluster: Cluster, node: str, vms: Sequence[str]) -> None:
    """Have at least one of the VMs run on the node, and all of them run."""
    with cluster.store() as store:
        wait_for_vms(store, vms, 180)
        snapshot = load(store)
        if node in {snapshot.owner(vm) for vm in vms}:
            return
        owners = [snapshot.owner(vm) for vm in vms]
        chosen = max(vms, key=lambda vm: owners.count(snapshot.owner(vm)))
        commit(store, lambda seen: plan_vms(seen, [VmRequest(chosen, node=node)]))
        wait_for_vms(store, [chosen], 180)
        commit(store, lambda seen: plan_vms(seen, [VmRequest(chosen, node=None)]))
        wait_for_vms(store, vms, 180)


def cut(cluster: Cluster, victim: str, vms: Sequence[str]) -> Cut:
    """Cut a node's power, watch, and power it on again."""
    led = tuple(role for role in (AGENTS, ZOOKEEPER, CEPH) if cluster.leader(role) == victim)
    with cluster.store() as store:
        snapshot = load(store)
    hit = [vm for vm in vms if snapshot.owner(vm) == victim]
    other = next(node for node in reversed(cluster.nodes) if node != victim)
    ssh(other, "cat >/root/pg_writer.py", (HERE / "pg_writer.py").read_text())
    command = [COMMAND, "ssh", other, f"python3 /root/pg_writer.py {POOL}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        if writer.stdout.readline() != "ready\n":
            raise RuntimeError("the writers do not write")
        with watching(cluster, victim, hit) as seen:
            try:
                power = PowerCut(victim)
                until(
                    lambda: True if len(seen().running) == len(hit) else None,
                    f"the VMs of {victim} run elsewhere",
                    LIMIT,
                    0.1,
                )
                time.sleep(max(0.0, power.at + 20 - time.monotonic()))  # and the writers have gone on
            finally:
                answer, _none = writer.communicate()
                lab("power-on", victim)
    moments = seen()
    processes = {vm: cluster.guests(moments.owners[vm])[vm] for vm in hit}
    lab("wait", victim)
    return reckon(victim, led, power.at, moments, processes, json.loads(answer))


def reckon(
    victim: str,
    led: tuple[str, ...],
    at: float,
    moments: Moments,
    processes: dict[str, float],
    writes: dict[str, list[tuple[float, float]]],
) -> Cut:
    """From moments to seconds."""
    events = moments.events
    claimed = max(moments.claimed.values())
    # When a process was started is told in the clock that also counts while a machine sleeps.
    started = max(processes.values()) - time.clock_gettime(time.CLOCK_BOOTTIME) + time.monotonic()
    resumed = []
    for group, done in writes.items():
        after = [end for begun, end in done if begun > at]
        if not after:
            raise RuntimeError(f"placement group {group} took no write any more")
        resumed.append(min(after))
    return Cut(
        victim=victim,
        led=led,
        vms=len(processes),
        session=round(events["session"] - at, 2),
        detect=round(events["fence"] - at, 2),
        fence=round(events["proven"] - events["fence"], 2),
        claim=round(claimed - events["proven"], 2),
        start=round(started - claimed, 2),
        elsewhere=round(started - at, 2),
        writes=round(max(resumed) - at, 2),
    )


def figures(cuts: Sequence[Cut]) -> list[Figure]:
    """Medians and the worst of each kind, beside the end of the session, which no failover can come before."""
    nothing = [one for one in cuts if not one.led]
    everything = [one for one in cuts if len(one.led) == 3]
    found: list[Figure] = []
    kinds = [("led nothing", nothing, 8.0, 10.0), ("led everything", everything, 15.0, 15.0), ("any", cuts, 15.0, 15.0)]
    for what, some, middle, worst in kinds:
        if some:
            session = median(one.session for one in some)
            values = [one.elsewhere for one in some]
            found.append(
                Figure(f"failover, {what}: median of {len(some)} (session)", median(values), "s", session, middle)
            )
            found.append(Figure(f"failover, {what}: p99 (session)", percentile(values), "s", session, worst))
    session = median(one.session for one in cuts)
    for part in PARTS[:4]:
        values = [float(getattr(one, part)) for one in cuts]
        found.append(Figure(f"failover: {part}, median (session)", median(values), "s", session, 15.0))
    values = [one.writes for one in cuts]
    found.append(Figure("failover: writes to all PGs, median (session)", median(values), "s", session, 15.0))
    found.append(Figure("failover: writes to all PGs, p99 (session)", percentile(values), "s", session, 15.0))
    return found


def percentile(values: Sequence[float], share: float = 0.99) -> float:
    """The smallest value that so large a share does not exceed: of fewer than a hundred, the largest."""
    return sorted(values)[math.ceil(share * len(values)) - 1]
