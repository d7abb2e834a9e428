# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc plan and pvc apply: what is shown, what is asked, what is done, and how each ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pvc_cli.commands import plan as commands
from pvc_state.commit_log import load_commits
from tests.cli.conftest import Pvc

SHOP = """
document: shop
vms:
- name: web7
  memory: 128
  state: stopped
- name: web1
  memory: 128
"""
TYPO = "vms:\n- name: web7\n  memroy: 128\n"
TOO_BIG = "vms:\n- name: web7\n  memory: 128\n- name: web8\n  memory: 900000\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command is called in."""
    monkeypatch.chdir(tmp_path)
    Path("shop.yml").write_text(SHOP, encoding="utf-8")
    Path("typo.yml").write_text(TYPO, encoding="utf-8")
    Path("big.yml").write_text(TOO_BIG, encoding="utf-8")
    monkeypatch.setenv("PVC_AUTHOR", "ann")
    return tmp_path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody can be asked."""
    monkeypatch.setattr(commands, "asked_here", lambda: True)


PLANNED = (
    "+ vm web7: created on node1: 2560 MiB free, the most of 2 nodes that fit\n"
    "~ vm web1\n    memory: 512 -> 128\n    document: none -> shop\n"
)


def revision(pvc: Pvc) -> int:
    return pvc.cluster.snapshot.journal


def test_a_plan_changes_nothing_and_says_whether_there_is_something_to_do(pvc: Pvc) -> None:
    before = revision(pvc)
    assert pvc.ok("plan", "shop.yml") == f"{PLANNED}Plan: 1 to create, 1 to change.\n"
    assert pvc("plan", "shop.yml", "--detailed-exitcode").exit_code == 2
    assert revision(pvc) == before
    assert pvc("apply", "shop.yml", "--yes", "--no-wait").exit_code == 0
    assert pvc("plan", "shop.yml", "--detailed-exitcode").exit_code == 0


def test_apply_tells_what_it_has_done_and_who_has(pvc: Pvc) -> None:
    before = revision(pvc)
    answer = pvc.json("apply", "shop.yml", "--yes", "--no-wait")
    assert (answer["changed"], answer["revision"]) == (True, before + 1)
    assert answer["plan_text"][-1] == "Plan: 1 to create, 1 to change."
    ((_revision, stored),) = load_commits(pvc.cluster.ensemble.connect(username="pvc", password="secret"), before + 1)
    assert stored.value is not None
    assert (stored.value.who, stored.value.via) == ("ann", "pvc apply")
    assert pvc.ok("apply", "shop.yml", "--yes", "--no-wait") == "Nothing to change.\n"
    assert pvc.json("apply", "shop.yml", "--yes", "--no-wait")["changed"] is False


def test_who_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVC_AUTHOR", "ann\nor " + "b" * 300)
    assert commands.author().who == "ann or " + "b" * 193


def test_where_nobody_can_be_asked(pvc: Pvc) -> None:
    assert "Nobody can be asked here: give --yes." in pvc.fails("apply", "shop.yml", code=64)
    assert pvc.seen == []


@pytest.mark.usefixtures("terminal")
def test_somebody_is_asked_and_says_no(pvc: Pvc) -> None:
    before = revision(pvc)
    result = pvc("apply", "shop.yml", typed="n\n")
    assert (result.exit_code, result.stdout) == (130, f"{PLANNED}Plan: 1 to create, 1 to change.\n")
    assert "Carry it out?" in result.stderr
    assert revision(pvc) == before


@pytest.mark.usefixtures("terminal")
def test_what_is_carried_out_is_what_was_shown(pvc: Pvc, monkeypatch: pytest.MonkeyPatch) -> None:
    before = revision(pvc)
    result = pvc("apply", "shop.yml", "--no-wait", typed="y\n")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, f"Done: revision {before + 1}.")
    Path("other.yml").write_text("vms:\n- {name: db1, memory: 64}\n", encoding="utf-8")

    def meanwhile(*_: object, **__: object) -> None:
        assert pvc("apply", "other.yml", "--yes", "--no-wait").exit_code == 0

    Path("shop.yml").write_text("vms:\n- {name: db1, memory: 256}\n", encoding="utf-8")
    monkeypatch.setattr("click.confirm", meanwhile)
    result = pvc("apply", "shop.yml", "--no-wait")
    assert result.exit_code == 7
    assert "the world has moved since it was made" in result.stderr


@pytest.mark.usefixtures("terminal")
def test_nothing_to_do_is_nothing_to_ask(pvc: Pvc) -> None:
    assert pvc("apply", "shop.yml", "--yes", "--no-wait").exit_code == 0
    result = pvc("apply", "shop.yml", "--no-wait")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_saved_plan_is_carried_out_once(pvc: Pvc) -> None:
    assert pvc.ok("plan", "shop.yml", "--out", "plan.json").startswith("+ vm web7")
    assert json.loads(Path("plan.json").read_text(encoding="utf-8"))["cluster"] == "lab"
    for more in (["--prune"], ["--force"], ["--mark", "x"], ["--commit", "1"]):
        assert "A saved plan is carried out as it is" in pvc.fails("apply", "plan.json", "--yes", *more, code=64)
    assert pvc.ok("apply", "plan.json", "--yes", "--no-wait").startswith(PLANNED)
    assert "the world has moved" in pvc.fails("apply", "plan.json", "--yes", "--no-wait", code=7)


@pytest.mark.usefixtures("terminal")
def test_what_is_shown_of_a_saved_plan_is_what_it_does(pvc: Pvc) -> None:
    pvc.ok("plan", "shop.yml", "--out", "plan.json")
    saved = json.loads(Path("plan.json").read_text(encoding="utf-8"))
    saved["report"]["creates"][0]["why"] = "looks fine"
    Path("plan.json").write_text(json.dumps(saved), encoding="utf-8")
    result = pvc("apply", "plan.json", typed="n\n")
    assert "looks fine" not in result.stdout
    assert "+ vm web7: created on" in result.stdout


def test_all_that_is_wrong_is_told_with_its_place(pvc: Pvc) -> None:
    before = revision(pvc)
    for command in (["plan"], ["apply", "--yes"]):
        result = pvc(*command, "typo.yml")
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr == (
            "! typo.yml:3: vm web7, memroy: there is no option memroy; did you mean memory?\nWrong: 1.\n"
        )
        result = pvc(*command, "big.yml")
        assert result.exit_code == 3
        assert "+ vm web7" in result.stderr
        assert "! big.yml:4: vm web8: no node can take it" in result.stderr
        answer = pvc.json(*command, "big.yml", code=3)
        assert [(one["object"], one["file"], one["line"]) for one in answer["refused"]] == [("vm web8", "big.yml", 4)]
        assert pvc.json(*command, "typo.yml", code=3)["plan"] is None
    assert revision(pvc) == before


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["plan"], 64, "Give files or directories, or a revision with --commit."),
        (["plan", "shop.yml", "--commit", "1"], 64, "Give files or directories, or a revision with --commit."),
        (["plan", "nowhere.yml"], 3, "file nowhere.yml: it cannot be read: No such file"),
        (["plan", "shop.yml", "--prune-volumes"], 3, "document, prune_volumes: it is only for what prune deletes"),
        (["plan", "shop.yml", "--out", "no/where"], 3, "file no/where, --out: it cannot be written: No such file"),
        (["plan", "shop.yml", "--mark", "mall"], 3, "document, mark: the document has the name shop already"),
        (["apply", "--yes", "--commit", "99"], 3, "99"),
        (
            ["apply", "--yes", "shop.yml", "--wait-timeout", "0"],
            8,
            "the change is committed and the agents go on with it",
        ),
    ],
)
def test_what_is_refused(pvc: Pvc, args: list[str], code: int, words: str) -> None:
    result = pvc(*args)
    assert result.exit_code == code, result.output
    assert words in result.stderr


def test_the_state_at_a_commit(pvc: Pvc) -> None:
    then = revision(pvc)
    assert pvc("apply", "shop.yml", "--yes", "--no-wait").exit_code == 0
    assert "    memory: 128 -> 512\n" in pvc.ok("plan", "--commit", str(then))
