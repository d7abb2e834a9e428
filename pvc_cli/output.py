# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How answers are shown: as tables for people, as JSON or YAML for programs.

What the cluster stores is data: it is shown as text, never read as markup, and control characters in it are made visible, so
that no name, reason or console can write to somebody's terminal, or a line of its own beside those of an answer.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence

import click
import yaml
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

FORMATS = ("table", "json", "yaml")

#: Columns of what is no terminal: nothing is to be wrapped there.
_WIDE = 10_000
#: All but the tab, and what ends a line or turns its direction.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
#: What JSON and YAML may hold as it is, and a terminal takes for commands or ends of lines.
_UNQUOTED = re.compile(r"[\x7f-\x9f\u2028\u2029]")
#: What colours a terminal and moves its cursor.
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Za-z0-9]|\x1b[=>78]")

#: Colours of words that say how something is.
_STYLES = {
    "green": ("healthy", "running", "ready", "yes", "established", "serving", "streaming", "up"),
    "yellow": ("starting", "stopping", "drained", "maintenance", "waiting", "pending", "no"),
    "red": ("failed", "dead", "fenced", "unhealthy", "damaged", "down"),
}
_STYLE_OF = {word: style for style, words in _STYLES.items() for word in words}


def console(*, stderr: bool = False) -> Console:
    """What is written to: with colours where there is a terminal and NO_COLOR is not set."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        return Console(file=stream, highlight=False)
    return Console(file=stream, highlight=False, width=_WIDE, force_terminal=False, color_system=None)


def plain(value: object) -> str:
    """A value as one line of text that does nothing to a terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "-"
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(value))


def console_line(line: str) -> str:
    """A line of a guest's console: without what colours it, and harmless."""
    return plain(_SEQUENCE.sub("", line))


def cell(value: object, style: str = "") -> Text:
    """One value in a table."""
    text = plain(value)
    return Text(text, style=style or _STYLE_OF.get(text, ""))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> Table:
    """Rows below their columns; numbers to the right. Values may be ready cells."""
    shown = [list(row) for row in rows]
    made = Table(
        box=None, pad_edge=False, header_style="bold", title=Text(title) if title else None, title_justify="left"
    )
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], (int, float, type(None))) for row in shown) and bool(shown)
        booleans = any(isinstance(row[index], bool) for row in shown)
        made.add_column(column, justify="right" if numbers and not booleans else "left", overflow="fold")
    for row in shown:
        made.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    return made


def fields(pairs: Iterable[tuple[str, object]]) -> Table:
    """Names with their values, one below the other; without those that say nothing."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, "", [], {}):
            made.add_row(Text(name), value if isinstance(value, (Text, Table)) else cell(value))
    return made


def sentence(text: str, style: str = "") -> Text:
    """A sentence by itself."""
    return Text(plain(text), style=style)


def bullet(text: str, style: str = "") -> Text:
    """One of several sentences."""
    return Text(f"  - {plain(text)}", style=style)


class _Dumper(yaml.SafeDumper):
    """Says everything in full, wherever else it may stand."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    # between these quotes YAML can escape
    style = '"' if _UNQUOTED.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_yaml(answer: object) -> str:
    """An answer as a document of YAML."""
    return str(yaml.dump(answer, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def as_json(answer: object, indent: int | None = None) -> str:
    """An answer as JSON: with the letters of all languages, and without what a terminal obeys."""
    text = json.dumps(answer, indent=indent, ensure_ascii=False)
    return _UNQUOTED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


#: Makes what people see of an answer; not called when a program asks.
Parts = Callable[[], Iterable[RenderableType]]


def show(form: str, answer: object, parts: Parts) -> None:
    """The answer for a program, or its parts for people."""
    if form == "json":
        click.echo(as_json(answer, indent=2))
    elif form == "yaml":
        click.echo(as_yaml(answer), nl=False)
    else:
        out = console()
        if out.is_terminal:
            out.print(*parts(), sep="\n")
            return
        with out.capture() as text:
            for part in parts():
                out.print(part, soft_wrap=isinstance(part, Text))
        # no blanks behind what columns hold
        click.echo("".join(f"{line.rstrip()}\n" for line in text.get().split("\n")[:-1]), nl=False)


def warn(text: str) -> None:
    """What nobody must overlook, beside the answer."""
    console(stderr=True).print(Text(f"Warning: {plain(text)}", style="yellow"))
