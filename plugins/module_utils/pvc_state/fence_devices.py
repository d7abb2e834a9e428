# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each kind of fence device knows beside its address, and which declaration a read of it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

from . import codec
from .records import FenceDevice

#: Kind of what agents publish in /health about fence devices; the name is ``NODE/DEVICE``.
SERVICE = "fence"
#: In the details of that: of which declaration it speaks, as declaration() has it, and ``on`` or ``off``.
DECLARATION, POWER = "declaration", "power"

#: Options by kind: a regular expression that the whole value must match, and what the option does.
OPTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "ipmi": {
            "cipher_suite": (
                r"\d{1,2}",
                "the cipher suite to use without asking the device for its own, such as 17 or 3",
            ),
            "privilege": ("OPERATOR|ADMINISTRATOR", "the level to ask for; OPERATOR is enough to switch a machine off"),
        },
        "redfish": {
            "system": (r"[^/\s?#]{1,128}", "the name of the system, where the service has more than one"),
            "ca_file": (
                r"/\S{1,255}",
                "file on the coordinators with the certificates that the device's is checked against",
            ),
            "verify": (
                "true|false",
                "false takes any certificate: whoever takes the device's address learns the password",
            ),
        },
    }
)


def declaration(device: FenceDevice) -> str:
    """A short word for everything that a device is declared with."""
    return hashlib.sha256(codec.encode(device)).hexdigest()[:12]
