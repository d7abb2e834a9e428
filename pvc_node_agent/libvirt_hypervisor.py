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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from xml.etree.ElementTree import fromstring

import libvirt

from pvc_state.records import Disk, Vm

from . import ceph_conf, host, libvirt_guest
from .config import CephConfig, LibvirtConfig
from .domain_xml import Machine, domain_xml, remarked
from .env import EffectFailed, NotAnswering, Post
from .events import DomainGone, DomainSeen, HypervisorDown, HypervisorUp
from .view import Domain, DomainState

#: Seconds between two signs of life of libvirtd, and how many may be missing.
_KEEPALIVE = (5, 3)
#: Seconds between two attempts to connect.
_RECONNECT = 2.0
#: Seconds that a guest may be on its way to another node; then it stays. And between two looks at a move that an agent
#: before this one began.
_MOVED_WITHIN = 600.0
_LOOK_AGAIN = 0.5
#: Seconds that libvirt gets to tell how a domain has ended, and how it tells that it was moved away.
_TOLD_WITHIN = 5.0
_MOVED_AWAY = (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED)
_MOVE = (
    libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_TLS
    | libvirt.VIR_MIGRATE_PAUSED
    | libvirt.VIR_MIGRATE_AUTO_CONVERGE
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
)
#: Seconds that a caller waits for the observer to have seen what it did.
_OBSERVED_WITHIN = 30.0

_CAUSES = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: "its guest powered itself off",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: "it was destroyed by somebody else than the agent",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: "its guest crashed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: "its QEMU died",
}
_STATES = {
    libvirt.VIR_DOMAIN_PAUSED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: DomainState.POWERING_OFF,
    libvirt.VIR_DOMAIN_CRASHED: DomainState.CRASHED,
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
        self._domain_type: str | None = None
        self._moved = threading.Condition()
        self._moved_away: set[str] = set()

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
            domain_type=self._type(connection),
            machine=self._config.machine,
            cpu_model=self._cpu_model(connection),
            monitors=ceph_conf.monitors(Path(self._ceph.conf)) if record.disks else (),
            ceph_user=self._ceph.user,
            ceph_secret=self._ceph.secret_uuid,
        )
        try:
            connection.createXML(domain_xml(vm, record, epoch, machine), libvirt.VIR_DOMAIN_START_VALIDATE)
        except libvirt.libvirtError as err:
            raise _failed(connection, "start it", err) from err
        finally:
            self._look(vm, record.uuid)

    def shutdown(self, vm: str, uuid: str) -> None:
        # the button first; the guest's own agent would need a channel that no domain has
        self._do(vm, uuid, "ask its guest to power off", lambda domain: domain.shutdownFlags(0))

    def destroy(self, vm: str, uuid: str) -> None:
        self._do(vm, uuid, "destroy it", lambda domain: domain.destroyFlags(0))

    def resume(self, vm: str, uuid: str) -> None:
        self._do(vm, uuid, "resume it", _resume)

    def reset(self, vm: str, uuid: str, serial: int) -> None:
        self._do(vm, uuid, "reset it", lambda domain: libvirt_guest.reset(domain, serial))

    def grow(self, vm: str, uuid: str, disks: Sequence[Disk]) -> None:
        self._do(vm, uuid, "make its disks larger", lambda domain: libvirt_guest.grow(domain, disks))

    def release(self, vm: str, uuid: str) -> None:
        self._do(vm, uuid, "let its guest go", libvirt_guest.release)

    @contextmanager
    def hold(self, vm: str, uuid: str, several: bool) -> Iterator[None]:
        connection = self._connected()
        try:
            with libvirt_guest.held(connection.lookupByUUIDString(uuid), several):
                yield
        except libvirt.libvirtError as err:
            raise _failed(connection, "hold its guest still", err) from err
        finally:
            self._look(vm, uuid)

    def migrate(self, vm: str, uuid: str, to: str, epoch: int) -> None:
        """libvirt moves it by itself, from daemon to daemon: that goes on when this agent is restarted meanwhile."""
        connection = self._connected()
        try:
            domain = connection.lookupByUUIDString(uuid)
            if _await_move(domain) and _has_ended(domain):
                self._check_moved(uuid)
                return
            mark = libvirt_guest.mark(domain)
            if mark is None:
                raise EffectFailed("its domain is not marked as one of this product")
            arriving = domain.state()[0] != libvirt.VIR_DOMAIN_PAUSED
            flags = libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE
            there = remarked(domain.XMLDesc(flags), replace(mark, epoch=epoch, arriving=arriving))
            parameters = {libvirt.VIR_MIGRATE_PARAM_DEST_XML: there}
            host = f"[{to}]" if ":" in to else to
            with _bounded(domain):
                domain.migrateToURI3(f"qemu+tls://{host}/system", parameters, _MOVE)
        except libvirt.libvirtError as err:
            raise _failed(connection, f"move it to {to}", err) from err
        finally:
            self._look(vm, uuid)

    def _check_moved(self, uuid: str) -> None:
        """A guest that is gone was moved, says libvirt: it may as well have run on and ended."""
        with self._moved:
            if not self._moved.wait_for(lambda: uuid in self._moved_away, _TOLD_WITHIN):
                raise EffectFailed("its guest ended while it was being moved")

    def _do(self, vm: str, uuid: str, what: str, call: Any) -> None:
        connection = self._connected()
        try:
            call(connection.lookupByUUIDString(uuid))
        except libvirt.libvirtError as err:
            if err.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                raise _failed(connection, what, err) from err
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

    def _type(self, connection: Any) -> str:
        if self._config.domain_type != "auto":
            return self._config.domain_type
        if self._domain_type is None:
            try:
                capabilities = fromstring(connection.getCapabilities())  # noqa: S314 - libvirt's own words
            except libvirt.libvirtError as err:
                raise EffectFailed(f"libvirt does not tell what it can do: {_text(err)}") from err
            offered = {
                domain.get("type")
                for arch in capabilities.iterfind("guest/arch")
                if arch.get("name") == "x86_64"
                for domain in arch.iterfind("domain")
            }
            if not offered:
                raise EffectFailed("libvirt finds no QEMU for x86_64: install qemu-system-x86")
            self._domain_type = "kvm" if "kvm" in offered else "qemu"
        return self._domain_type

    def _cpu_model(self, connection: Any) -> str:
        if self._config.cpu_model != "auto":
            return self._config.cpu_model
        return "host-model" if self._type(connection) == "kvm" else "qemu64"

    # --- the event loop -----------------------------------------------------------------------------------------------

    def _run_event_loop(self) -> None:
        while True:
            libvirt.virEventRunDefaultImpl()

    def _on_lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        cause = "it ended"
        if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            cause = _CAUSES.get(detail, "it ended for a reason unknown to the agent")
        with self._moved:
            if (event, detail) == _MOVED_AWAY:
                self._moved_away.add(domain.UUIDString())
                self._moved.notify_all()
            else:
                self._moved_away.discard(domain.UUIDString())
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
                    self._post(HypervisorUp(_list(connection)))
                    self._connection = connection
                    self._answer_until_closed(connection)
                reason = "the connection to libvirt has ended"
            except libvirt.libvirtError as err:
                reason = f"libvirt does not answer: {_text(err)}"
            self._connection = None
            self._domain_type = None
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
            seen = _domain(connection, request.uuid)
            if seen is None:
                self._post(DomainGone(request.vm, request.cause))
            else:
                self._post(DomainSeen(*seen))
        finally:
            request.seen.set()


