# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWX does between a click and ansible-runner, of what inventory-examples/awx describes: no server of AWX is needed for that.

It checks survey answers and fills in defaults, renders a credential's injectors, reads inventory sources with ansible-inventory,
writes a private data directory, and lets ansible-runner run the playbook. Details follow AWX 24.6: extra variables that were not
written into the template are tagged ``!unsafe``, their names included, and an inventory is a program that prints JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import ansible_runner
import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = ROOT / "inventory-examples" / "infra-repo"
AWX = ROOT / "inventory-examples" / "awx"
VAULT_PASSWORD = "open sesame"

Task = tuple[str, dict[str, Any]]


class _Loader(yaml.SafeLoader):
    """Reads what Ansible tags as no template as plain strings."""


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def tasks(*names: str) -> list[Task]:
    """The tasks of the example, each as its module's name and arguments."""
    found: list[Task] = []
    for name in names or ("credentials", "project", "job_templates", "workflow"):
        for task in yaml.load((AWX / "tasks" / f"{name}.yml").read_text(), _Loader):
            ((module, arguments),) = ((key, value) for key, value in task.items() if key != "name")
            found.append((module, arguments))
    return found


def named(module: str, name: str) -> dict[str, Any]:
    """The arguments of the only task that makes something of a kind and name."""
    (found,) = (arguments for kind, arguments in tasks() if kind == f"awx.awx.{module}" and arguments["name"] == name)
    return found


# --- surveys --------------------------------------------------------------------------------------------------------

_TYPES: dict[str, type] = {"text": str, "textarea": str, "multiplechoice": str, "integer": int}


def question(spec: Mapping[str, Any], value: Any) -> str:
    """Why AWX would not take an answer; empty when it would."""
    kind, low, high = spec["type"], spec.get("min"), spec.get("max")
    if not isinstance(value, _TYPES[kind]) or isinstance(value, bool):
        return f"{spec['variable']}: {value!r} is no {kind}"
    if kind == "multiplechoice":
        return "" if value in spec["choices"] else f"{spec['variable']}: {value!r} is no choice"
    size = value if kind == "integer" else len(value)
    if (low is not None and size < low) or (high is not None and size > high):
        return f"{spec['variable']}: {value!r} is not within {low} and {high}"
    return ""


