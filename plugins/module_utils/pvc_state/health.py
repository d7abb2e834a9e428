# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the cluster is healthy, and why not: concluded from what each node's agent sees of its own services. Pure.

What an agent has published counts while the process that wrote it lives. Of a node without one, nothing is known: what
was seen last is shown as stale, and no conclusion rests on it. Times are for people; no two clocks are compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from .fence_report import summary
from .records import Health, Service
from .snapshot import Snapshot

#: Kinds of services that agents look at, each with its name in sentences.
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "zookeeper": "ZooKeeper",
        "patroni": "Patroni",
        "ceph": "Ceph",
        "frr": "FRR",
        # of any node's devices, each coordinator tells whether it can use them
        "fence": "Fence device read",
    }
)
#: All that can be asked for.
SERVICES = ("agents", *LABELS)

#: Roles of the member of Patroni that takes writes, or would in a cluster that follows another.
LEADING = ("leader", "standby_leader")
#: Bytes that a replica may be behind. Patroni tells of a position once per round, so that a busy leader seems ahead.
LAG_LIMIT = 64 << 20


@dataclass(frozen=True)
class Member:
    """One service on one node, as far as it is known.

    Attributes:
        stale: nothing is known now; ``service`` is what was seen last.
        why: why it is not healthy, concluded from what all nodes report; empty when it is.
    """

    node: str
    service: Service
    stale: bool
    why: str


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kinds: of the services that it speaks of.
        node: the node concerned, empty for the cluster as a whole.
        text: one sentence that names node and service.
    """

    kinds: frozenset[str]
    node: str
    text: str


@dataclass(frozen=True)
class Report:
    """What is known of the cluster's health.

    Attributes:
        unknown: nodes of which nothing is known now, each with the reason.
        members: by kind.
        findings: all that is not as it should be; none for a healthy cluster.
        leader: the node whose agent leads; empty for none.
    """

    snapshot: Snapshot
    unknown: Mapping[str, str]
    members: Mapping[str, tuple[Member, ...]]
    findings: tuple[Finding, ...]
    leader: str = ""

    def about(self, services: Collection[str], nodes: Collection[str] | None) -> tuple[Finding, ...]:
        """The findings about these services, on these nodes (None: on all) and in the cluster as a whole."""
        missing = [
            Finding(frozenset(services), node, f"{node}: it is not registered in the cluster")
            for node in sorted(set(nodes or ()) - set(self.snapshot.nodes))
        ]
        there = (
            finding
            for finding in self.findings
            if not finding.kinds.isdisjoint(services) and (nodes is None or not finding.node or finding.node in nodes)
        )
        return (*missing, *there)


def judge(snapshot: Snapshot, leader: str) -> Report:
    """Conclude from what all nodes report, and from which agent leads (empty: none)."""
    unknown = {node: why for node in sorted(snapshot.nodes) if (why := _why_unknown(snapshot, node))}
    members = {kind: tuple(_members(snapshot, unknown, kind)) for kind in LABELS}
    findings = [_of_unknown(snapshot, node, why) for node, why in unknown.items()]
    findings += _of_leading(snapshot, leader)
    for kind, conclude in (
        ("zookeeper", _zookeeper),
        ("patroni", _patroni),
        ("ceph", _ceph),
        ("frr", _frr),
        ("fence", _fence),
    ):
        members[kind], about_all = conclude(members[kind], bool(unknown))
        findings += [_of_member(member) for member in members[kind] if member.why and not member.stale]
        findings += [Finding(frozenset({kind}), "", f"{LABELS[kind]}: {text}") for text in about_all]
    return Report(snapshot, MappingProxyType(unknown), MappingProxyType(members), tuple(findings), leader)


# --- what is known ------------------------------------------------------------------------------------------------------


def health_of(snapshot: Snapshot, node: str) -> Health | None:
    """What a node's agent has published of its services, None if nothing or damaged."""
    stored = snapshot.health.get(node)
    return stored.value if stored else None


def _why_unknown(snapshot: Snapshot, node: str) -> str:
    alive, stored = snapshot.alive.get(node), snapshot.health.get(node)
    if alive is None:
        return "its agent has no session: the machine is down or cut off, or pvc-node-agent does not run on it"
    if stored is None:
        return "its agent does not tell of its services: deploy it anew with role node_agent"
    if stored.value is None:
        return f"what its agent tells of its services is damaged ({stored.invalid}): restart pvc-node-agent on it"
    if alive.value is None or alive.value.instance != stored.value.instance:
        return "its agent has told nothing of its services since it started: that takes seconds, or it was not configured for it"
    return ""


def _members(snapshot: Snapshot, unknown: Mapping[str, str], kind: str) -> Iterator[Member]:
    for node in sorted(snapshot.nodes):
        health, why = health_of(snapshot, node), unknown.get(node, "")
        for service in health.services if health else ():
            if service.kind == kind:
                own = "" if service.healthy else service.why or f"it is not healthy ({service.state})"
                yield Member(node, service, bool(why), f"not known: {why}" if why else own)


def _of_unknown(snapshot: Snapshot, node: str, why: str) -> Finding:
    health = health_of(snapshot, node)
    # fence devices are other nodes': what one coordinator does not tell of them, the others do
    own = [kind for kind in LABELS if kind != "fence"]
    kinds = [kind for kind in own if health is None or any(one.kind == kind for one in health.services)]
    blind = f"; nothing is known of its {', '.join(LABELS[kind] for kind in kinds)}" if kinds and health else ""
    record = snapshot.nodes[node].value
    excuse = "it is in maintenance, and " if record is not None and record.state == "maintenance" else ""
    return Finding(frozenset({"agents", *kinds}), node, f"{node}: {excuse}{why}{blind}")


