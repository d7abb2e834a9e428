# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine has of Ceph: configuration, monitor, manager, OSDs, and what is on the disks declared for OSDs.

Reads only, needs nothing but Python and util-linux (so it works before Ceph is installed), prints one JSON object. Run as:
python3 - WANTED, where WANTED is a JSON object with name, packages, fsid and devices.
"""

from __future__ import annotations

import configparser
import glob
import json
import os
import stat
import struct
import subprocess
import sys
import uuid
from typing import Any

LABEL_MAGIC = b"bluestore block device\n"
BLANK_BYTES = 1 << 20


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """A command that may fail."""
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def read_text(path: str) -> str:
    """The text of a small file without white space around it; empty when there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def configured_fsid() -> str:
    """The fsid in /etc/ceph/ceph.conf; empty when there is none."""
    parser = configparser.ConfigParser(strict=False, allow_no_value=True, interpolation=None)
    try:
        parser.read_string(read_text("/etc/ceph/ceph.conf"))
    except configparser.Error:
        return "unreadable"
    return (parser.get("global", "fsid", fallback="") or "").strip()


def read_label(block: bytes) -> dict[str, str] | None:
    """The BlueStore label at the begin of a device: the OSD's uuid and the label's keys; None when it is damaged.

    A line of text, the uuid as text, then Ceph's encoding of: version, compat (a byte each), length, uuid (16 bytes), size
    (8), time (8), description, and a map of strings.
    """

    def string(at: int) -> tuple[str, int]:
        (length,) = struct.unpack_from("<I", block, at)
        if at + 4 + length > len(block):
            raise ValueError("string beyond the label")
        return block[at + 4 : at + 4 + length].decode(), at + 4 + length

    try:
        start = len(LABEL_MAGIC)
        label = {"osd_uuid": str(uuid.UUID(block[start : start + 36].decode()))}
        _description, at = string(start + 36 + 1 + 6 + 16 + 8 + 8)
        (count,) = struct.unpack_from("<I", block, at)
        at += 4
        for _turn in range(count):
            key, at = string(at)
            label[key], at = string(at)
    except (ValueError, struct.error):
        return None
    return label


def in_use(path: str) -> str:
    """Who holds a block device: the kernel refuses an exclusive open to anything mounted, mapped or part of an array."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        return error.strerror or "in use"
    return ""


def missing(packages: list[str]) -> list[str]:
    """Which of these packages are not installed. Asking dpkg takes a hundredth of the time that opening apt's cache does."""
    shown = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installed = {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def unit_state(unit: str) -> dict[str, object]:
    """Whether a unit runs and starts with the machine."""
    ok = not run("systemctl", "is-active", "--quiet", unit).returncode
    return {"name": unit, "active": ok, "ok": ok and not run("systemctl", "is-enabled", "--quiet", unit).returncode}


def osd_directories() -> dict[str, dict[str, Any]]:
    """The OSDs of this machine by the uuid in their data directories."""
    found = {}
    for path in glob.glob("/var/lib/ceph/osd/ceph-*"):
        block = os.path.join(path, "block")
        identity = read_text(os.path.join(path, "fsid"))
        if identity:
            found[identity] = {
                "id": path.rsplit("-", 1)[1],
                "block": os.readlink(block) if os.path.islink(block) else "",
                "keyring": os.path.exists(os.path.join(path, "keyring")),
            }
    return found


def refuse(device: dict[str, object], reason: str) -> dict[str, object]:
    """A device that the role must not touch, and why."""
    return {**device, "state": "refused", "reason": f"{device['device']} {reason}"}


def look_at(path: str, wanted: dict[str, Any], directories: dict[str, dict[str, Any]]) -> dict[str, object]:
    """What is to be done with a declared device: create, finish, adopt, nothing (own), or refuse it."""
    # The uuid follows from the device's name, so that an aborted creation is taken up again and not begun twice.
    identity = str(uuid.uuid5(uuid.UUID(wanted["fsid"]), f"{wanted['name']}/{path}"))
    device: dict[str, object] = {"device": path, "uuid": identity, "id": "", "reason": ""}
    try:
        if not stat.S_ISBLK(os.stat(path).st_mode):
            return refuse(device, "is not a block device. Declare a disk, a partition or a logical volume")
        with open(path, "rb") as file:
            head = file.read(BLANK_BYTES)
    except OSError as error:
        return refuse(
            device, f"cannot be read ({error.strerror}). Declare a name below /dev that exists on this machine"
        )

    if head.startswith(LABEL_MAGIC):
        label = read_label(head[:4096])
        if label is None:
            return refuse(device, "has a damaged BlueStore label. Find out whose it is; wipe it if it is nobody's")
        fsid = label.get("ceph_fsid", wanted["fsid"] if label["osd_uuid"] == identity else "unknown")
        if fsid != wanted["fsid"]:
            return refuse(
                device,
                f"is OSD {label.get('whoami', '?')} of another Ceph cluster (fsid {fsid}). If nobody needs that any more: "
                f"wipefs --all {path} && dd if=/dev/zero of={path} bs=1M count=10 conv=fsync",
            )
        device.update(uuid=label["osd_uuid"], id=label.get("whoami", ""))
        directory = directories.get(label["osd_uuid"])
        finished = label.get("mkfs_done") == "yes" and "whoami" in label
        complete = directory is not None and directory["block"] == path and directory["keyring"]
        return {**device, "state": "own" if finished and complete else "adopt" if finished else "create"}

    if identity in directories and unit_state(f"ceph-osd@{directories[identity]['id']}")["active"]:
        return refuse(
            device,
            f"is blank, but osd.{directories[identity]['id']}, which was made from a disk of this name, runs. The name means "
            "another disk than before: declare the names of both disks as they are now",
        )
    found = signatures(run("blkid", "--probe", "--output", "export", path).stdout)
    holder = in_use(path)
    if holder or found or any(head):
        what = ", ".join(found) or holder or "bytes that are not zero"
        return refuse(
            device,
            f"is not empty ({what}). If nobody needs that any more: "
            f"wipefs --all {path} && dd if=/dev/zero of={path} bs=1M count=10 conv=fsync",
        )
    return {**device, "state": "create"}


def signatures(exported: str) -> list[str]:
    """What blkid found on a device. Of an empty partition it tells the partition's own entry, which says nothing of its content."""
    return [line for line in exported.splitlines() if line and not line.startswith(("DEVNAME=", "PART_ENTRY_"))]


def main() -> None:
    wanted = json.loads(sys.argv[1])
    name, directories = wanted["name"], osd_directories()
    mon = os.path.isdir(f"/var/lib/ceph/mon/ceph-{name}/store.db")
    mgr = os.path.exists(f"/var/lib/ceph/mgr/ceph-{name}/keyring")
    osds = [look_at(path, wanted, directories) for path in wanted["devices"]]
    units = [f"ceph-mon@{name}"] * mon + [f"ceph-mgr@{name}"] * mgr
    units += [f"ceph-osd@{osd['id']}" for osd in osds if osd["state"] == "own"]
    print(
        json.dumps(
            {
                "host": name,
                "packages": missing(wanted["packages"]),
                "fsid": configured_fsid(),
                "mon": mon,
                "mgr": mgr,
                "admin": os.path.exists("/etc/ceph/ceph.client.admin.keyring"),
                "osds": osds,
                "units": [unit_state(unit) for unit in units],
            }
        )
    )


if __name__ == "__main__":
    main()
