# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What READMEs of roles and comments of playbooks tell to write and to run is at least what Ansible can read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.repository.tree import ROOT, load, texts

BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = {name: text for name, text in texts().items() if name.endswith(".md")}
YAML = [(name, block) for name, text in DOCUMENTS.items() for block in BLOCK.findall(text)]
#: Commands of comments and of code blocks.
COMMAND = re.compile(r"^(?:# +| *|`)?(ansible-playbook -i .*?pvc\.cluster\.\w+.*?)(?:`| {2,}.*| +#.*)?$", re.MULTILINE)
PLAYBOOKS = {f"playbooks/{path.name}": path.read_text(encoding="utf-8") for path in (ROOT / "playbooks").glob("*.yml")}
COMMANDS = sorted(
    {(name, command) for name, text in {**DOCUMENTS, **PLAYBOOKS}.items() for command in COMMAND.findall(text)}
)
#: Whatever a play of an example may have.
PLAY = {"hosts", "become", "gather_facts", "module_defaults", "name", "roles", "tasks", "vars"}


@pytest.mark.parametrize(
    ("name", "block"), YAML, ids=[f"{name}-{number}" for number, (name, _block) in enumerate(YAML)]
)
def test_a_block_of_yaml_is_yaml_without_a_key_twice(name: str, block: str) -> None:
    class Loader(yaml.SafeLoader):
        """Refuses what Ansible would warn of."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key, deep=True) for key, _value in node.value]
        assert len(keys) == len(set(keys)), f"{name}: a key is there twice: {keys}"
        return {
            loader.construct_object(key, deep=True): loader.construct_object(value, deep=True)
            for key, value in node.value
        }

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    assert list(yaml.load_all(block, Loader=Loader))


@pytest.mark.parametrize("name", sorted(name for name in DOCUMENTS if re.fullmatch(r"roles/\w+/README\.md", name)))
def test_the_example_of_a_role_is_a_play_with_its_own_options(name: str) -> None:
    role = Path(name).parts[1]
    options = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    plays = [play for block in BLOCK.findall(DOCUMENTS[name]) for play in plays_of(block)]
    used = [entry for play in plays for entry in play.get("roles", [])]
    named = [entry if isinstance(entry, str) else entry["role"] for entry in used]
    assert f"pvc.cluster.{role}" in named, "there is no example"
    assert {key for play in plays for key in play} <= PLAY
    for entry in used:
        if not isinstance(entry, str) and entry["role"] == f"pvc.cluster.{role}":
            assert set(entry.get("vars", {})) <= set(options)


def plays_of(block: str) -> list[dict[str, Any]]:
    found = yaml.safe_load(block)
    return [one for one in found if "hosts" in one] if isinstance(found, list) and isinstance(found[0], dict) else []


@pytest.mark.parametrize(
    ("name", "command"), COMMANDS, ids=[f"{Path(name).stem}-{n}" for n, (name, _c) in enumerate(COMMANDS)]
)
def test_a_command_runs_a_playbook_that_there_is_with_variables_that_it_knows(name: str, command: str) -> None:
    words = shlex.split(command.replace("`", " "))
    playbook = next(word for word in words if word.startswith("pvc.cluster.")).removeprefix("pvc.cluster.")
    text = "".join(
        path.read_text(encoding="utf-8")
        for path in [ROOT / "playbooks" / f"{playbook}.yml", *(ROOT / "playbooks" / "tasks").glob("*.yml")]
    )
    given = [words[number + 1].split() for number, word in enumerate(words[:-1]) if word == "-e"]
    variables = {one.partition("=")[0] for some in given for one in some if "=" in one}
    assert [variable for variable in variables if not re.search(rf"\b{variable}\b", text)] == []
