# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation tells to type of `pvc` is what `pvc` knows."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from pvc_cli.app import cli
from tests.unit.repository.tree import ROOT

#: A line of a block of code, or a span of it, that begins with the program.
TYPED = re.compile(r"^(?:\$ )?pvc ([a-z-].*?)(?: {2,}.*| \| .*| [0-9]?>.*)?$|`pvc ([a-z-][^`]*)`", re.MULTILINE)
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
COMMANDS = sorted({(page, a or b) for page, text in PAGES.items() for a, b in TYPED.findall(text)})


@pytest.mark.parametrize(("page", "typed"), COMMANDS, ids=[f"{page} {typed}" for page, typed in COMMANDS])
def test_a_command_exists_with_its_options(page: str, typed: str) -> None:
    command: click.Command = cli
    known = options(cli)
    words = iter(shlex.split(typed.replace("…", "")))
    for word in words:
        if word.startswith("-"):
            name, _equals, value = word.partition("=")
            assert name in known
            if known[name] and not value:
                next(words)
        elif isinstance(command, click.Group):
            assert word in command.commands
            command = command.commands[word]
            known |= options(command)


def options(command: click.Command) -> dict[str, bool]:
    """Options of a command, as they are typed, and whether they take a value."""
    found = [param for param in command.params if isinstance(param, click.Option)]
    values = {name: not (one.is_flag or one.count) for one in found for name in (*one.opts, *one.secondary_opts)}
    return {**values, "--help": False}
