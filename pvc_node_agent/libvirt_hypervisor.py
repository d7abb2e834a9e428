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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import libvirt

from pvc_state.records import Devices, Disk, HostDevice, Migration, Vm

from . import ceph_conf, host, libvirt_guest, libvirt_log
from .config import CephConfig, LibvirtConfig
from .domain_devices import Ceph
from .domain_xml import Machine, domain_xml
from .env import EffectFailed, NotAnswering, Post
from .events import DomainGone, DomainSeen, HypervisorDown, HypervisorUp
from .libvirt_domain import domain_of, domains, failed, mark_of, text_of
from .libvirt_live import LibvirtDomain
from .libvirt_load import usage
from .libvirt_move import Moves, cancel
from .libvirt_pins import Pinning
from .libvirt_processor import Processors
from .live_change import Change
from .load_watch import Used

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
        self._pinning = Pinning()

    def begin(self) -> None:
        """Start the threads. Only once in a process: libvirt's event loop cannot be replaced."""
        # errors are raised as exceptions; the library need not print them as well
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=self._run_event_loop, name="libvirt-events", daemon=True).start()
        threading.Thread(target=self._observe, name="libvirt-observer", daemon=True).start()

    # --- effects, in the callers' threads ---------------------------------------------------------------------------

    def start(self, vm: str, record: Vm, epoch: int, host_devices: tuple[HostDevice, ...] = ()) -> None:
        connection = self._connected()
        self._check_surroundings(record)
        machine = Machine(
            domain_type=self._processors.domain_type(connection),
            machine=self._config.machine,
            cpu_model=self._processors.default(connection),
            ceph=self._ceph_access(record),
            host_devices=host_devices,
        )
        try:
            with self._pinning.starting(connection, vm, record) as (own, shared):
                xml = domain_xml(vm, record, epoch, replace(machine, own=own, shared=shared))
                connection.createXML(xml, libvirt.VIR_DOMAIN_START_VALIDATE)
        except libvirt.libvirtError as err:
            raise failed(connection, "start it", err) from err
        finally:
            self._look(vm, record.uuid)

    def change_hardware(self, vm: str, uuid: str, record: Vm) -> None:
        connection = self._connected()
        try:
            domain = connection.lookupByUUIDString(uuid)
            mark = mark_of(domain)
            if mark is None:
                raise EffectFailed("its domain is not marked as one of this product")
            Change(LibvirtDomain(domain), mark, record, self._ceph_access(record)).carry_out()
        except libvirt.libvirtError as err:
            raise failed(connection, "change it", err) from err
        finally:
            self._look(vm, uuid)

    def forget(self, vm: str, record: Vm) -> None:
        """libvirt removes such files of its own with a domain that is defined, and of no other."""
        connection = self._connected()
        machine = Machine(
            domain_type=self._processors.domain_type(connection),
            machine=self._config.machine,
            cpu_model=self._processors.default(connection),
            ceph=self._ceph_access(Vm(record.uuid, record.memory)),
        )
        bare = replace(record, disks=(), nics=(), xml="", devices=Devices(tpm=True))
        with suppress(libvirt.libvirtError):
            domain = connection.defineXML(domain_xml(vm, bare, 0, machine))
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_TPM)

    def _ceph_access(self, record: Vm) -> Ceph:
        monitors = ceph_conf.monitors(Path(self._ceph.conf)) if record.disks else ()
        return Ceph(monitors, self._ceph.user, self._ceph.secret_uuid)

    def shutdown(self, vm: str, uuid: str) -> None:
        # the button: libvirt would wait a minute for a guest agent that hangs
        button = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        self._do(vm, uuid, "ask its guest to power off", lambda domain: domain.shutdownFlags(button))

    def destroy(self, vm: str, uuid: str) -> None:
        self._do(vm, uuid, "destroy it", lambda domain: domain.destroyFlags(0))

    def resume(self, vm: str, uuid: str) -> str:
        return self._do(vm, uuid, "resume it", self._resume) or ""

    def _resume(self, domain: Any) -> str:
        arrived = self._moves.resume(domain)
        if arrived:
            self._pinning.settle(domain.connect())
        return arrived

    def reset(self, vm: str, uuid: str, serial: int) -> None:
        self._act(vm, uuid, "reset it", lambda domain: libvirt_guest.reset(domain, serial))

    def grow(self, vm: str, uuid: str, disks: Sequence[Disk]) -> None:
        self._act(vm, uuid, "make its disks larger", lambda domain: libvirt_guest.grow(domain, disks))

    def release(self, vm: str, uuid: str) -> None:
        self._act(vm, uuid, "let its guest go", libvirt_guest.release)

    @contextmanager
    def hold(self, vm: str, uuid: str, several: bool) -> Iterator[None]:
        connection = self._connected()
        try:
            with libvirt_guest.held(connection.lookupByUUIDString(uuid), several):
                yield
        except libvirt.libvirtError as err:
            raise failed(connection, "hold its guest still", err) from err
        finally:
            self._look(vm, uuid)

    def _act(self, vm: str, uuid: str, what: str, call: Callable[[Any], None]) -> None:
        """What is refused must not pass for done: only a domain that is gone needs nothing any more."""
        connection = self._connected()
        try:
            call(connection.lookupByUUIDString(uuid))
        except libvirt.libvirtError as err:
            if err.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise failed(connection, what, err) from err
        finally:
            self._look(vm, uuid)

    def migrate(self, vm: str, uuid: str, to: str, address: str, epoch: int, how: Migration) -> str:
        connection = self._connected()
        try:
            return self._moves.send(connection.lookupByUUIDString(uuid), to, address, epoch, how)
        except libvirt.libvirtError as err:
            raise failed(connection, f"move it to {address}", err) from err
        finally:
            self._look(vm, uuid)

    def cancel_move(self, vm: str, uuid: str) -> None:
        self._do(vm, uuid, "call its move off", cancel)

    def used(self) -> Mapping[str, Used]:
        """What each domain has used so far."""
        connection = self._connected()
        try:
            return usage(connection)
        except libvirt.libvirtError as err:
            raise NotAnswering(text_of(err)) from err

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
                    self._pinning.settle(connection)
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
                self._pinning.ended(connection, request.vm)
            else:
                self._post(DomainSeen(*seen))
        finally:
            request.seen.set()