def _list(connection: Any) -> dict[str, Domain]:
    """All domains of ours."""
    domains = {}
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        seen = _domain(connection, domain.UUIDString())
        if seen is not None:
            domains[seen[0]] = seen[1]
    return domains


def _domain(connection: Any, uuid: str) -> tuple[str, Domain] | None:
    """The VM and its domain; None when it does not run, or is none of ours."""
    domain = None
    try:
        domain = connection.lookupByUUIDString(uuid)
        mark = libvirt_guest.mark(domain)
        state, reason = domain.state()
    except libvirt.libvirtError as err:
        if err.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN or (domain is not None and _has_ended(domain)):
            return None
        raise
    if mark is None or mark.vm != domain.name() or state == libvirt.VIR_DOMAIN_SHUTOFF:
        return None
    if state == libvirt.VIR_DOMAIN_PAUSED and reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        what = DomainState.IO_ERROR
    elif state == libvirt.VIR_DOMAIN_PAUSED and mark.arriving:
        what = DomainState.ARRIVED
    else:
        what = _STATES.get(state, DomainState.RUNNING)
    return mark.vm, Domain(
        uuid, what, mark.epoch, mark.definition, mark.restart, mark.reset, mark.sizes, held=bool(mark.held)
    )


def _has_ended(domain: Any) -> bool:
    """Whether a domain has ended between two questions: libvirt then answers them with all sorts of errors."""
    try:
        return not domain.isActive()
    except libvirt.libvirtError as err:
        return bool(err.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)


def _resume(domain: Any) -> None:
    """Let it run on. A guest that has been moved here is from now on like any other."""
    mark = libvirt_guest.mark(domain)
    arriving = mark is not None and mark.arriving
    if arriving and _comes_in(domain):
        raise EffectFailed("its guest has not wholly arrived")
    domain.resume()
    if mark is not None and arriving:
        libvirt_guest.set_mark(domain, replace(mark, arriving=False))


def _comes_in(domain: Any) -> bool:
    """Whether a guest is still on its way here: its source may have died meanwhile."""
    try:
        return bool(domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)
    except libvirt.libvirtError as err:
        # so does libvirt answer at the target of a move
        if err.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
            return True
        raise


def _await_move(domain: Any) -> bool:
    """Wait for the end of a move that is under way; returns whether there was one."""
    began = time.monotonic()
    found = False
    while _is_moving(domain):
        found = True
        if time.monotonic() > began + _MOVED_WITHIN:
            domain.abortJob()
            raise EffectFailed(f"libvirt did not move it within {_MOVED_WITHIN:g} s")
        time.sleep(_LOOK_AGAIN)
    return found


def _is_moving(domain: Any) -> bool:
    try:
        kind = domain.jobInfo()[0]
    except libvirt.libvirtError:
        if _has_ended(domain):
            return False
        raise
    return kind in (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)


@contextmanager
def _bounded(domain: Any) -> Iterator[None]:
    """Within it, a move that takes too long is cancelled."""
    late = threading.Event()

    def cancel() -> None:
        late.set()
        with suppress(libvirt.libvirtError):
            domain.abortJob()

    timer = threading.Timer(_MOVED_WITHIN, cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    except libvirt.libvirtError as err:
        if late.is_set():
            raise EffectFailed(f"libvirt did not move it within {_MOVED_WITHIN:g} s") from err
        raise
    finally:
        timer.cancel()


def _failed(connection: Any, what: str, err: libvirt.libvirtError) -> EffectFailed:
    """How to say that libvirt did not do something: whether it is the VM's fault or libvirt's own."""
    try:
        alive = connection.isAlive() == 1
    except libvirt.libvirtError:
        alive = False
    kind = EffectFailed if alive else NotAnswering
    return kind(f"libvirt did not {what}: {_text(err)}")


def _text(err: libvirt.libvirtError) -> str:
    return str(err.get_error_message() or err).strip()
