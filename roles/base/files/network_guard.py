# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes a machine's network on trial: what nobody confirms in time is undone by the machine itself.

A trial leaves /etc alone. systemd-networkd is restarted with a view of the new files in place of /etc/systemd/network,
through a drop-in of its unit below /run; so a reboot, or a loss of power, ends a trial, too. The confirmation writes
/etc. What undoes a trial is a timer of systemd, which asks neither for an SSH session nor for a process of Ansible.

Lies in /run/pvc-network on the machine, needs nothing but Python.
  guard.py try       begin a trial with the JSON object on standard input: files (content by path), stale (paths),
                     take_over (interfaces that ifupdown has to hand over), seconds until it is undone
  guard.py confirm   keep the new network
  guard.py rollback  undo the trial, if there is one: what the timer does
  guard.py swap      used by try
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

HERE = "/run/pvc-network"
TRIAL = f"{HERE}/trial.json"
VIEW = f"{HERE}/network"
FOLDER = "/etc/systemd/network"
OWN = "05-pvc-"
DROP_IN = "/run/systemd/system/systemd-networkd.service.d/pvc-trial.conf"
INTERFACES = "/etc/network/interfaces"
ASIDE = f"{INTERFACES}.before-pvc"
UNDO = "pvc-network-rollback"
NETWORKD = ("systemd-networkd.socket", "systemd-networkd.service")


