# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The domains of this node, through libvirt.

Three kinds of threads: libvirt's event loop, which only queues; one observer, which connects, looks at domains and
posts what it saw, so that events come in the order of what they tell; and the callers' own, which start and stop
domains.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import libvirt

from pvc_state.records import Migration, Vm

from . import ceph_conf, host, libvirt_log
from .config import CephConfig, LibvirtConfig
from .domain_xml import Machine, domain_xml
from .env import EffectFailed, NotAnswering, Post
from .events import DomainGone, DomainSeen, HypervisorDown, HypervisorUp
from .libvirt_domain import domain_of, domains, failed, text_of
from .libvirt_move import Moves, cancel
from .libvirt_processor import Processors

#: Seconds between two signs of life of libvirtd, and how many may be missing.
_KEEPALIVE = (5, 3)
#: Seconds between two attempts to connect.
_RECONNECT = 2.0
#: Seconds that a caller waits for the observer to have seen what it did.
_OBSERVED_WITHIN = 30.0

_CAUSES = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: "its guest powered itself off",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: "it was destroyed by somebody else than the agent",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: "its guest crashed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: "its QEMU died",
}


@dataclass(frozen=True)
class _Look:
    """A request to look at one domain and to post what is seen; ``seen`` is set when it has been posted."""

    vm: str
    uuid: str
    cause: str = "it ended"
    seen: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class _Closed:
    """A connection to libvirt has ended."""

    connection: Any


