# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lay out the node's TLS files as libvirt's clients and QEMU look for them.

QEMU runs as a user of its own, confined to /etc/pki/qemu, so it gets copies; libvirt runs as root and gets links.
Run as: python3 - CA CERTIFICATE KEY ACTION (apply or check). Prints one JSON object with what differed.
"""

from __future__ import annotations

import grp
import json
import os
import stat
import sys


def directory(path: str, group: int, mode: int, apply: bool) -> list[str]:
    """A directory of root's."""
    try:
        found = os.stat(path)
        right = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, group, mode)
    except FileNotFoundError:
        right = False
    if not right and apply:
        os.makedirs(path, exist_ok=True)
        os.chown(path, 0, group)
        os.chmod(path, mode)
    return [] if right else [path]


def link(path: str, target: str, apply: bool) -> list[str]:
    """A symbolic link."""
    if os.path.islink(path) and os.readlink(path) == target:
        return []
    if apply:
        new = path + ".new"
        if os.path.lexists(new):
            os.remove(new)
        os.symlink(target, new)
        os.replace(new, path)
    return [path]


def copy(path: str, source: str, group: int, mode: int, apply: bool) -> list[str]:
    """A copy of root's that a group may read."""
    with open(source, "rb") as file:
        wanted = file.read()
    try:
        found = os.lstat(path)
        right = (found.st_uid, found.st_gid, found.st_mode) == (0, group, stat.S_IFREG | mode)
        if right:
            with open(path, "rb") as file:
                right = file.read() == wanted
    except FileNotFoundError:
        right = False
    if not right and apply:
        new = path + ".new"
        if os.path.lexists(new):
            os.remove(new)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(wanted)
        os.chown(new, 0, group)
        os.chmod(new, mode)
        os.replace(new, path)
    return [] if right else [path]


def main() -> None:
    ca, certificate, key, action = sys.argv[1:5]
    apply = action == "apply"
    qemu = grp.getgrnam("libvirt-qemu").gr_gid
    changed = [
        *directory("/etc/pki/CA", 0, 0o755, apply),
        *directory("/etc/pki/libvirt/private", 0, 0o755, apply),
        *directory("/etc/pki/qemu", qemu, 0o750, apply),
        *link("/etc/pki/CA/cacert.pem", ca, apply),
        *link("/etc/pki/libvirt/clientcert.pem", certificate, apply),
        *link("/etc/pki/libvirt/private/clientkey.pem", key, apply),
        *copy("/etc/pki/qemu/ca-cert.pem", ca, qemu, 0o640, apply),
        *copy("/etc/pki/qemu/server-cert.pem", certificate, qemu, 0o640, apply),
        *copy("/etc/pki/qemu/server-key.pem", key, qemu, 0o640, apply),
        *link("/etc/pki/qemu/client-cert.pem", "server-cert.pem", apply),
        *link("/etc/pki/qemu/client-key.pem", "server-key.pem", apply),
    ]
    print(json.dumps({"changed": changed}))


if __name__ == "__main__":
    main()
