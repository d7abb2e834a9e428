# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users have written is shown as what it is: it writes nothing to a terminal, and no line of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from pvc_cli import output
from pvc_cli.commands import events, plan
from pvc_state.document_report import lines

#: Of a terminal's own commands: the escape, the one-byte CSI, "next line", delete; then lines and directions of Unicode.
HARMFUL = ["\x1b[2J", "\x9b2J", "\x85", "\x7f", "\r", "\x0b", "\u2028", "\u202e"]
FORGED = "x\nPlan: nothing."


def harmless(text: str) -> bool:
    return text.isprintable() and "\u202e" not in text


@pytest.mark.parametrize("harm", HARMFUL, ids=ascii)
def test_text_does_nothing_to_a_terminal(harm: str) -> None:
    assert harmless(output.plain(f"a{harm}b"))
    assert harmless(output.cell([f"a{harm}b"]).plain)
    assert harmless(output.console_line(f"a{harm}b"))


@pytest.mark.parametrize("harm", [harm for harm in HARMFUL if harm != "\u202e"], ids=ascii)
def test_answers_for_programs_do_nothing_to_a_terminal_and_say_the_same(harm: str) -> None:
    answer = {f"a{harm}b": [f"Ä{harm}", "Ä € 東"]}
    as_json, as_yaml = output.as_json(answer), output.as_yaml(answer)
    assert json.loads(as_json) == answer
    assert yaml.safe_load(as_yaml) == answer
    for text in (as_json, as_yaml):
        assert all(line.isprintable() for line in text.split("\n"))
        assert "Ä € 東" in text


def test_a_command_prints_them_so(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("json", "yaml"):
        output.show(form, {"why": "\x9b2J\x85"}, tuple)
        assert "\\" in (told := capsys.readouterr().out)
        assert all(line.isprintable() for line in told.split("\n"))


def shown(parts: Any, capsys: pytest.CaptureFixture[str]) -> list[str]:
    output.show("table", None, lambda: parts)
    return capsys.readouterr().out.splitlines()


def test_a_description_forges_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown([output.sentence(FORGED), output.bullet(FORGED), output.fields([("why", FORGED)])], capsys) == [
        "x\\nPlan: nothing.",
        "  - x\\nPlan: nothing.",
        "why  x\\nPlan: nothing.",
    ]
    assert shown([output.table(["a", "b"], [[FORGED, 1]])], capsys)[1:] == ["x\\nPlan: nothing.  1"]
    output.warn(FORGED)
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("text", [FORGED, "x\u2028Plan: nothing.", "x\rPlan: nothing."], ids=ascii)
def test_no_line_of_a_plan_is_forged(capsys: pytest.CaptureFixture[str], text: str) -> None:
    change = {"kind": "vm", "name": "web1", "fields": [{"field": "description", "before": "", "after": text}]}
    report: dict[str, Any] = {key: [] for key in ("creates", "deletes", "moves", "restarts", "refused")}
    told = shown(plan._coloured(lines({**report, "changes": [change], "summary": "Plan: 1 to change."})), capsys)
    assert len(told) == 3
    assert [line for line in told if line.startswith("Plan")] == ["Plan: 1 to change."]


def test_neither_the_time_nor_the_sentence_of_an_event_writes_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    event = {"at": "\x1b[2J\n", "type": "commit", "sentence": FORGED}
    (line,) = shown([events._line(event)], capsys)
    assert harmless(line)
    events._show("json", {**event, "sentence": "\x9b2J"})
    assert harmless(capsys.readouterr().out.rstrip("\n"))