def answers(survey: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a survey; raises ValueError for what AWX would not start a job with."""
    specs = {spec["variable"]: spec for spec in survey["spec"]}
    problems = [
        question(specs[name], value) if name in specs else f"{name}: not asked for" for name, value in given.items()
    ]
    found = dict(given)
    for name, spec in specs.items():
        if name not in found and not question(spec, spec["default"]):
            found[name] = spec["default"]
        elif name not in found and spec["required"]:
            problems.append(f"{name}: needed to start")
    if any(problems):
        raise ValueError("; ".join(filter(None, problems)))
    return found


# --- credentials ----------------------------------------------------------------------------------------------------


def injected(kind: Mapping[str, Any], inputs: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """The environment that a credential of a custom type gives to a job; its files are written."""
    missing = set(kind["inputs"]["required"]) - {name for name, value in inputs.items() if value}
    if missing or not set(inputs) <= {field["id"] for field in kind["inputs"]["fields"]}:
        raise ValueError(f"the credential is not complete, or has unknown inputs: {sorted(missing)} {sorted(inputs)}")
    values = dict(inputs)
    for field in kind["inputs"]["fields"]:
        if field.get("format") == "ssh_private_key" and not values[field["id"]].endswith("\n"):
            values[field["id"]] += "\n"
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    files = SimpleNamespace()
    for label, template in kind["injectors"]["file"].items():
        name = label.removeprefix("template.")
        path = directory / f"injected-{name}"
        path.write_text(sandbox.from_string(template).render(**values))
        path.chmod(0o600)
        setattr(files, name, str(path))
    namespace = {**values, "tower": SimpleNamespace(filename=files)}
    return {
        name: sandbox.from_string(template).render(**namespace) for name, template in kind["injectors"]["env"].items()
    }


# --- jobs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A job that has ended.

    Attributes:
        status: as ansible-runner tells it. output: what AWX shows. events: all, in order. artifacts: what set_stats has handed on.
    """

    status: str
    output: str
    events: list[dict[str, Any]]
    artifacts: dict[str, Any]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The data of all events of a kind."""
        return [one["event_data"] for one in self.events if one["event"] == event]

    def result(self, task: str) -> dict[str, Any]:
        """The result of the last task of a name that has ended on a host."""
        ends = ("runner_on_ok", "runner_on_failed", "runner_on_unreachable")
        found = [data["res"] for event in ends for data in self.of(event) if data["task"] == task]
        return dict(found[-1])


class Controller:
    """AWX after the example's playbook: one organization with its credential, project, inventories and templates.

    Args:
        inputs: of the credential of type ``PVC cluster``.
        changes: files of the project that its owner has changed, by path.
    """

    def __init__(self, directory: Path, inputs: Mapping[str, str], changes: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._inputs = inputs
        self._jobs = 0
        self._synced: dict[str, str] = {}
        self._project = directory / "project"
        shutil.copytree(REPOSITORY, self._project)
        for name, text in (changes or {}).items():
            (self._project / name).write_text(text)
        folder = self._project / "inventory" / "group_vars" / "all"
        vault = folder / "vault.yml"
        shutil.copy(folder / "vault.yml.example", vault)
        (directory / "vault-password").write_text(VAULT_PASSWORD)
        self._run("ansible-vault", "encrypt", str(vault))

    def synced(self, inventory: str) -> dict[str, Any]:
        """An inventory after the update of its source."""
        (source,) = (
            args for kind, args in tasks() if kind == "awx.awx.inventory_source" and args["inventory"] == inventory
        )
        live = source["credential"] == "PVC cluster"
        if not live and inventory in self._synced:
            # Nothing of it has changed: the project is the same.
            return dict(json.loads(self._synced[inventory]))
        environment = {"INVENTORY_UPDATE_ID": "1", "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True"}
        if live:
            environment |= self._environment(self._directory)
        listed = self._run("ansible-inventory", "-i", source["source_path"], "--list", "--export", **environment)
        self._synced[inventory] = listed
        return dict(json.loads(listed))

    def launch(
        self,
        template: str,
        given: Mapping[str, Any] | None = None,
        *,
        job_type: str = "run",
        artifacts: Mapping[str, Any] | None = None,
        survey: Mapping[str, Any] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Job:
        """Run a job template.

        Args:
            given: answers to its survey. artifacts: of earlier jobs of the same workflow.
            job_type: ``check`` where the template asks for it.
            survey: of the workflow that it runs in.
            changes: variables of hosts that are other in this inventory, by host.
        """
        spec = named("job_template", template)
        assert job_type == spec["job_type"] or spec.get("ask_job_type_on_launch")
        variables = answers(spec["survey_spec"], {**(answers(survey, given or {}) if survey else given or {})})
        self._jobs += 1
        private = self._directory / f"job{self._jobs}"
        (private / "env").mkdir(parents=True)
        (private / "project").symlink_to(self._project)
        inventory = self.synced(spec["inventory"])
        for host, values in (changes or {}).items():
            inventory["_meta"]["hostvars"].setdefault(host, {}).update(values)
        self._write_inventory(private, inventory)
        self._write_variables(private, {**variables, **(artifacts or {})}, template)
        arguments = ["--ask-vault-pass", *(["--check"] if job_type == "check" else [])]
        arguments += ["--diff"] if spec.get("diff_mode") else []
        arguments += ["--become"] if spec.get("become_enabled") else []
        # AWX's own process knows nothing of what is set for these tests.
        with mock.patch.dict(os.environ, _inherited(), clear=True):
            runner = ansible_runner.run(
                private_data_dir=str(private),
                ident=str(self._jobs),
                playbook=spec["playbook"],
                inventory=str(private / "inventory" / "hosts"),
                cmdline=" ".join(arguments),
                passwords={r"Vault password:\s*?$": VAULT_PASSWORD},
                envvars={
                    **_settings(self._directory),
                    "JOB_ID": str(self._jobs),
                    "MAX_EVENT_RES": "700000",
                    **self._environment(private / "env"),
                },
                # A job that hangs is ended, as the time limit of a job template does.
                settings={"job_timeout": 900},
                quiet=True,
            )
        events = list(runner.events)
        stats = [
            event["event_data"].get("artifact_data", {}) for event in events if event["event"] == "playbook_on_stats"
        ]
        output = "".join(f"{event['stdout']}\n" for event in events if event["stdout"])
        return Job(runner.status, output, events, dict(stats[-1]) if stats else {})

    def _environment(self, directory: Path) -> dict[str, str]:
        return injected(named("credential_type", "PVC cluster"), self._inputs, directory)

    def _write_inventory(self, private: Path, inventory: Mapping[str, Any]) -> None:
        (private / "inventory").mkdir()
        script = private / "inventory" / "hosts"
        script.write_text(f"#!{sys.executable}\nprint({json.dumps(inventory)!r})\n")
        script.chmod(0o700)

    def _write_variables(self, private: Path, variables: Mapping[str, Any], template: str) -> None:
        told: dict[str, Any] = {}
        for prefix in ("awx", "tower"):
            told |= {
                f"{prefix}_job_id": self._jobs,
                f"{prefix}_job_launch_type": "manual",
                f"{prefix}_job_template_name": template,
                f"{prefix}_user_name": "alice",
                f"{prefix}_user_email": "alice@example.org",
                f"{prefix}_inventory_name": "PVC cluster",
                f"{prefix}_project_revision": "0" * 40,
            }
        (private / "env" / "extravars").write_text(_unsafe({**told, **variables}))

    def _run(self, program: str, *arguments: str, **environment: str) -> str:
        command = [str(Path(sys.executable).parent / program), *arguments]
        secret = {"ANSIBLE_VAULT_PASSWORD_FILE": str(self._directory / "vault-password")}
        done = subprocess.run(
            command,
            cwd=self._project,
            env={**_inherited(), **_settings(self._directory), **secret, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PVC_", "ANSIBLE_"))}


def _settings(directory: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_HOME": str(directory / "home"),
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_HOST_KEY_CHECKING": "False",
    }


class _UnsafeDumper(yaml.SafeDumper):
    """Tags every string, names of variables included."""


_UnsafeDumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("!unsafe", text))


def _unsafe(variables: Mapping[str, Any]) -> str:
    return yaml.dump(dict(variables), Dumper=_UnsafeDumper)
