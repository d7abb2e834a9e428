# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Event source for ansible-rulebook: what happens in a PVC cluster. How it goes on after a restart: ``pvc_state/happenings.py``."""

from __future__ import annotations

import asyncio
import difflib
import importlib.util
import logging
import os
import re
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pvc_state.happening import Cursor, Event

DOCUMENTATION = r"""
---
name: events
short_description: What happens in a PVC cluster
version_added: 0.1.0
author: The PVC cluster authors (@pvc-cluster)
description:
  - Tells of nodes that die, are fenced, recovered and come back, of VMs that move, fail, wait for a node or run otherwise than
    their records say, of services that are not healthy, and of users' commits.
  - Waits on watches of ZooKeeper, and asks for nothing in between. It only reads, so a read-only user is enough.
  - With O(state_file) it goes on after a restart where it ended, and neither loses nor repeats what can still be told.
    See docs/events.md of the collection for each event, and for what is exact.
options:
  hosts:
    description:
      - ZooKeeper servers as V(host:port), usually every coordinator's.
      - When not given, the environment variable E(PVC_HOSTS) is used, with commas between the servers.
    type: list
    elements: str
    required: true
  root:
    description:
      - Path of the cluster's tree in ZooKeeper.
      - When not given, the environment variable E(PVC_ROOT) is used.
    type: str
    default: /pvc
  username:
    description:
      - ZooKeeper user (digest scheme) that may read the tree.
      - When not given, the environment variable E(PVC_USERNAME) is used.
    type: str
    default: pvc
  password:
    description:
      - Password of O(username).
      - When not given, the environment variable E(PVC_PASSWORD) is used.
    type: str
    required: true
  tls:
    description:
      - Whether to encrypt the connection and to verify the servers' certificates.
      - When not given, the environment variable E(PVC_TLS) is used.
    type: bool
    default: true
  ca_file:
    description:
      - PEM file with the certificate of the cluster's CA. By default, the authorities of the operating system are trusted.
      - When not given, the environment variable E(PVC_CA_FILE) is used.
    type: path
  cert_file:
    description:
      - PEM file with the certificate that is shown to the servers. Required when the servers ask for one, as those of this
        collection do.
      - When not given, the environment variable E(PVC_CERT_FILE) is used.
    type: path
  key_file:
    description:
      - PEM file with the key of O(cert_file).
      - When not given, the environment variable E(PVC_KEY_FILE) is used.
    type: path
  connect_timeout:
    description:
      - Seconds to find a server that answers at the beginning. A connection that is lost later is waited for without limit.
      - When not given, the environment variable E(PVC_CONNECT_TIMEOUT) is used.
    type: float
    default: 10
  types:
    description:
      - Only tell of events of these types; of all when not given.
    type: list
    elements: str
    choices: [node_dead, fenced, recovered, node_back, waiting, vm_moved, vm_failed, drift, health, commit]
  state_file:
    description:
      - File that remembers what was told. It is made when there is none, and replaced behind the events that are handed over.
      - Each rulebook needs one of its own.
      - Without it, the source begins anew whenever it is started.
    type: path
  since:
    description:
      - Where to begin while O(state_file) does not exist. Events of this transaction of ZooKeeper (RV(zxid)) and of earlier
        ones are not told; V(0) tells all that the cluster still knows of.
      - By default, only what happens from now on is told.
    type: int
requirements:
  - kazoo >= 2.8
"""

EXAMPLES = r"""
# The connection comes from the environment: PVC_HOSTS, PVC_PASSWORD, PVC_CA_FILE, PVC_CERT_FILE and PVC_KEY_FILE.
- name: Nodes
  hosts: localhost
  sources:
    - name: cluster
      pvc.cluster.events:
        types: [node_dead, recovered]
        state_file: /var/lib/rulebook/nodes.json
  rules:
    - name: A node is gone
      condition: event.type == "node_dead"
      action:
        debug:
          msg: "{{ event.sentence }}"

# All in the rulebook; variables come from --vars or --env-vars.
- name: VMs
  hosts: localhost
  sources:
    - name: cluster
      pvc.cluster.events:
        hosts: [node1.example.com, node2.example.com, node3.example.com]
        username: pvc-read
        password: "{{ pvc_password }}"
        ca_file: /etc/pvc/ca.pem
        cert_file: /etc/pvc/rulebook.pem
        key_file: /etc/pvc/rulebook.key
        types: [vm_failed, vm_moved]
        since: 0
  rules:
    - name: A VM was given up
      condition: event.type == "vm_failed" and event.details.given_up == true
      action:
        print_event:
          pretty: true
"""