def _of_leading(snapshot: Snapshot, leader: str) -> Iterator[Finding]:
    """What the leader has to say, and whether there is one: only coordinators lead."""
    agents = frozenset({"agents"})
    if not leader and any(node.value and node.value.coordinator for node in snapshot.nodes.values()):
        yield Finding(agents, "", "agents: none of them leads, so that no node is fenced and no VM recovered or moved")
    for node in sorted(snapshot.fences):
        fenced = summary(snapshot, node)
        if fenced is not None:
            yield Finding(agents, node, f"{node}: {fenced['sentence'].removeprefix(f'{node} ').rstrip('.')}")


def _of_member(member: Member) -> Finding:
    service = member.service
    since = f" (since {service.since})" if service.since and not service.healthy else ""
    where = f" on {member.node}" if service.name != "cluster" else ""
    part = f" ({service.name})" if service.name not in (service.kind, "cluster") else ""
    node = member.node if where else ""
    return Finding(frozenset({service.kind}), node, f"{LABELS[service.kind]}{where}{part}: {member.why}{since}")


# --- conclusions by kind: the members with what only all of them together show, and sentences about the whole -----------

# ``blind``: there are nodes of which nothing is known.

Concluded = tuple[tuple[Member, ...], list[str]]


def healthy(members: Iterable[Member], *roles: str, prefix: str = "") -> list[Member]:
    """Those that are known, healthy and of such a role."""
    return [one for one in members if not one.why and one.service.role in roles and one.service.name.startswith(prefix)]


def _nobody_leads(blind: bool, who: str, consequence: str) -> str:
    if blind:
        return f"no {who} is known to lead: it may be on a node of which nothing is known"
    return f"no {who} leads: {consequence}"


def _nodes(members: Sequence[Member]) -> str:
    return " and ".join(one.node for one in members)


def _zookeeper(members: tuple[Member, ...], blind: bool) -> Concluded:
    if len(members) < 2:
        return members, []
    alone = "it runs as a server of its own, not as a member of the ensemble"
    members = tuple(replace(one, why=alone) if one in healthy(members, "standalone") else one for one in members)
    leaders, serving = healthy(members, "leader"), healthy(members, "leader", "follower")
    problems = []
    if not is_majority(len(serving), len(members)):
        problems.append(f"only {len(serving)} of {len(members)} servers are known to serve, which is no majority")
    if not leaders:
        problems.append(_nobody_leads(blind, "server", "they are electing, or an agent has yet to look again"))
    if len(leaders) > 1:
        problems.append(f"{_nodes(leaders)} are both said to lead: an agent has yet to look again after an election")
    return members, problems


def is_majority(some: int, of: int) -> bool:
    """Whether so many decide for all."""
    return 2 * some > of


def _patroni(members: tuple[Member, ...], blind: bool) -> Concluded:
    if not members:
        return members, []
    leaders = healthy(members, *LEADING)
    if not leaders:
        return members, [_nobody_leads(blind, "member", "the database takes no writes")]
    if len(leaders) > 1:
        return members, [f"{_nodes(leaders)} both say that they lead: only one of them holds the leader's lock"]
    (leader,) = leaders
    return tuple(one if one.why or one is leader else replace(one, why=_behind(one, leader)) for one in members), []


def _behind(replica: Member, leader: Member) -> str:
    """Why a replica could not take over from the leader; empty when it could."""
    mine, its = replica.service.details, leader.service.details
    if mine.get("system") != its.get("system"):
        return f"it is a copy of another database than that of the leader, {leader.node}"
    if mine.get("timeline") != its.get("timeline"):
        at = f"is on timeline {mine['timeline']}" if mine.get("timeline") else "has no timeline yet"
        return f"it {at}, the leader, {leader.node}, on {its.get('timeline', 'none')}"
    # Patroni 3.0 tells of streaming at the leader only
    if replica.service.state != "streaming" and replica.node not in its.get("streaming", "").split():
        return f"it does not stream from the leader, {leader.node}"
    lag = mine.get("lag", "")
    if lag.isdecimal() and int(lag) >= LAG_LIMIT:
        return f"it is {int(lag) >> 20} MiB or more behind the leader, {leader.node}"
    return ""


def _ceph(members: tuple[Member, ...], blind: bool) -> Concluded:
    problems = []
    if any(one.service.name.startswith("mon.") for one in members):
        leaders = healthy(members, "leader", prefix="mon.")
        if not leaders:
            problems.append(_nobody_leads(blind, "monitor", "they are electing, or have no quorum"))
        if len(leaders) > 1:
            problems.append(f"the monitors on {_nodes(leaders)} are both said to lead: they have just elected")
    if any(one.service.name.startswith("mgr.") for one in members):
        active = healthy(members, "active", prefix="mgr.")
        if not active:
            problems.append("no manager is known to be active")
        if len(active) > 1:
            problems.append(f"the managers on {_nodes(active)} are both said to be active: one has just taken over")
    return members, problems


def _fence(members: tuple[Member, ...], _blind: bool) -> Concluded:
    # what a coordinator that is gone could use then is nobody's concern: the others tell of the same devices
    return tuple(one for one in members if not one.stale), []


def _frr(members: tuple[Member, ...], _blind: bool) -> Concluded:
    if len({one.node for one in members}) < 2:
        return members, []
    lonely = "it has no neighbours, so this node is no part of the network between the nodes"
    return tuple(replace(one, why=lonely) if one.service.name == "frr" and not one.why else one for one in members), []
