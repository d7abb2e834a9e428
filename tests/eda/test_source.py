# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event source as ansible-rulebook calls it, on a real ZooKeeper: its arguments, its file, and what it puts into the queue."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_rulebook import rules_parser
from ansible_rulebook.validators import Validate
from hypothesis import given
from hypothesis import strategies as st
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl

from pvc_state.happening import TYPES
from tests.eda.conftest import PASSWORD, Site
from tests.eda.rulebook import EDA
from tests.store.harness import PATIENCE
from tests.unit.plugins.module_utils.pvc_state.builders import request

MODULE = runpy.run_path(str(EDA / "plugins" / "event_source" / "events.py"))
MAIN: Callable[[Any, dict[str, Any]], Awaitable[None]] = MODULE["main"]
OPTIONS = yaml.safe_load(MODULE["DOCUMENTATION"])["options"]


def arguments(site: Site, **more: Any) -> dict[str, Any]:
    return {**site.options, "hosts": list(site.options["hosts"]), **more}


def run(args: dict[str, Any], test: Callable[[asyncio.Queue[Any]], Awaitable[Any]], feedback: Any = None) -> Any:
    """Run the source beside a test that reads its queue, and cancel it as ansible-rulebook does."""

    async def both() -> Any:
        queue: asyncio.Queue[Any] = asyncio.Queue(1)
        extra = {"eda_feedback_queue": feedback} if feedback is not None else {}
        source = asyncio.ensure_future(MAIN(queue, {**args, **extra}))
        tested = asyncio.ensure_future(test(queue))
        done, _pending = await asyncio.wait({source, tested}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        tested.cancel()
        source.cancel()
        ends = await asyncio.gather(source, tested, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end
        assert done, "nothing has come in time"
        return ends[1]

    return asyncio.run(both())


async def began(path: Path) -> None:
    while not path.exists():
        await asyncio.sleep(0.01)  # a file calls nobody


def move(site: Site, name: str) -> None:
    owner = site.cluster.snapshot.owner(name)
    assert owner
    site.cluster.agents[owner].hand_over(name, "node2" if owner == "node1" else "node1")


def refused(args: dict[str, Any]) -> str:
    async def wait(queue: asyncio.Queue[Any]) -> Any:
        return await queue.get()

    with pytest.raises(Exception) as caught:  # noqa: PT011
        run(args, wait)
    assert type(caught.value).__name__ in ("InvalidRequest", "AccessDenied", "StoreUnavailable", "NotInitialised")
    return str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pasword": "x"}, "source pvc.cluster.events, pasword: there is no such option; did you mean password?"),
        ({"hosts": 1}, "source pvc.cluster.events, hosts: 1 is no list of texts; give a list, or a text with commas"),
        ({"hosts": ["a:b:c"]}, "hosts: 'a:b:c' is no server; give host:port, or [address]:port for IPv6"),
        ({"tls": "maybe"}, "source pvc.cluster.events, tls: 'maybe' is neither true nor false; give true or false"),
        (
            {"since": "today"},
            "source pvc.cluster.events, since: 'today' is no transaction; give the zxid of an event, or 0",
        ),
        ({"since": -1}, "source pvc.cluster.events, since: -1 is no transaction; give the zxid of an event, or 0"),
        ({"root": 7}, "source pvc.cluster.events, root: 7 is no text; give a text"),
        (
            {"connect_timeout": "soon"},
            "source pvc.cluster.events, connect_timeout: 'soon' is no number; give a number of seconds",
        ),
        ({"connect_timeout": 0}, "connect_timeout: 0.0 is not possible; give seconds above 0"),
        (
            {"types": ["node_ded"]},
            "source pvc.cluster.events, types: there are no events of type node_ded; did you mean node_dead?",
        ),
        (
            {"ca_file": "/nowhere"},
            "ca_file: /nowhere is no readable file; give the path of a PEM file",
        ),
    ],
)
def test_an_argument_that_cannot_be_right_is_named(site: Site, wrong: dict[str, Any], said: str) -> None:
    tls = {"tls": True} if "ca_file" in wrong else {}
    assert refused({**arguments(site), **tls, **wrong}) == said


