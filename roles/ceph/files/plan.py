# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compare a Ceph cluster with what is wanted of it: print the commands that are missing, each with its reason, and its health.

Reads only. Run on a coordinator as: python3 - WANTED, where WANTED is a JSON object with config, pools, client, fence_client,
failure_domain, and monitors and osds that must be up for the cluster to count as healthy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

CONNECT_SECONDS = 20
# Pools that Ceph makes for itself (the second name is that of Ceph 16).
INTERNAL_POOLS = (".mgr", "device_health_metrics")
# What an agent that fences says to the monitors.
FENCE_COMMANDS = ("osd blocklist", "osd down", "osd dump", "osd ls-tree")
FAILURE_DOMAINS = {"osd": 0, "host": 1}

Op = dict[str, object]


class Cluster:
    """The monitors' answers."""

    def __init__(self) -> None:
        # Here, so that planning itself needs no Ceph.
        import rados

        self.rados = rados.Rados(
            conffile="/etc/ceph/ceph.conf",
            name="client.admin",
            conf={"client_mount_timeout": str(CONNECT_SECONDS), "rados_mon_op_timeout": str(CONNECT_SECONDS)},
        )
        try:
            self.rados.connect(timeout=CONNECT_SECONDS)
        except rados.Error as error:
            sys.exit(f"The monitors do not answer within {CONNECT_SECONDS} s ({error}). Is a majority of them running?")

    def ask(self, prefix: str, **arguments: str) -> Any:
        """The JSON answer to a monitor command, or None when the monitors say that there is no such thing."""
        code, answer, words = self.rados.mon_command(json.dumps({"prefix": prefix, "format": "json", **arguments}), b"")
        if code == -2:
            return None
        if code:
            sys.exit(f"ceph {prefix}: {words or code}")
        return json.loads(answer)


def op(why: str, *argv: object) -> Op:
    """A command and the reason for it."""
    return {"why": why, "argv": ["ceph", *(str(word) for word in argv)]}


def same(one: object, other: object) -> bool:
    """Whether two option values mean the same: Ceph prints 2 as 2.000000, and booleans in words."""
    one, other = (str(value).lower() for value in (one, other))
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def plan_config(cluster: Cluster, wanted: dict[str, Any]) -> Iterator[Op]:
    """Options of the monitors' configuration database."""
    current = {(entry["section"], entry["name"]): entry["value"] for entry in cluster.ask("config dump")}
    for section, options in wanted["config"].items():
        for name, value in options.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found = current.get((section, name))
            if found is None or not same(found, text):
                yield op(
                    f"{section}/{name} is {found or 'not set'}, wanted {text}", "config", "set", section, name, text
                )


def domain_of(rule: dict[str, Any]) -> int | None:
    """The kind of bucket over which a replicated rule of the whole tree spreads copies; None for any other rule."""
    steps = rule["steps"]
    takes = [step.get("item_name") for step in steps if step["op"] == "take"]
    chooses = [step for step in steps if step["op"].startswith("choose")]
    if takes != ["default"] or len(chooses) != 1:
        return None
    step = chooses[0]
    if step["op"] == "choose_firstn" and step["type"] == "osd":
        return FAILURE_DOMAINS["osd"]
    return FAILURE_DOMAINS.get(step["type"]) if step["op"] == "chooseleaf_firstn" else None


