# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""On a node: libvirt alone moves a guest, without an agent. raw_move.py LIKE NODE ADDRESS: made like LIKE where there is none yet.

Prints the milliseconds for which it stood still, as libvirt counts them at the source.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from xml.etree import ElementTree

import libvirt

NAME = "raw-move"


def made_like(connection: libvirt.virConnect, like: str) -> libvirt.virDomain:
    """A guest with the same hardware, but without disks, and marked as nobody's."""
    domain = ElementTree.fromstring(connection.lookupByName(like).XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE))
    domain.attrib.pop("id", None)
    for tag in ("metadata", "seclabel", "resource", "sysinfo"):
        for element in domain.findall(tag):
            domain.remove(element)
    for smbios in domain.findall("os/smbios"):
        domain.find("os").remove(smbios)
    domain.find("name").text, domain.find("uuid").text = NAME, str(uuid.uuid4())
    devices = domain.find("devices")
    for tag in ("disk", "interface", "serial", "console", "channel", "graphics"):
        for device in devices.findall(tag):
            devices.remove(device)
    return connection.createXML(ElementTree.tostring(domain, encoding="unicode"), 0)


def main() -> None:
    like, _node, address = sys.argv[1:]
    connection = libvirt.open("qemu:///system")
    try:
        domain = connection.lookupByName(NAME)
    except libvirt.libvirtError:
        domain = made_like(connection, like)
    flags = libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_TLS
    domain.migrateToURI3(f"qemu+tls://{address}/system", {}, flags)
    there = subprocess.run(
        ["virsh", "--connect", f"qemu+tls://{address}/system", "domjobinfo", NAME, "--completed", "--rawstats"],
        check=True,
        capture_output=True,
        text=True,
    )
    stats = dict(line.split(": ", 1) for line in there.stdout.splitlines() if ": " in line)
    print(stats["downtime"])


if __name__ == "__main__":
    main()
