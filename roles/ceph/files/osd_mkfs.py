# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make a block device an OSD, or take over one that is an OSD already. Can be run again after an abort at any point.

BlueStore directly on the device, with a data directory on the root file system and a link to the device's stable name: whole
disk, partition, logical volume or loop device, it is all the same, and nothing has to be activated at boot.
Run as: python3 -c THIS ID UUID DEVICE ACTION (create or adopt), with the OSD's keyring on standard input.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def run(*argv: str) -> None:
    """A command that must not fail; its own words are the error."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{argv[0]}: {done.stderr.strip() or done.stdout.strip()}")


def main() -> None:
    number, identity, device, action = sys.argv[1:5]
    directory = f"/var/lib/ceph/osd/ceph-{number}"
    block, keyring = (os.path.join(directory, name) for name in ("block", "keyring"))
    os.umask(0o027)
    if action == "create":
        # What an abort or a former disk of this OSD has left behind.
        shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory, exist_ok=True)
    if os.path.lexists(block):
        os.remove(block)
    os.symlink(device, block)
    with open(os.open(keyring, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(sys.stdin.read().strip() + "\n")
    shutil.chown(device, "ceph", "ceph")
    if action == "create":
        with open(os.path.join(directory, "type"), "w", encoding="ascii") as file:
            file.write("bluestore\n")
    else:
        run("ceph-bluestore-tool", "prime-osd-dir", "--dev", device, "--path", directory, "--no-mon-config")
    for name in (".", *os.listdir(directory)):
        if name != "block":
            shutil.chown(os.path.join(directory, name), "ceph", "ceph")
    if action == "create":
        run(
            *("ceph-osd", "--id", number, "--mkfs", "--osd-uuid", identity, "--osd-objectstore", "bluestore"),
            *("--osd-data", directory, "--setuser", "ceph", "--setgroup", "ceph"),
        )


if __name__ == "__main__":
    main()
