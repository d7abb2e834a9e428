# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps ``overview.Records`` in a file from one program to the next.

The file says which revision it was read at; ``overview.load()`` decides by that alone whether it is true. It is for its user
only, is replaced as a whole, and anything that is wrong with it makes it as good as none.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from .overview import Records, Revision
from .whole_file import write_whole

#: Of what is in the file.
FORMAT = 1


def read(path: Path) -> Records | None:
    """What was kept there; None when there is nothing that can be used."""
    try:
        kept = json.loads(path.read_bytes())
        if kept["format"] != FORMAT:
            return None
        vms = {name: text.encode("latin-1") for name, text in kept["vms"].items()}
        return Records(Revision(**kept["revision"]), vms)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None


def write(path: Path, records: Records) -> None:
    """Keep records; raises OSError when that is not possible."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # latin-1 maps every byte to a character and back, also of a damaged record.
    vms = {name: data.decode("latin-1") for name, data in records.vms.items()}
    text = json.dumps({"format": FORMAT, "revision": asdict(records.revision), "vms": vms}, separators=(",", ":"))
    write_whole(path, text.encode())
