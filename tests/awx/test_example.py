# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What inventory-examples/awx and infra-repo say is what awx.awx takes, and what their playbooks know."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.pvc.cluster.plugins.module_utils._module import CONNECTION

from tests.awx.controller import AWX, REPOSITORY, ROOT, answers, named, tasks

MODULES = sorted({module for module, _arguments in tasks()})
TEMPLATES = [arguments["name"] for module, arguments in tasks() if module == "awx.awx.job_template"]

#: Variables of playbooks that no survey asks for, with what gives them.
NOT_ASKED = {
    # What its first plays find out and tell its last ones.
    "PVC deploy": {"pvc_checked", "pvc_was_healthy", "pvc_was_there"},
    "PVC plan": {"pvc_src", "pvc_document", "pvc_commit", "pvc_mark"},
    "PVC apply": {"pvc_src", "pvc_document", "pvc_commit", "pvc_mark", "pvc_plan", "pvc_save"},
    "PVC drain": {"pvc_return_vms"},
    "PVC failover report": set(),
    "PVC provision": set(),
}


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """The documentation of awx.awx's modules, with their fragments."""
    program = Path(sys.executable).parent / "ansible-doc"
    done = subprocess.run([program, "--json", *MODULES], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def specification(options: dict[str, Any]) -> dict[str, Any]:
    """Documented options as an argument spec."""
    found = {}
    for name, option in options.items():
        spec = {key: option[key] for key in ("type", "elements", "required", "choices", "aliases") if key in option}
        if "suboptions" in option:
            spec["options"] = specification(option["suboptions"])
        found[name] = spec
    return found


def refused(documented: dict[str, Any], module: str, arguments: dict[str, Any]) -> list[str]:
    """What a module of awx.awx would complain about. Templates that are a whole value stand for one that is right."""
    options = specification(documented[module]["doc"]["options"])
    rendered = {
        name: False if str(value).startswith("{{") and options.get(name, {}).get("type") == "bool" else value
        for name, value in arguments.items()
    }
    return ArgumentSpecValidator(options).validate(rendered).error_messages


@pytest.mark.parametrize(
    "index", range(len(tasks())), ids=[f"{module} {arguments['name']}" for module, arguments in tasks()]
)
def test_the_collection_of_awx_takes_each_task(documented: dict[str, Any], index: int) -> None:
    module, arguments = tasks()[index]
    assert refused(documented, module, arguments) == []


def test_a_wrong_key_is_noticed(documented: dict[str, Any]) -> None:
    template = named("job_template", "PVC drain")
    assert "survey" in refused(documented, "awx.awx.job_template", {**template, "survey": {}})[0]
    assert refused(documented, "awx.awx.job_template", {**template, "job_type": "scan"})
    workflow = named("workflow_job_template", "PVC apply with approval")
    workflow["workflow_nodes"][0]["unified_job_template"]["kind"] = "job_template"
    assert "kind" in refused(documented, "awx.awx.workflow_job_template", workflow)[0]


def test_what_is_named_exists() -> None:
    made = {(module.rpartition(".")[2], arguments["name"]) for module, arguments in tasks()}
    kinds = {"Vault", "Machine"} | {name for kind, name in made if kind == "credential_type"}
    for module, arguments in tasks():
        where = f"{module} {arguments['name']}"
        for key, kind in (
            ("project", "project"),
            ("source_project", "project"),
            ("inventory", "inventory"),
            ("execution_environment", "execution_environment"),
            ("default_environment", "execution_environment"),
            ("credential", "credential"),
        ):
            assert key not in arguments or (kind, arguments[key]) in made, where
        assert all(("credential", name) in made for name in arguments.get("credentials", [])), where
        assert arguments.get("credential_type", "Vault") in kinds, where
        for key in ("playbook", "source_path"):
            assert key not in arguments or (REPOSITORY / arguments[key]).is_file(), where


def test_the_workflow_waits_for_an_approval_between_plan_and_run() -> None:
    workflow = named("workflow_job_template", "PVC apply with approval")
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    following = {
        name: [one["identifier"] for one in node.get("related", {}).get("success_nodes", [])]
        for name, node in nodes.items()
    }
    assert following == {"plan": ["approval"], "approval": ["apply"], "apply": []}
    assert nodes["approval"]["unified_job_template"]["type"] == "workflow_approval"
    assert {nodes[name]["unified_job_template"]["name"] for name in ("plan", "apply")} <= set(TEMPLATES)
    # The answers to a workflow's survey reach a job only if its own survey asks for them.
    asked = {spec["variable"] for spec in workflow["survey_spec"]["spec"]}
    for template in ("PVC plan", "PVC apply"):
        assert asked <= {spec["variable"] for spec in named("job_template", template)["survey_spec"]["spec"]}


def surveys() -> dict[str, list[dict[str, Any]]]:
    return {
        arguments["name"]: arguments["survey_spec"]["spec"]
        for _module, arguments in tasks()
        if "survey_spec" in arguments
    }


@pytest.mark.parametrize("template", surveys())
def test_a_survey_is_one_that_awx_takes(template: str) -> None:
    spec = surveys()[template]
    assert len({one["variable"] for one in spec}) == len(spec)
    for one in spec:
        assert (
            {"question_name", "variable", "type", "required", "default"}
            <= one.keys()
            <= {
                "question_name",
                "question_description",
                "variable",
                "type",
                "required",
                "default",
                "choices",
                "min",
                "max",
            }
        ), one["variable"]
        assert one["type"] in ("text", "textarea", "integer", "multiplechoice")
        assert ("choices" in one) is (one["type"] == "multiplechoice")
        assert one["type"] != "multiplechoice" or one["default"] in one["choices"]
        assert not one["variable"].startswith("ansible_")
    # Every question has a default that AWX takes, or an answer is needed.
    needed = [one["variable"] for one in spec if one["required"] and one["default"] == ""]
    answers({"spec": spec}, dict.fromkeys(needed, "x"))


def knows(playbook: Path) -> set[str]:
    """The variables pvc_… that a playbook, and the one of the collection that it imports, takes from outside."""
    text = "\n".join(line for line in playbook.read_text().splitlines() if not line.lstrip().startswith("#"))
    # What a playbook hands on is no question.
    for handed_on in ("pvc_failover:", "pvc_vm:", *(["pvc_plan:"] if playbook.name == "plan.yml" else [])):
        text = text.replace(handed_on, "")
    found = set(re.findall(r"(?<![\w.])pvc_[a-z_]+\b", text)) - {"pvc_connection"}
    for imported in re.findall(r"import_playbook: pvc\.cluster\.(\w+)", text):
        found |= knows(ROOT / "playbooks" / f"{imported}.yml")
    return found


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_survey_asks_for_what_the_playbook_knows(template: str) -> None:
    spec = named("job_template", template)
    asked = {one["variable"] for one in spec["survey_spec"]["spec"]}
    known = knows(REPOSITORY / spec["playbook"])
    assert asked <= known
    assert known - asked == NOT_ASKED[template]


def test_the_credential_tells_what_modules_ask_for() -> None:
    injectors = named("credential_type", "PVC cluster")["injectors"]
    known = {variable for option in CONNECTION.values() for variable in option["fallback"][1]}
    assert set(injectors["env"]) <= known
    # Of these, the modules' defaults are right for every cluster of AWX, or a job is none.
    assert known - set(injectors["env"]) <= {"PVC_TLS", "PVC_CONNECT_TIMEOUT", "PVC_AUTHOR", "PVC_JOB"}
    assert set(injectors) == {"env", "file"}


def test_what_is_to_be_set_is_used_and_what_is_used_is_to_be_set() -> None:
    given = {name for file in ("vars.yml", "site.yml.example") for name in yaml.safe_load((AWX / file).read_text())}
    used = set(re.findall(r"\bawx_[a-z_]+\b", "".join(path.read_text() for path in (AWX / "tasks").iterdir())))
    assert used - given == {"awx_update_secrets"}
    assert given - used == set()


def test_the_repository_asks_for_the_collections_that_this_one_depends_on() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    asked = {
        one["name"]: one["version"]
        for one in yaml.safe_load((REPOSITORY / "collections/requirements.yml").read_text())["collections"]
    }
    assert asked == {"pvc.cluster": f">={galaxy['version']}", **galaxy["dependencies"]}


def test_the_execution_environment_is_of_version_3_and_uses_the_requirements() -> None:
    wanted = yaml.safe_load((REPOSITORY / "execution-environment.yml").read_text())
    assert wanted["version"] == 3
    assert (REPOSITORY / wanted["dependencies"]["galaxy"]).is_file()
    own = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text())["dependencies"]
    for name in own.values():
        assert (ROOT / name).is_file()
    assert "kazoo" in (ROOT / own["python"]).read_text()