LOGGER = logging.getLogger(__name__)

#: The library of this very collection, whatever other release of it the interpreter may know: ansible-rulebook runs this
#: file as a script, and knows nothing of collections.
_LIBRARY = Path(__file__).resolve().parents[4] / "plugins" / "module_utils" / "pvc_state"
_NAME = "_pvc_cluster_events_state"


def _library(module: str) -> Any:
    if _NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            _NAME, _LIBRARY / "__init__.py", submodule_search_locations=[str(_LIBRARY)]
        )
        if spec is None or spec.loader is None:
            raise ImportError(f"the collection is not complete: {_LIBRARY} is missing")
        package = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{_NAME}.{module}")


connection = _library("connection")
cursor_file = _library("cursor_file")
errors = _library("errors")
follow = _library("follow")
happening = _library("happening")
happenings = _library("happenings")
kazoo_store = _library("kazoo_store")


# --- arguments ----------------------------------------------------------------------------------------------------------


def _refused(option: str, problem: str, remedy: str) -> Exception:
    error: Exception = errors.InvalidRequest(problem, obj="source pvc.cluster.events", option=option, remedy=remedy)
    return error


def _text(option: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _refused(option, f"{value!r} is no text", "give a text")
    return value


def _list(option: str, value: Any) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise _refused(option, f"{value!r} is no list of texts", "give a list, or a text with commas")
    return tuple(item.strip() for item in items if item.strip())


def _bool(option: str, value: Any) -> bool:
    word = str(value).lower()
    if word not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        raise _refused(option, f"{value!r} is neither true nor false", "give true or false")
    return word in ("true", "yes", "on", "1")


def _float(option: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise _refused(option, f"{value!r} is no number", "give a number of seconds") from None


def _path(option: str, value: Any) -> str:
    return os.path.expanduser(_text(option, value))


def _number(option: str, value: Any) -> int:
    text = str(value)
    if not text.isdecimal():
        raise _refused(option, f"{value!r} is no transaction", "give the zxid of an event, or 0")
    return int(text)


def _types(option: str, value: Any) -> frozenset[str]:
    wanted = _list(option, value)
    for name in wanted:
        if name not in happening.TYPES:
            near = difflib.get_close_matches(name, happening.TYPES, 1)
            remedy = f"did you mean {near[0]}?" if near else f"give some of {', '.join(happening.TYPES)}"
            raise _refused(option, f"there are no events of type {name}", remedy)
    return frozenset(wanted)


Reader = Callable[[str, Any], Any]

#: What is named as in the modules, and can come from the environment.
_CONNECTION: Mapping[str, Reader] = {
    "hosts": _list,
    "root": _text,
    "username": _text,
    "password": _text,
    "tls": _bool,
    "ca_file": _path,
    "cert_file": _path,
    "key_file": _path,
    "connect_timeout": _float,
}
_OWN: Mapping[str, Reader] = {"types": _types, "state_file": _path, "since": _number}

#: What ansible-rulebook itself reads of a source's arguments, or adds to them.
_FEEDBACK = "eda_feedback_queue"
_RULEBOOK = ("feedback", _FEEDBACK)


def _arguments(args: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """The arguments that were given, each in its type. Raises InvalidRequest for what is not possible."""
    known = {**_CONNECTION, **_OWN}
    for option in args:
        if option not in known and option not in _RULEBOOK:
            near = difflib.get_close_matches(option, known, 1)
            remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise _refused(option, "there is no such option", remedy)
    given = {option: args[option] for option in known if args.get(option) is not None}
    for option in _CONNECTION:
        variable = f"PVC_{option.upper()}"
        if option not in given and environment.get(variable):
            given[option] = environment[variable]
    for option in ("hosts", "password"):
        if not given.get(option):
            raise _refused(option, "it is missing", f"give it, or set the environment variable PVC_{option.upper()}")
    return {option: known[option](option, value) for option, value in given.items()}


# --- the source ---------------------------------------------------------------------------------------------------------


class Source:
    """One run of the source, from its arguments to the queue."""

    def __init__(self, queue: Any, args: Mapping[str, Any]) -> None:
        self._queue = queue
        self._feedback = args.get(_FEEDBACK)
        given = _arguments(args, os.environ)
        options = {name: given[name] for name in _CONNECTION if name in given}
        self._connection = connection.Connection(**{"username": "pvc", **options})
        self._types = given.get("types") or frozenset(happening.TYPES)
        self._file = Path(given["state_file"]) if "state_file" in given else None
        self._memory = _Memory(self._file)
        self._since = given.get("since")

    async def run(self) -> None:
        """Push events until cancelled. Raises PvcError for what waiting does not mend."""
        loop = asyncio.get_running_loop()
        cursor = cursor_file.load_cursor(self._file) if self._file else None
        store = await loop.run_in_executor(None, kazoo_store.connect, self._connection)
        try:
            follower = await loop.run_in_executor(None, self._follower, store, cursor)
            reading = None
            try:
                while True:
                    # nothing is read while the rules are busy: what happens meanwhile is found in the tree afterwards
                    reading = loop.run_in_executor(None, follower.read)
                    batch = await asyncio.shield(reading)
                    if batch is None:
                        return
                    events, after = batch
                    await self._push(cursor or after, events, after, follower.cluster.cluster)
                    cursor = after
            finally:
                follower.stop()
                try:
                    await self._memory.written()
                finally:
                    if reading is not None:
                        # it ends with the call of the store that it is in
                        await asyncio.wait({reading})
        finally:
            store.close()

    def _follower(self, store: Any, cursor: Cursor | None) -> Any:
        try:
            return follow.Follower(store, cursor, self._since, _Trouble())
        except errors.InvalidRequest as err:
            # what the library calls a cursor has another name here
            option = "state_file" if err.obj == "cursor" else err.option
            raise errors.InvalidRequest(
                err.problem, obj=f"file {self._file}", option=option, remedy=err.remedy
            ) from err

    async def _push(self, before: Cursor, events: list[Event], after: Cursor, cluster: str) -> None:
        for event in events:
            if event.type in self._types:
                data: dict[str, Any] = _harmless(happening.event_view(event, cluster))
                await self._put({**data, "meta": {"uuid": _uuid(after.cluster, event)}})
                before = happenings.after_event(before, event)
                self._memory.remember(before)
                if self._feedback is not None:
                    # at most this one comes twice
                    await self._memory.written()
        self._memory.remember(after)
        await self._memory.written()

    async def _put(self, data: dict[str, Any]) -> None:
        await self._queue.put(data)
        if self._feedback is not None:
            # with persistence, the engine says when it has the event in its own store
            await self._feedback.get()


class _Memory:
    """Writes to the state file how far the source has come, beside the event loop: all rules share that, and disks are slow.

    What is told during one write is in the next one, so the file is behind by one write at most.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._next: Cursor | None = None
        self._writing: asyncio.Future[None] | None = None

    def remember(self, told: Cursor) -> None:
        """Have it written, sooner or later."""
        self._next = told
        if self._file is not None and self._writing is None:
            self._writing = asyncio.ensure_future(self._write(self._file))

    async def written(self) -> None:
        """Once the file says all that was told. Raises InvalidRequest when it cannot be written."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def _write(self, file: Path) -> None:
        loop = asyncio.get_running_loop()
        while self._next is not None:
            told, self._next = self._next, None
            await loop.run_in_executor(None, cursor_file.save_cursor, file, told)
        # one that has failed stays, and is told to whoever waits for it
        self._writing = None


class _Trouble:
    """Says once that the store cannot be asked, and that it can again."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        if text and not self._last:
            LOGGER.warning("pvc.cluster.events: %s. It goes on as soon as a server answers.", text)
        elif self._last and not text:
            LOGGER.warning("pvc.cluster.events: a server answers again.")
        self._last = text


def _uuid(cluster: str, event: Event) -> str:
    """The same for the same event, by which ansible-rulebook knows it again."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"pvc:{cluster}:{event.id}"))


#: What makes a text a template, up to where it is broken: ``{{``, ``{%``, ``{#``, and the header that brings marks of its own.
_MARK = re.compile(r"\{(?=[{%#])|#(?=jinja2:)")


def _harmless(value: Any) -> Any:
    """The same, with no text that a template engine would take for a template: actions hand it on to Ansible.

    Some of it was written by others: the author of a commit, a reason that a guest's end gave.
    """
    if isinstance(value, str):
        return _MARK.sub(r"\g<0> ", value)
    if isinstance(value, Mapping):
        return {_harmless(key): _harmless(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_harmless(item) for item in value]
    return value


async def main(queue: Any, args: dict[str, Any]) -> None:
    """Called by ansible-rulebook."""
    await Source(queue, args).run()