def run(*command: str, check: bool = True, seconds: int = 30) -> str:
    """Run a command that has to end within some seconds; what it printed. With `check` a failure ends the program."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        if check:
            raise SystemExit(str(error)) from error
        return ""
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done.stdout


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One of these programs at a time: a confirmation and the timer may come at the same moment."""
    with open(f"{HERE}/lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write(path: str, text: str) -> None:
    """Write a file, whole or not at all."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(f"{path}.pvc-new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(f"{path}.pvc-new", 0o644)
    os.rename(f"{path}.pvc-new", path)


def read(path: str) -> str | None:
    """The text of a file, or None when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def remove(path: str) -> None:
    """Remove a file that may be there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def own_files(folder: str) -> dict[str, str]:
    """This role's files in a folder, by name."""
    names = [name for name in os.listdir(folder) if name.startswith(OWN)]
    return {name: read(f"{folder}/{name}") or "" for name in names if os.path.isfile(f"{folder}/{name}")}


def devices(files: dict[str, str]) -> dict[str, str]:
    """How each bond, VLAN and bridge of these files is made, by its name."""
    made = {}
    for name, text in files.items():
        found = re.search(r"^Name=(.+)$", text, re.MULTILINE)
        if name.endswith(".netdev") and found:
            made[found[1]] = text
    return made


def outdated(now: dict[str, str], then: dict[str, str]) -> list[str]:
    """Devices of files that then are no more, or are made in another way: networkd neither removes nor alters them."""
    after = devices(then)
    return [name for name, text in devices(now).items() if after.get(name) != text]


#: What an interface holds: pairs like ("address", "10.20.1.11/24") and ("gateway", "10.20.1.1").
Holding = set[tuple[str, str]]


def declared(files: dict[str, str], links: list[dict[str, Any]]) -> dict[str, Holding]:
    """What each device is to hold by these files, by the device's name. A device that is not there yet holds nothing."""
    found = {}
    for name, text in files.items():
        match = re.search(r"^(Name|PermanentMACAddress)=(.+)$", text, re.MULTILINE)
        if not name.endswith(".network") or not match:
            continue
        for link in links:
            names = [link["ifname"], *link.get("altnames", [])]
            own = link.get("permaddr", link.get("address")) if "info_kind" not in link.get("linkinfo", {}) else None
            if match[2] in (names if match[1] == "Name" else [own]):
                held = re.findall(r"^(Address|Gateway)=(.+)$", text, re.MULTILINE)
                found[link["ifname"]] = {(what.lower(), value) for what, value in held}
    return found


def held(links: list[dict[str, Any]], routes: list[dict[str, Any]]) -> dict[str, Holding]:
    """What each device holds now."""
    found: dict[str, Holding] = {
        link["ifname"]: {
            ("address", f"{row['local']}/{row['prefixlen']}")
            for row in link.get("addr_info", [])
            if row.get("scope") == "global"
        }
        for link in links
    }
    for route in routes:
        if route.get("dev") in found and "gateway" in route:
            found[route["dev"]].add(("gateway", route["gateway"]))
    return found


def superfluous(now: dict[str, Holding], old: dict[str, Holding], new: dict[str, Holding]) -> dict[str, Holding]:
    """What devices have to let go. Of a device that was this role's that is what the role gave it, of others all.

    networkd does that in some versions only, when it starts with files that no longer name an address.
    """
    return {
        device: (now.get(device, set()) & old.get(device, now.get(device, set()))) - new.get(device, set())
        for device in sorted({*old, *new})
    }


def let_go(holdings: dict[str, Holding]) -> None:
    """Take addresses and default routes from devices."""
    for device, holding in holdings.items():
        for what, value in sorted(holding):
            if what == "gateway":
                run(
                    "ip",
                    "-6" if ":" in value else "-4",
                    "route",
                    "delete",
                    "default",
                    "via",
                    value,
                    "dev",
                    device,
                    check=False,
                )
            else:
                run("ip", "address", "delete", value, "dev", device, check=False)


def look() -> tuple[list[dict[str, Any]], dict[str, Holding]]:
    """The devices, and what they hold."""
    links = json.loads(run("ip", "-json", "-details", "address", "show"))
    routes = [
        route
        for family in ("-4", "-6")
        for route in json.loads(run("ip", family, "-json", "route", "show", "default") or "[]")
    ]
    return links, held(links, routes)


def begin(job: dict[str, Any]) -> None:
    """Write down what is, lay the new files beside, set the timer, and change over."""
    with locked():
        if os.path.exists(TRIAL):
            raise SystemExit("another change of this machine's network is on trial; it ends by itself, try again then")
        shutil.rmtree(VIEW, ignore_errors=True)
        os.makedirs(FOLDER, exist_ok=True)
        shutil.copytree(FOLDER, VIEW, symlinks=True)
        for path in job["stale"]:
            remove(f"{VIEW}/{os.path.basename(path)}")
        for path, text in job["files"].items():
            if os.path.dirname(path) == FOLDER:
                write(f"{VIEW}/{os.path.basename(path)}", text)
        links, now = look()
        devices_before = declared(own_files(VIEW), links)
        before = {
            "files": {path: read(path) for path in [*job["files"], *job["stale"]]},
            "mtu": {link["ifname"]: link["mtu"] for link in links if link["ifname"] in devices_before},
            "held": {device: sorted(now[device]) for device in devices_before},
            "active": run("systemctl", "is-active", NETWORKD[1], check=False).strip() == "active",
            "enabled": run("systemctl", "is-enabled", NETWORKD[1], check=False).strip() == "enabled",
        }
        # systemd does the rest whatever becomes of this process
        timer = [f"--on-active={job['seconds']}", "--timer-property=AccuracySec=1s"]
        timer += ["--property=Restart=on-failure", "--property=RestartSec=5s"]
        run("systemd-run", f"--unit={UNDO}", "--collect", *timer, "/usr/bin/python3", f"{HERE}/guard.py", "rollback")
        write(TRIAL, json.dumps({**job, "before": before}))
    swap_unit = ["systemd-run", "--quiet", "--unit=pvc-network-swap", "--collect", "--wait"]
    try:
        run(*swap_unit, "/usr/bin/python3", f"{HERE}/guard.py", "swap", seconds=job["seconds"])
    except SystemExit:
        raise SystemExit("the change failed, journalctl -u pvc-network-swap tells where") from None


def swap() -> None:
    """Change over to the new files; what fails is undone at once."""
    trial = json.loads(read(TRIAL) or "{}")
    try:
        with locked():
            if trial["take_over"]:
                run("ifdown", "--force", *trial["take_over"], check=False)
            links, now = look()
            let_go(superfluous(now, declared(own_files(FOLDER), links), declared(own_files(VIEW), links)))
            for name in outdated(own_files(FOLDER), own_files(VIEW)):
                run("ip", "link", "delete", name, check=False)
            write(DROP_IN, f"[Service]\nBindReadOnlyPaths={VIEW}:{FOLDER}\n")
            run("systemctl", "daemon-reload")
            run("systemctl", "restart", NETWORKD[1])
    except (OSError, SystemExit):
        rollback()
        raise


def confirm() -> None:
    """Make the new network the machine's own. The timer is stopped last: until then all of it can be undone."""
    with locked():
        trial = json.loads(read(TRIAL) or "null")
        if trial is None:
            raise SystemExit("there is nothing to confirm: the change was undone already")
        for path in trial["stale"]:
            remove(path)
        for path, text in trial["files"].items():
            write(path, text)
        if trial["take_over"]:
            os.rename(INTERFACES, ASIDE)
            run("systemctl", "disable", "networking.service", check=False)
        run("systemctl", "enable", NETWORKD[1])
        remove(DROP_IN)
        run("systemctl", "daemon-reload")
        run("systemctl", "restart", NETWORKD[1])
        end()


def rollback() -> None:
    """Undo the trial, however far it or its confirmation came."""
    with locked():
        trial = json.loads(read(TRIAL) or "null")
        if trial is None:
            return
        before = trial["before"]
        new = own_files(VIEW)
        for path, text in before["files"].items():
            if text is None:
                remove(path)
            else:
                write(path, text)
        remove(DROP_IN)
        run("systemctl", "daemon-reload", check=False)
        links, now = look()
        then = {device: {tuple(one) for one in holding} for device, holding in before["held"].items()}
        let_go(
            {
                device: now[device] & holding - then.get(device, set())
                for device, holding in declared(new, links).items()
            }
        )
        for name in outdated(new, own_files(FOLDER)):
            run("ip", "link", "delete", name, check=False)
        if not before["enabled"]:
            run("systemctl", "disable", NETWORKD[1], check=False)
        if before["active"]:
            run("systemctl", "restart", NETWORKD[1], check=False)
        else:
            run("systemctl", "stop", *NETWORKD, check=False)
            for device in before["held"]:
                run("ip", "address", "flush", "dev", device, check=False)
        for name, mtu in before["mtu"].items():
            run("ip", "link", "set", name, "mtu", str(mtu), check=False)
        if trial["take_over"]:
            if os.path.exists(ASIDE) and not os.path.exists(INTERFACES):
                os.rename(ASIDE, INTERFACES)
            run("systemctl", "enable", "networking.service", check=False)
            run("ifup", "--force", *trial["take_over"], check=False)
        end()
        print("The change of the network was not confirmed, and has been undone.")


def end() -> None:
    """There is no trial any more."""
    remove(TRIAL)
    shutil.rmtree(VIEW, ignore_errors=True)
    run("systemctl", "stop", f"{UNDO}.timer", check=False)


if __name__ == "__main__":
    match sys.argv[1]:
        case "try":
            begin(json.load(sys.stdin))
        case "swap":
            swap()
        case "confirm":
            confirm()
        case "rollback":
            rollback()