class LibvirtHypervisor:
    """libvirt on this node."""

    def __init__(self, libvirt_config: LibvirtConfig, ceph_config: CephConfig, post: Post) -> None:
        self._config = libvirt_config
        self._ceph = ceph_config
        self._post = post
        self._requests: SimpleQueue[_Look | _Closed] = SimpleQueue()
        self._connection: Any = None
        self._processors = Processors(libvirt_config)
        self._moves = Moves()

    def begin(self) -> None:
        """Start the threads. Only once in a process: libvirt's event loop cannot be replaced."""
        # errors are raised as exceptions; the library need not print them as well
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=self._run_event_loop, name="libvirt-events", daemon=True).start()
        threading.Thread(target=self._observe, name="libvirt-observer", daemon=True).start()

    # --- effects, in the callers' threads ---------------------------------------------------------------------------

    def start(self, vm: str, record: Vm, epoch: int) -> None:
        connection = self._connected()
        self._check_surroundings(record)
        machine = Machine(
            domain_type=self._processors.domain_type(connection),
            machine=self._config.machine,
            cpu_model=self._processors.default(connection),
            monitors=ceph_conf.monitors(Path(self._ceph.conf)) if record.disks else (),
            ceph_user=self._ceph.user,
            ceph_secret=self._ceph.secret_uuid,
        )
        try:
            connection.createXML(domain_xml(vm, record, epoch, machine), libvirt.VIR_DOMAIN_START_VALIDATE)
        except libvirt.libvirtError as err:
            raise failed(connection, "start it", err) from err
        finally:
            self._look(vm, record.uuid)

    def shutdown(self, vm: str, uuid: str) -> None:
        # the button first; the guest's own agent would need a channel that no domain has
        self._do(vm, uuid, "ask its guest to power off", lambda domain: domain.shutdownFlags(0))

    def destroy(self, vm: str, uuid: str) -> None:
        self._do(vm, uuid, "destroy it", lambda domain: domain.destroyFlags(0))

    def resume(self, vm: str, uuid: str) -> str:
        return self._do(vm, uuid, "resume it", self._moves.resume) or ""

    def migrate(self, vm: str, uuid: str, to: str, epoch: int, how: Migration) -> None:
        connection = self._connected()
        try:
            self._moves.send(connection.lookupByUUIDString(uuid), to, epoch, how)
        except libvirt.libvirtError as err:
            raise failed(connection, f"move it to {to}", err) from err
        finally:
            self._look(vm, uuid)

    def cancel_move(self, vm: str, uuid: str) -> None:
        self._do(vm, uuid, "call its move off", cancel)

    def _do(self, vm: str, uuid: str, what: str, call: Any) -> Any:
        connection = self._connected()
        try:
            return call(connection.lookupByUUIDString(uuid))
        except libvirt.libvirtError as err:
            if err.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                raise failed(connection, what, err) from err
            return None
        finally:
            self._look(vm, uuid)

    def _look(self, vm: str, uuid: str) -> None:
        look = _Look(vm, uuid)
        self._requests.put(look)
        look.seen.wait(_OBSERVED_WITHIN)

    def _connected(self) -> Any:
        connection = self._connection
        if connection is None:
            raise NotAnswering("libvirt does not answer")
        return connection

    def _check_surroundings(self, record: Vm) -> None:
        """What libvirt would only complain of in its own words, or in QEMU's."""
        present = host.bridges()
        for nic in record.nics:
            if nic.bridge not in present:
                known = ", ".join(present) or "none"
                raise EffectFailed(f"bridge {nic.bridge} does not exist on this node (there are: {known})")
        for option in ("kernel", "initrd"):
            file = getattr(record.boot, option)
            if file and not Path(file).is_file():
                raise EffectFailed(f"{option} {file} does not exist on this node: put it there, or boot from a disk")

    # --- the event loop -----------------------------------------------------------------------------------------------

    def _run_event_loop(self) -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    def _on_lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        cause = "it ended"
        if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            cause = _CAUSES.get(detail, "it ended for a reason unknown to the agent")
        self._moves.note(domain.UUIDString(), event, detail)
        self._requests.put(_Look(domain.name(), domain.UUIDString(), cause))

    def _on_io_error(
        self, _connection: Any, domain: Any, _path: str, _alias: str, _action: int, _reason: str, _opaque: Any
    ) -> None:
        self._requests.put(_Look(domain.name(), domain.UUIDString()))

    def _on_reboot(self, _connection: Any, domain: Any, _opaque: Any) -> None:
        self._requests.put(_Look(domain.name(), domain.UUIDString()))

    def _on_close(self, connection: Any, _reason: int, _opaque: Any) -> None:
        self._requests.put(_Closed(connection))

    # --- the observer -------------------------------------------------------------------------------------------------

    def _observe(self) -> None:
        while True:
            try:
                with self._opened() as connection:
                    # the log first: who leaves in between is seen to end
                    left = libvirt_log.left()
                    self._post(HypervisorUp(domains(connection), self._processors.look(connection), left))
                    self._connection = connection
                    self._answer_until_closed(connection)
                reason = "the connection to libvirt has ended"
            except libvirt.libvirtError as err:
                reason = f"libvirt does not answer: {text_of(err)}"
            self._connection = None
            self._processors.forget()
            self._post(HypervisorDown(reason))
            time.sleep(_RECONNECT)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """A connection that tells what happens. It holds on to its callbacks, and so to itself, until they are gone."""
        connection = libvirt.open(self._config.uri)
        callbacks = []
        try:
            connection.setKeepAlive(*_KEEPALIVE)
            connection.registerCloseCallback(self._on_close, None)
            for kind, callback in (
                (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle),
                (libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, self._on_io_error),
                (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._on_reboot),
            ):
                callbacks.append(connection.domainEventRegisterAny(None, kind, callback, None))
            yield connection
        finally:
            for number in callbacks:
                with suppress(libvirt.libvirtError):
                    connection.domainEventDeregisterAny(number)
            with suppress(libvirt.libvirtError):
                connection.unregisterCloseCallback()
            with suppress(libvirt.libvirtError):
                connection.close()

    def _answer_until_closed(self, connection: Any) -> None:
        while True:
            request = self._requests.get()
            if isinstance(request, _Look):
                self._answer(connection, request)
            elif request.connection is connection:
                return

    def _answer(self, connection: Any, request: _Look) -> None:
        try:
            seen = domain_of(connection, request.uuid)
            if seen is None:
                self._post(DomainGone(request.vm, request.cause))
            else:
                self._post(DomainSeen(*seen))
        finally:
            request.seen.set()
