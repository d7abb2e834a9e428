# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the service manager stops the agent because it shuts the machine down, and how the machine comes back.

While it does, one of its targets has a job: that is what ``systemctl list-jobs`` shows, whoever asked for it (systemctl,
shutdown, a power button, another program). A restart or an upgrade of the agent has no such job.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

#: Targets after which the machine is up again by itself, and those after which it is not.
_REBOOT = ("reboot.target", "kexec.target", "soft-reboot.target")
_OFF = ("poweroff.target", "halt.target")
#: Seconds that the service manager gets to answer. Without an answer the stop counts as one of the agent alone: then the
#: node is found dead, and fenced; nothing worse.
_DEADLINE = 5.0


def reboots(command: Sequence[str] = ("systemctl", "list-jobs", "--no-legend", "--plain", "--no-pager")) -> bool | None:
    """Whether the machine reboots (True) or goes off (False); None when it does neither."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_DEADLINE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    jobs = [line.split() for line in done.stdout.splitlines()]
    units = {job[1] for job in jobs if job[2:3] == ["start"]}
    if units & set(_OFF):
        return False
    return True if units & set(_REBOOT) else None
