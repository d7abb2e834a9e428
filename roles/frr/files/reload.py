# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make what FRRouting runs into what its configuration file says, without a password in any argument or open file.

``frr-reload.py`` tells FRR what differs and nothing else, but passwords that it takes away stand in the arguments of the
programs that it starts, for all users of the machine to see. So they are changed here first, through a file of root's.
Run as: python3 - CONFIG
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

RELOAD = "/usr/lib/frr/frr-reload.py"
SECONDS = 120
ROUTER = re.compile(r"^router bgp .*$", re.MULTILINE)
PASSWORD = re.compile(r"^ neighbor (\S+) password (.+)$", re.MULTILINE)
NEIGHBOR = re.compile(r"^ neighbor (\S+) (?:peer-group|remote-as)\b", re.MULTILINE)


def password_changes(running: str, wanted: str) -> list[str]:
    """Commands that bring the passwords of neighbours that run, and of no others, to what is wanted; empty when they are."""
    router = ROUTER.search(running)
    if router is None:
        return []
    old, new = (dict(PASSWORD.findall(text)) for text in (running, wanted))
    known = dict.fromkeys(NEIGHBOR.findall(running))
    changes = [
        f" neighbor {name} password {new[name]}" if name in new else f" no neighbor {name} password"
        for name in known
        if old.get(name) != new.get(name)
    ]
    return [router.group(), *changes] if changes else []


def attempt(*argv: str) -> tuple[str, str]:
    """What a program prints, and what is wrong when it fails: its words without passwords, or nothing."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS)
    words = re.sub(r"(\bpassword) .*", r"\1 (not shown)", f"{done.stdout}\n{done.stderr}".strip())
    return done.stdout, f"{argv[0]} ended with {done.returncode}: {words}" if done.returncode else ""


def run(*argv: str) -> str:
    """What a program prints; the role fails with it."""
    printed, wrong = attempt(*argv)
    if wrong:
        sys.exit(wrong)
    return printed


def main() -> None:
    config = sys.argv[1]
    # For the files that are made below, and for those of frr-reload.py, its log among them.
    os.umask(0o077)
    with open(config, encoding="utf-8") as file:
        wanted = file.read()
    changes = password_changes(run("vtysh", "-c", "show running-config"), wanted)
    if changes:
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("\n".join([*changes, "exit", ""]))
            file.flush()
            run("vtysh", "-f", file.name)
    # It says some commands twice, which FRR 8.4 takes for a mistake: what counts is whether a difference is left.
    _printed, wrong = attempt(RELOAD, "--reload", config)
    if wrong and run(RELOAD, "--test", config).strip():
        sys.exit(wrong)


if __name__ == "__main__":
    main()