def test_what_is_missing_is_named_with_its_environment_variable(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in site.environment:
        monkeypatch.delenv(variable, raising=False)
    args = arguments(site)
    del args["password"]
    said = "source pvc.cluster.events, password: it is missing; give it, or set the environment variable PVC_PASSWORD"
    assert refused(args) == said


def test_a_wrong_password_and_an_unreachable_server_are_told_apart(site: Site, state: Path) -> None:
    path = state / "cursor.json"
    said = refused(arguments(site, password="wrong", state_file=str(path)))
    assert said.startswith(
        f"password: the store refuses user pvc access to {site.root}/schema; check username and password"
    )
    said = refused(arguments(site, hosts=["127.0.0.1:1"], connect_timeout=1, state_file=str(path)))
    assert said.startswith("hosts: no ZooKeeper server lets us in within 1 s: 127.0.0.1:1: connection refused")
    said = refused(arguments(site, root=f"{site.root}/nodes", state_file=str(path)))
    assert said.startswith("root: the store holds no cluster")
    assert not path.exists()


def test_a_state_file_that_is_not_ours_is_refused_and_kept(site: Site, state: Path) -> None:
    path = state / "cursor.json"
    for text, said in (
        ("{", "it holds no cursor of events: no JSON"),
        ('{"cluster": "other"}', "it belongs to the cluster with id other, but the store holds lab"),
        ('{"cluster": "other", "zxid": "many"}', "it holds no cursor of events: zxid is str, not int"),
    ):
        path.write_text(text)
        assert refused(arguments(site, state_file=str(path))).startswith(f"file {path}, state_file: {said}")
        assert path.read_text() == text
    said = refused(arguments(site, state_file=str(state / "nowhere" / "cursor.json")))
    assert said.endswith(
        "it cannot be written: No such file or directory; name a file in a directory that exists and may be written"
    )
    said = refused(arguments(site, state_file=str(state)))
    assert "state_file: it cannot be read: Is a directory" in said


def test_events_come_as_they_are_documented_and_only_those_that_are_wanted(
    site: Site, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.cluster.apply(request("web1"))
    for variable, value in site.environment.items():
        monkeypatch.setenv(variable, value)

    async def test(queue: asyncio.Queue[Any]) -> Any:
        await began(state / "cursor.json")
        site.cluster.apply(request("web2"))
        move(site, "web1")
        return await queue.get()

    # everything else comes from the environment
    event = run({"types": "vm_moved, fenced", "state_file": str(state / "cursor.json")}, test)
    uuid = site.cluster.vm("web1").uuid
    fields = {"id", "type", "zxid", "kind", "name", "node", "at", "sentence", "details", "cluster", "meta"}
    assert event.keys() == fields
    assert re.fullmatch(rf"vm_moved:{uuid}:[0-9]+:2", event["id"])
    assert (event["kind"], event["name"], event["cluster"]) == ("vm", "web1", "lab")
    assert json.loads(json.dumps(event)) == event


def test_a_source_that_ends_in_the_middle_of_a_batch_goes_on_there(site: Site, state: Path) -> None:
    names = ["web1", "web2", "web3"]
    site.cluster.apply(*map(request, names))
    path = state / "cursor.json"
    args = arguments(site, types=["vm_moved"], state_file=str(path))

    async def begin(_queue: asyncio.Queue[Any]) -> None:
        await began(path)

    async def one(queue: asyncio.Queue[Any]) -> Any:
        event = await queue.get()
        # the next one is in the queue, and counts as told; the third waits for room in it
        while len(json.loads(path.read_text()).get("told", ())) < 2:
            await asyncio.sleep(0.01)
        return event["name"]

    async def rest(queue: asyncio.Queue[Any]) -> Any:
        event = await queue.get()
        while "told" in json.loads(path.read_text()):
            await asyncio.sleep(0.01)
        return event["name"], queue.qsize()

    run(args, begin)
    for name in names:
        move(site, name)
    assert run(args, one) == names[0]
    assert run(args, rest) == (names[2], 0)


def test_events_are_told_while_the_file_is_written(site: Site, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["web1", "web2", "web3"]
    site.cluster.apply(*map(request, names))
    path = state / "cursor.json"
    args = arguments(site, types=["vm_moved"], state_file=str(path))

    async def begin(_queue: asyncio.Queue[Any]) -> None:
        await began(path)

    run(args, begin)
    for name in names:
        move(site, name)
    save = MODULE["cursor_file"].save_cursor
    go_on = threading.Event()
    saved: list[int] = []

    def slowly(file: Path, cursor: Any) -> None:
        saved.append(len(cursor.told))
        assert threading.current_thread() is not threading.main_thread(), "the event loop waits for the disk"
        assert go_on.wait(PATIENCE)
        save(file, cursor)

    monkeypatch.setattr(MODULE["cursor_file"], "save_cursor", slowly)

    async def test(queue: asyncio.Queue[Any]) -> list[str]:
        try:
            return [(await queue.get())["name"] for _name in names]
        finally:
            go_on.set()

    assert run(args, test) == names
    # what was told during one write is in the next, and that one is not missed when the source is stopped
    assert saved == [1, 0]
    assert "told" not in json.loads(path.read_text())


def test_with_persistence_an_event_counts_once_the_engine_has_it(site: Site, state: Path) -> None:
    path = state / "cursor.json"
    args = arguments(site, types=["vm_moved"], state_file=str(path), feedback=True)
    site.cluster.apply(request("web1"))
    answers: list[Any] = []

    class Feedback:
        async def get(self) -> None:
            answers.append(json.loads(path.read_text())["vms"])
            await asyncio.Event().wait()

    async def test(queue: asyncio.Queue[Any]) -> Any:
        await began(path)
        move(site, "web1")
        event = await queue.get()
        while not answers:
            await asyncio.sleep(0.01)
        return event["id"]

    first = run(args, test, Feedback())
    # it was never answered: the next one begins with it

    async def again(queue: asyncio.Queue[Any]) -> Any:
        return (await queue.get())["id"]

    assert run(args, again) == first


def test_a_user_who_may_only_read_is_enough(site: Site, state: Path) -> None:
    site.cluster.apply(request("web1"))
    client = KazooClient(hosts=site.options["hosts"][0], auth_data=[("digest", f"pvc:{PASSWORD}")])
    client.start()
    acl = [make_digest_acl("pvc", PASSWORD, all=True), make_digest_acl("reader", "eyes only", read=True)]
    todo = [site.root]
    while todo:
        path = todo.pop()
        client.set_acls(path, acl)
        todo += [f"{path}/{name}" for name in client.get_children(path)]
    client.stop()
    client.close()

    async def test(queue: asyncio.Queue[Any]) -> Any:
        return (await queue.get())["type"]

    assert run(arguments(site, username="reader", password="eyes only", since=0, types=["commit"]), test) == "commit"


HARMLESS = MODULE["_harmless"]
PIPE = "lookup('pipe', 'echo run')"
#: Says to Ansible that other marks than its own make the rest of the text a template.
HEADER = "#jinja2:variable_start_string:'[[',variable_end_string:']]'\n"
TEMPLATES = [
    "{{ 1 }}",
    f"{{{{{{ {PIPE} }}}}}}",
    f"{{{{{{{{ {PIPE} }}}}}}}}",
    f"{{%{{{{ {PIPE} }}}}",
    "{{% if true %}a{% endif %}",
    f"{{#{{#}}{{{{ {PIPE} }}}}",
    f"{HEADER}[[ {PIPE} ]]",
]


def templated(text: str) -> Any:
    """What Ansible makes of a text that it trusts, as it trusts files of variables."""
    return Templar(DataLoader()).template(trust_as_template(text))


@pytest.mark.parametrize("text", TEMPLATES)
def test_what_others_have_written_is_no_template(text: str) -> None:
    harmless = HARMLESS({text: [text, {"why": (text,)}]})
    (key,) = harmless
    assert harmless == {key: [key, {"why": [key]}]}
    assert templated(key) == key
    assert key.replace(" ", "") == text.replace(" ", "")


@given(st.text("{%#} a"))
def test_no_mark_of_a_template_is_left(text: str) -> None:
    assert not re.search(r"\{[{%#]", HARMLESS(text))


def test_the_documentation_names_what_there_is() -> None:
    known = {**MODULE["_CONNECTION"], **MODULE["_OWN"]}
    assert list(OPTIONS) == list(known)
    assert OPTIONS["types"]["choices"] == list(TYPES)
    fragment = runpy.run_path(str(EDA.parents[1] / "plugins" / "doc_fragments" / "connection.py"))
    shared = yaml.safe_load(fragment["ModuleDocFragment"].DOCUMENTATION)["options"]
    for name in MODULE["_CONNECTION"]:
        same = {key: value for key, value in shared[name].items() if key != "description"}
        assert {key: value for key, value in OPTIONS[name].items() if key != "description"} == same


RULEBOOKS = {
    **{path.name: path.read_text() for path in sorted((EDA / "rulebooks").glob("*.yml"))},
    "EXAMPLES": MODULE["EXAMPLES"],
}


@pytest.mark.parametrize("name", RULEBOOKS)
def test_a_rulebook_is_one(name: str) -> None:
    data = yaml.safe_load(RULEBOOKS[name])
    Validate.rulebook(data)
    for ruleset in rules_parser.parse_rule_sets(data, {}):
        for source in ruleset.sources:
            assert source.source_name == "pvc.cluster.events"
            assert set(source.source_args) <= set(OPTIONS)
            assert set(source.source_args.get("types", ())) <= set(TYPES)
