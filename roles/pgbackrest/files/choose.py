# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which backup a restore begins with: the last one that was finished before the moment to go back to.

Run as: python3 -c PROGRAM TARGET, with what `pgbackrest --output=json info` says as standard input. TARGET is a time with its zone,
as in 2026-11-25 18:00:00+00, or "latest". Prints {"set": label, "problem": why there is none}.
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from typing import Any


def moment(text: str) -> datetime:
    """The moment that a text means.

    Raises:
        ValueError: it means none, or leaves its zone open.
    """
    found = datetime.fromisoformat(re.sub(r"([+-]\d\d)$", r"\1:00", text.strip()))
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return found


def choose(target: str, stanzas: list[dict[str, Any]]) -> dict[str, str]:
    """The backup to begin with, or why there is none."""
    backups = [backup for stanza in stanzas for backup in stanza["backup"] if not backup.get("error")]
    if not backups:
        return {"set": "", "problem": "there are no backups"}
    if target == "latest":
        return {"set": backups[-1]["label"], "problem": ""}
    try:
        wanted = moment(target)
    except ValueError:
        return {
            "set": "",
            "problem": f"{target!r} is no time with a zone; give one like 2026-11-25 18:00:00+00, or latest",
        }
    if wanted > datetime.now(UTC):
        return {"set": "", "problem": f"{target} is yet to come"}
    ended = {backup["label"]: datetime.fromtimestamp(backup["timestamp"]["stop"], UTC) for backup in backups}
    before = [label for label, end in ended.items() if end <= wanted]
    if not before:
        first = min(ended.values()).strftime("%Y-%m-%d %H:%M:%S+00")
        return {"set": "", "problem": f"the first backup ended at {first}, after {target}; give a later time"}
    return {"set": before[-1], "problem": ""}


if __name__ == "__main__":
    print(json.dumps(choose(sys.argv[1], json.load(sys.stdin))))
