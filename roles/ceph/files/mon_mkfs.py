# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make the store of a monitor: of the first one of a new cluster, or of one that joins. All of it or nothing.

Run as: python3 -c THIS NAME FSID ADDRESSES, with a JSON object on standard input: mon and admin (keyrings) and monmap (base64)
of the cluster to join; an empty object begins a new cluster.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile

ADMIN_KEYRING = "/etc/ceph/ceph.client.admin.keyring"
ADMIN_CAPS = [
    "--cap",
    "mon",
    "allow *",
    "--cap",
    "mgr",
    "allow *",
    "--cap",
    "osd",
    "allow *",
    "--cap",
    "mds",
    "allow *",
]


def run(*argv: str) -> None:
    """A command that must not fail; its own words are the error."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{argv[0]}: {done.stderr.strip() or done.stdout.strip()}")


def write(path: str, content: bytes) -> None:
    """A file that only its owner reads."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def main() -> None:
    name, fsid, addresses = sys.argv[1:4]
    cluster = json.load(sys.stdin)
    target = f"/var/lib/ceph/mon/ceph-{name}"
    os.umask(0o077)
    # Beside the target, so that the last step is a rename: a killed run leaves no half store that looks like a whole one.
    with tempfile.TemporaryDirectory(dir="/var/lib/ceph/mon", prefix=".new-") as work:
        keyring, monmap, store = (os.path.join(work, part) for part in ("keyring", "monmap", "store"))
        if cluster:
            write(keyring, (cluster["mon"] + "\n").encode())
            write(monmap, base64.b64decode(cluster["monmap"]))
            write(ADMIN_KEYRING, (cluster["admin"] + "\n").encode())
        else:
            run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "--name", "mon.", "--cap", "mon", "allow *")
            if not os.path.exists(ADMIN_KEYRING):
                admin = os.path.join(work, "admin")
                run("ceph-authtool", "--create-keyring", admin, "--gen-key", "--name", "client.admin", *ADMIN_CAPS)
                shutil.copyfile(admin, ADMIN_KEYRING + ".new")
                os.replace(ADMIN_KEYRING + ".new", ADMIN_KEYRING)
            run("ceph-authtool", keyring, "--import-keyring", ADMIN_KEYRING)
            run("monmaptool", "--create", "--fsid", fsid, "--addv", name, addresses, monmap)
        os.mkdir(store)
        for path in (work, keyring, monmap, store):
            shutil.chown(path, "ceph", "ceph")
        run(
            *("ceph-mon", "--mkfs", "--id", name, "--monmap", monmap, "--keyring", keyring, "--mon-data", store),
            *("--setuser", "ceph", "--setgroup", "ceph"),
        )
        if os.path.isdir(target):
            os.rmdir(target)
        os.rename(store, target)


if __name__ == "__main__":
    main()