def plan_pools(cluster: Cluster, wanted: dict[str, Any]) -> Iterator[Op]:
    """Pools, and the rules that place their copies. What Ceph tunes by itself (pg_num) is given at creation only."""
    rules = cluster.ask("osd crush rule dump")
    pools = {pool["pool_name"]: pool for pool in cluster.ask("osd dump")["pools"]}
    internal = [{"name": name, "internal": True} for name in INTERNAL_POOLS if name in pools]
    for pool in wanted["pools"] + internal:
        name, found = pool["name"], pools.get(pool["name"])
        domain = pool.get("failure_domain", wanted["failure_domain"])
        size, least = pool.get("size", wanted["size"]), pool.get("min_size", wanted["min_size"])
        fitting = {rule["rule_id"]: rule["rule_name"] for rule in rules if domain_of(rule) == FAILURE_DOMAINS[domain]}
        rule = next(iter(fitting.values()), None)
        if rule is None:
            rule = f"pvc-{domain}"
            yield op(
                f"no rule places copies by {domain}",
                "osd",
                "crush",
                "rule",
                "create-replicated",
                rule,
                "default",
                domain,
            )
            rules.append(
                {
                    "rule_id": -1,
                    "rule_name": rule,
                    "steps": [
                        {"op": "take", "item_name": "default"},
                        {"op": "chooseleaf_firstn", "type": domain},
                    ],
                }
            )
        sure = ["--yes-i-really-mean-it"] if size == 1 else []
        if found is None:
            groups = pool.get("pg_num", wanted["pg_num"])
            yield op(f"pool {name} is not there", "osd", "pool", "create", name, groups, groups, "replicated", rule)
            found = {"size": None, "min_size": None, "crush_rule": None, "application_metadata": {}}
        elif found["crush_rule"] not in fitting:
            yield op(f"pool {name} does not place copies by {domain}", "osd", "pool", "set", name, "crush_rule", rule)
        if found["size"] != size:
            yield op(
                f"pool {name} has size {found['size']}, wanted {size}", "osd", "pool", "set", name, "size", size, *sure
            )
        if found["min_size"] != least:
            yield op(
                f"pool {name} has min_size {found['min_size']}, wanted {least}",
                "osd",
                "pool",
                "set",
                name,
                "min_size",
                least,
            )
        if not found["application_metadata"] and "internal" not in pool:
            yield op(f"pool {name} is not meant for disks yet", "osd", "pool", "application", "enable", name, "rbd")


def plan_client(cluster: Cluster, wanted: dict[str, Any]) -> Iterator[Op]:
    """The key with which virtual machines' disks are made and opened."""
    entity = f"client.{wanted['client']}"
    pools = ", ".join(f"profile rbd pool={pool['name']}" for pool in wanted["pools"])
    yield from plan_key(cluster, entity, {"mon": "profile rbd", "mgr": pools, "osd": pools})


def plan_fence_client(cluster: Cluster, wanted: dict[str, Any]) -> Iterator[Op]:
    """The key with which coordinators have Ceph refuse a dead node's clients. It opens nothing, and may do nothing else."""
    may = ", ".join(f'allow command "{command}"' for command in FENCE_COMMANDS)
    yield from plan_key(cluster, f"client.{wanted['fence_client']}", {"mon": may})


def plan_key(cluster: Cluster, entity: str, caps: dict[str, str]) -> Iterator[Op]:
    """A key with exactly these capabilities."""
    words = [word for pair in caps.items() for word in pair]
    found = cluster.ask("auth get", entity=entity)
    if found is None:
        yield op(f"{entity} is not there", "auth", "add", entity, *words)
    elif found[0]["caps"] != caps:
        yield op(f"{entity} has other capabilities than wanted", "auth", "caps", entity, *words)


def health(cluster: Cluster, wanted: dict[str, Any]) -> list[str]:
    """Why the cluster is not healthy yet. Not Ceph's own HEALTH_OK, which Debian 13's packages can never reach."""
    status = cluster.ask("status")
    up = {str(osd["osd"]) for osd in cluster.ask("osd dump")["osds"] if osd["up"]}
    problems = [f"monitor {name} is not in quorum" for name in wanted["monitors"] if name not in status["quorum_names"]]
    problems += [f"osd.{number} is not up" for number in wanted["osds"] if number not in up]
    if not status["mgrmap"].get("available"):
        problems.append("no manager is active")
    pgmap = status["pgmap"]
    for state in pgmap.get("pgs_by_state", []):
        if "active" not in state["state_name"].split("+"):
            problems.append(f"{state['count']} placement groups are {state['state_name']}")
    if up and not pgmap.get("num_pgs") and wanted["pools"]:
        problems.append("placement groups are not reported yet")
    return problems


def main() -> None:
    wanted = json.loads(sys.argv[1])
    cluster = Cluster()
    ops = [*plan_config(cluster, wanted), *plan_pools(cluster, wanted), *plan_client(cluster, wanted)]
    ops += plan_fence_client(cluster, wanted)
    print(json.dumps({"ops": ops, "problems": health(cluster, wanted)}))


if __name__ == "__main__":
    main()
