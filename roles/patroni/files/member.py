# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asks and tells the Patroni of this machine by its REST API, and prints one JSON object.

Address, certificates and the secret come from Patroni's own configuration file, so that none of them is in an argument.
Run as: python3 - CONFIG COMMAND [ARGUMENT], where COMMAND is one of

status NAMES        the members, the leader, and why the cluster is not healthy; NAMES is a JSON list of those expected
configuration WANTED  what of the dynamic configuration differs from WANTED, a JSON object
configure WANTED    the same, and changes it; returns when every member has taken it over
restart             restart this machine's PostgreSQL; returns when it runs again
switchover          let a replica lead instead of this machine; returns when it does
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import time
from typing import Any

import yaml

#: Seconds for an answer; a restart or a switchover is answered when it is done.
QUICK, SLOW = 5, 90
#: States in which PostgreSQL serves. Patroni 4 tells a replica that streams from one that only runs.
SERVING = ("running", "streaming")


class Failed(Exception):
    """Patroni did not do or answer what it was asked; the text says what it said."""


class Member:
    """Patroni's REST API, as the configuration file describes it; also that of the other members, which look alike."""

    def __init__(self, config: dict[str, Any]) -> None:
        api = config["restapi"]
        self.address = str(api["connect_address"])
        self.loop_wait = float(config["bootstrap"]["dcs"]["loop_wait"])
        login = f"{api['authentication']['username']}:{api['authentication']['password']}"
        self.headers = {
            "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
            "Content-Type": "application/json",
        }
        self.context = ssl.create_default_context(cafile=api["cafile"])
        self.context.load_cert_chain(api["certfile"], api["keyfile"])

    def call(self, method: str, path: str, body: Any = None, timeout: float = QUICK, address: str = "") -> str:
        """The text of the answer of this machine's Patroni, or of the one at `address`.

        Raises:
            Failed: there is none, or it is a refusal.
        """
        address = address or self.address
        connection = http.client.HTTPSConnection(address, timeout=timeout, context=self.context)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), self.headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"Patroni at {address} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise Failed(f"Patroni at {address} answers {method} {path} with {answer.status} {text or answer.reason}")
        return text


def difference(current: Any, wanted: Any, closed: bool = False) -> Any:
    """What to PATCH so that `current` holds `wanted`; {} when it does.

    Keys that are not wanted are left alone, so that a pause set by an administrator stays; in a closed object they are
    removed. PostgreSQL's parameters are closed: one that is no longer declared gets its default back.
    """
    patch = {}
    for key, value in wanted.items():
        found = current.get(key)
        if isinstance(value, dict):
            deeper = difference(found if isinstance(found, dict) else {}, value, key == "parameters")
            if deeper or not isinstance(found, dict):
                patch[key] = deeper
        elif found != value:
            patch[key] = value
    if closed:
        patch.update({key: None for key in current if key not in wanted})
    return patch


def judge(members: list[dict[str, Any]], expected: list[str]) -> list[str]:
    """Why the cluster is not as it should be: one leader, and everybody else behind it on its timeline."""
    by_name = {member["name"]: member for member in members}
    leaders = [member for member in members if member["role"] in ("leader", "standby_leader")]
    problems = [f"{name} is not a member" for name in expected if name not in by_name]
    if not leaders:
        problems.append("there is no leader")
    for member in members:
        if member.get("state") not in SERVING:
            problems.append(f"{member['name']} is {member.get('state', 'in an unknown state')}")
        elif leaders and member.get("timeline") != leaders[0].get("timeline"):
            problems.append(
                f"{member['name']} is on timeline {member.get('timeline')}, the leader on {leaders[0].get('timeline')}"
            )
        elif member not in leaders and not isinstance(member.get("lag"), int):
            problems.append(f"{member['name']} does not follow the leader yet")
    return problems


def status(member: Member, expected: list[str]) -> dict[str, Any]:
    """The cluster as this member sees it."""
    cluster = json.loads(member.call("GET", "/cluster"))
    members = cluster["members"]
    return {
        "paused": bool(cluster.get("pause")),
        "leader": next((one["name"] for one in members if one["role"] in ("leader", "standby_leader")), ""),
        "members": members,
        "restart": [one["name"] for one in members if one.get("pending_restart")],
        "problems": judge(members, expected),
    }


def settle(member: Member) -> None:
    """Wait until each member that answers has gone through a whole turn of its loop, begun after now.

    A member tells when it last read ZooKeeper, which it does at the begin of each turn: at the second change that can be
    seen, a turn that began after now is over. Only a member's own times are compared.
    """
    waiting: dict[str, list[int | None]] = {}
    for one in status(member, [])["members"]:
        address = one["api_url"].split("/")[2]
        waiting[address] = [seen] if (seen := last_seen(member, address)) else []
    deadline = time.monotonic() + 10 * member.loop_wait
    while waiting and time.monotonic() < deadline:
        time.sleep(0.2)
        for address, turns in list(waiting.items()):
            seen = last_seen(member, address)
            if seen not in turns:
                turns.append(seen)
            if seen is None or len(turns) > 2:
                del waiting[address]
    if waiting:
        raise Failed(f"{', '.join(waiting)} did not take the configuration over within {10 * member.loop_wait:.0f} s")


def last_seen(member: Member, address: str) -> int | None:
    """When the member there last read ZooKeeper, by its own clock; None when it does not answer."""
    try:
        return int(json.loads(member.call("GET", "/patroni", address=address))["dcs_last_seen"])
    except (Failed, KeyError, ValueError):
        return None


def main(arguments: list[str]) -> dict[str, Any]:
    with open(arguments[0], encoding="utf-8") as file:
        member = Member(yaml.safe_load(file))
    command, argument = arguments[1], json.loads(arguments[2]) if len(arguments) > 2 else None
    if command == "status":
        return status(member, argument or [])
    if command in ("configuration", "configure"):
        patch = difference(json.loads(member.call("GET", "/config")), argument)
        if patch and command == "configure":
            member.call("PATCH", "/config", patch)
            settle(member)
        return {"patch": patch}
    if command == "restart":
        return {"answer": member.call("POST", "/restart", {}, SLOW)}
    if command == "switchover":
        leader = status(member, [])["leader"]
        return {"answer": member.call("POST", "/switchover", {"leader": leader}, SLOW)}
    raise Failed(f"there is no command {command}")


if __name__ == "__main__":
    try:
        print(json.dumps(main(sys.argv[1:])))
    except (Failed, OSError) as failure:
        print(failure, file=sys.stderr)
        sys.exit(1)
