# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents by themselves: what is wrong in them, all at once, each with its file and line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pvc_state.document import BadDocument, read
from pvc_state.document_files import Unreadable, load
from pvc_state.errors import InvalidRequest


def wrong(data: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Path and text of each problem."""
    with pytest.raises(BadDocument) as caught:
        read(data)
    return [(problem.path, str(problem.error)) for problem in caught.value.problems]


def only(data: Any) -> tuple[tuple[str | int, ...], str]:
    (problem,) = wrong(data)
    return problem


def test_what_is_right_comes_out_as_a_task_would_give_it() -> None:
    document = read(
        {
            "cluster": "lab",
            "document": "site",
            "vms": [{"name": "web1", "memory": 2048, "disks": [{"size": "10G"}], "cpu": {"cores": "2"}}],
            "settings": {"maintenance": "no"},
        }
    )
    (vm,) = document.objects["vms"]
    assert (document.cluster, document.name) == ("lab", "site")
    assert (vm["memory"], vm["disks"][0]["pool"], vm["cpu"]["cores"]) == ("2048", "vms", 2)
    assert document.objects["settings"] == [{"maintenance": False}]


@pytest.mark.parametrize("data", [None, [], "vms", 3])
def test_no_mapping(data: Any) -> None:
    assert "not a mapping of options" in only(data)[1]


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        ({"vmz": []}, ("vmz",), "a document has no vmz; did you mean vms?"),
        ({"vms": {}}, ("vms",), "it is no list"),
        ({"document": "Bad Name"}, ("document",), "no valid name"),
        ({"vms": [{"name": "a", "memroy": 1}]}, ("vms", 0, "memroy"), "there is no option memroy; did you mean memory?"),
        ({"vms": [{"memory": 1}]}, ("vms", 0, "name"), "item 0 of vms, name: it is missing"),
        ({"vms": ["web1"]}, ("vms", 0), "not a mapping of options"),
        ({"vms": [{"name": "Web"}]}, ("vms", 0, "name"), "no valid name"),
        ({"vms": [{"name": "a", "vcpus": "two"}]}, ("vms", 0, "vcpus"), "'two' is no whole number"),
        ({"vms": [{"name": "a", "vcpus": True}]}, ("vms", 0, "vcpus"), "True is no whole number"),
        ({"vms": [{"name": "a", "vcpus": float("inf")}]}, ("vms", 0, "vcpus"), "inf is no whole number"),
        ({"vms": [{"name": "a", "disks": [{"bus": "ide"}]}]}, ("vms", 0, "disks", 0, "bus"), "disks[0].bus: 'ide' is not"),
        ({"vms": [{"name": "a", "state": "startd"}]}, ("vms", 0, "state"), "did you mean started?"),
        ({"vms": [{"name": "a", "state": "restarted"}]}, ("vms", 0, "state"), "use the module pvc.cluster.vm"),
        ({"vms": [{"name": "a", "new_name": "b"}]}, ("vms", 0, "new_name"), "use the module pvc.cluster.vm"),
        ({"nodes": [{"name": "n", "fence": [{"name": "bmc"}]}]}, ("nodes", 0, "fence", 0, "kind"), "it is missing"),
        ({"settings": {"evidence": ["guess"]}}, ("settings", "evidence", 0), "'guess' is not possible"),
        ({"settings": []}, ("settings",), "not a mapping of options"),
        ({"document": "a", "vms": [{"name": "v", "document": "b"}]}, ("vms", 0, "document"), "has the name a"),
        ({"vms": [{"name": "v", "document": "B"}]}, ("vms", 0, "document"), "no valid name"),
        ({"vms": [{"name": 1 << 20000}]}, ("vms", 0, "name"), "is no text"),
        ({"vms": [{"name": "a", "vcpus": 1 << 20000}]}, ("vms", 0, "vcpus"), "is no whole number"),
        ({"vms": [{"name": "a", "vcpus": 1e300}]}, ("vms", 0, "vcpus"), "is no whole number"),
        ({"rules": [{"name": "r"}, {"name": "r"}]}, ("rules", 1, "name"), "there are two of this name"),
    ],
)  # fmt: skip
def test_one_thing_wrong(data: Any, path: tuple[str | int, ...], words: str) -> None:
    found = wrong(data)
    assert path in [where for where, _text in found]
    assert any(words in text for _where, text in found), found


def test_everything_that_is_wrong_is_told_at_once() -> None:
    vms = [{"name": f"vm{index}", "memory": "1G"} for index in range(10_000)]
    vms[17]["memry"], vms[9_999]["vcpus"] = "1G", "x"  # type: ignore[assignment]
    paths = [path for path, _text in wrong({"vms": vms, "nodez": []})]
    assert paths == [("nodez",), ("vms", 17, "memry"), ("vms", 9_999, "vcpus")]


def test_copies_that_go_round_in_a_circle() -> None:
    def copy(name: str, of: str) -> dict[str, Any]:
        return {"name": name, "clone_from": {"vm": of}}

    path, text = only({"vms": [copy("a", "b"), copy("b", "c"), copy("c", "a"), copy("d", "a")]})
    assert path == ("vms", 0, "clone_from", "vm")
    assert "a <- b <- c <- a" in text


# --- files ----------------------------------------------------------------------------------------------------------


def files(folder: Path, **texts: str) -> str:
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")
    return str(folder)


def test_the_files_of_a_directory_are_one_document(tmp_path: Path) -> None:
    path = files(
        tmp_path,
        a="cluster: lab\nvms:\n- name: web1\n",
        b="vms:\n# another one\n- name: web2\n  disks:\n  - size: 1G\n  - sise: 1G\n",
        c="",
        d="# nothing\n",
    )
    sources = load([path])
    assert [vm["name"] for vm in sources.data["vms"]] == ["web1", "web2"]
    (problem,) = wrong(sources.data)
    assert problem[0] == ("vms", 1, "disks", 1, "sise")
    assert sources.place(problem[0]) == (f"{path}/b.yml", 6)
    assert sources.place(("vms", 1, "memory")) == (f"{path}/b.yml", 3)
    assert sources.place(("cluster",)) == (f"{path}/a.yml", 1)
    assert sources.place(("nodes", 0)) is None
    assert sources.place(()) is None


@pytest.mark.parametrize(
    ("texts", "line", "words"),
    [
        ({"a": "vms:\n- {name: x, memory: 1G, memory: 2G}\n"}, 2, "the key memory is in one mapping twice"),
        ({"a": "vms: [\n"}, 2, "it is no YAML"),
        ({"a": "- vms\n"}, 1, "it is no mapping"),
        ({"a": "\nvmz: []\n"}, 2, "did you mean vms?"),
        ({"a": "cluster: x\n", "b": "nodes: []\ncluster: x\n"}, 2, "it is given twice"),
        ({"a": "x: !!python/object/apply:os.getcwd []\n"}, 1, "it is no YAML"),
        ({"a": "x: \x07\n"}, 1, "it is no YAML"),
    ],
)
def test_what_is_no_part_of_a_document(tmp_path: Path, texts: dict[str, str], line: int, words: str) -> None:
    with pytest.raises(Unreadable) as caught:
        load([files(tmp_path, **texts)])
    assert words in str(caught.value)
    assert caught.value.places[0][1] == line


def test_anchors_and_merges_are_no_double_keys(tmp_path: Path) -> None:
    text = "vms:\n- &base {name: a, memory: 1G}\n- &more {<<: *base, name: b}\n- {<<: *more, name: c}\n"
    assert [vm["memory"] for vm in load([files(tmp_path, a=text)]).data["vms"]] == ["1G"] * 3


def test_only_what_looks_like_a_number_is_one(tmp_path: Path) -> None:
    text = "vms:\n- {name: 0123, memory: 512, description: 2026-01-31, nics: [{bridge: br0, mac: 52:54:00:12:34:56}]}\n"
    text += "settings: {boot_grace: 1.5, storm_limit: -1, vcpu_ratio: 0x10}\n"
    data = load([files(tmp_path, a=text)]).data
    assert data["vms"] == [
        {
            "name": "0123",
            "memory": 512,
            "description": "2026-01-31",
            "nics": [{"bridge": "br0", "mac": "52:54:00:12:34:56"}],
        }
    ]
    assert data["settings"] == {"boot_grace": 1.5, "storm_limit": -1, "vcpu_ratio": "0x10"}


def test_a_small_text_that_stands_for_a_huge_one_is_refused_at_once(tmp_path: Path) -> None:
    layers = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    layers += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    text = "vms:\n- metadata: {" + ", ".join(layers) + "}\n  name: *a9\n"
    found = wrong(load([files(tmp_path, a=text)]).data)
    assert any("is no text" in words for _path, words in found)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path, words in (
        (str(tmp_path / "none.yml"), "cannot be read: No such file"),
        (str(tmp_path), "holds no file of YAML"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            load([path])
    (tmp_path / "latin.yml").write_bytes(b"x: \xe9\n")
    with pytest.raises(InvalidRequest, match="not in UTF-8"):
        load([str(tmp_path)])
