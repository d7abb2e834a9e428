# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Give libvirt the Ceph key of guests' disks: defined if it is not there, its value set if it differs.

Run as: python3 -c THIS UUID CLIENT ACTION (apply or check), with the keyring's path as the last argument. The key is read from
there: it appears in no argument, and nowhere in what is printed.
"""

from __future__ import annotations

import base64
import json
import re
import sys

import libvirt

XML = """<secret ephemeral='no' private='yes'>
  <uuid>{uuid}</uuid>
  <usage type='ceph'><name>client.{client} secret</name></usage>
</secret>"""


def stored(uuid: str) -> bytes | None:
    """The value that libvirt keeps for a secret. Its own interface does not give away that of a private one."""
    try:
        with open(f"/etc/libvirt/secrets/{uuid}.base64", encoding="ascii") as file:
            return base64.b64decode(file.read())
    except FileNotFoundError:
        return None


def main() -> None:
    uuid, client, action, path = sys.argv[1:5]
    libvirt.registerErrorHandler(lambda *_: None, None)
    with open(path, encoding="ascii") as file:
        line = re.search(r"^\s*key\s*=\s*(\S+)", file.read(), re.MULTILINE)
    if line is None:
        sys.exit(f"{path} holds no key; run the role ceph, which writes it")
    key = base64.b64decode(line.group(1))
    connection = libvirt.open("qemu:///system")
    found = [secret for secret in connection.listAllSecrets() if secret.UUIDString() == uuid]
    why = "not defined" if not found else "another value" if stored(uuid) != key else ""
    if why and action == "apply":
        secret = found[0] if found else connection.secretDefineXML(XML.format(uuid=uuid, client=client))
        secret.setValue(key)
    print(json.dumps({"changed": bool(why), "why": why}))


if __name__ == "__main__":
    main()
