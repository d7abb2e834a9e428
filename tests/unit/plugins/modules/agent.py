# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node's agent without a hypervisor: what is wanted of its VMs is true at once. It speaks the protocol of claims.
Nobody leads: where a VM that runs is bound to another node, its owner gives it away by itself. A VM that is to move is moved at
once.

It learns of changes by the store's watches, like the real one, so the modules' waiting is tested with the real thing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import decode, encode, stored
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.fence_devices import (
    DECLARATION,
    POWER,
    SERVICE,
    declaration,
)
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.hardware_changes import compare
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import (
    Alive,
    Claim,
    FenceDevice,
    Health,
    Node,
    NodeStatus,
    Service,
    Vm,
    VmStatus,
)
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import (
    CommitRefused,
    Create,
    Delete,
    Op,
    Set,
    Store,
)

SETTLED = {
    "started": "running",
    "stopped": "stopped",
    "disabled": "stopped",
    "ignored": "stopped",
    "absent": "deleting",
}


COUNTED = dict.fromkeys(
    (
        "monitors",
        "monitors_in_quorum",
        "objects_unfound",
        "osds",
        "osds_in",
        "osds_up",
        "pgs",
        "pgs_active_clean",
    ),
    "1",
)


def services(node: str) -> tuple[Service, ...]:
    """What an agent sees of a healthy cluster: node1 leads everything."""
    leads = node == "node1"
    found = [
        Service("zookeeper", "zookeeper", "serving", role="leader" if leads else "follower", since="then"),
        Service("patroni", "patroni", "running" if leads else "streaming", role="leader" if leads else "replica"),
        Service("ceph", f"mon.{node}", "in quorum", role="leader" if leads else "peon"),
        Service("ceph", f"mgr.{node}", "running", role="active" if leads else "standby"),
        Service("frr", "10.0.0.2" if leads else "10.0.0.1", "established"),
    ]
    return (*found, Service("ceph", "cluster", "clean", details=COUNTED)) if leads else tuple(found)


class Agent:
    """Context manager: within it, the node is alive and does what is wanted.

    Args:
        fails: VMs that it cannot start, by name, with the reason that it reports.
        unreadable: fence devices that it cannot use, by name, with the reason that it reports.
        stuck: VMs that it cannot move, by name, with the reason that it reports. Empty: it does not even try.
    """

    def __init__(
        self,
        store: Store,
        node: str,
        status: NodeStatus,
        fails: Mapping[str, str] | None = None,
        unreadable: Mapping[str, str] | None = None,
        stuck: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._node = node
        self._status = status
        self._fails = fails or {}
        self._unreadable = unreadable or {}
        self._stuck = stuck or {}
        self._built: dict[str, Vm] = {}
        self._read: tuple[Service, ...] = ()
        self._wake = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run, name=f"agent of {node}")
        self._error: Exception | None = None

    def __enter__(self) -> Agent:
        status = paths.status(self._node)
        health = paths.health(self._node)
        seen = Health("instance", "then", services(self._node))
        writes = [
            Set(path, encode(record), old.version) if old else Create(path, encode(record))
            for path, record in ((status, self._status), (health, seen))
            for old in [self._store.get(path)]
        ]
        alive = Create(paths.alive(self._node), encode(Alive(self._status.boot_id, "instance")), ephemeral=True)
        self._store.commit([*writes, alive])
        self._step()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        self._stop = True
        self._wake.set()
        self._thread.join()
        self._store.close()
        if self._error and err is None:
            raise self._error

    def _run(self) -> None:
        while not self._stop:
            self._wake.wait()
            self._wake.clear()
            try:
                if not self._stop:
                    self._step()
            except Exception as err:  # raised again in the test's own thread
                self._error = err
                return

    def _changed(self, _path: str) -> None:
        self._wake.set()

    def _step(self) -> None:
        """Look at all VMs of the node and do what they need; again at once when somebody was faster."""
        vms = {}
        for name in self._store.children(paths.assigned(self._node), self._changed) or []:
            observed = self._make_true(name)
            if observed:
                vms[name] = observed
        if vms != dict(self._status.vms):
            self._status = replace(self._status, vms=vms)
            znode = self._store.get(paths.status(self._node))
            assert znode is not None
            self._store.commit([Set(paths.status(self._node), encode(self._status), znode.version)])

        self._read_devices()

    def _read_devices(self) -> None:
        """A coordinator reads every fence device of the cluster, and tells of it."""
        names = self._store.children(paths.NODES, self._changed) or []
        znodes = {name: self._store.get(paths.node(name), self._changed) for name in names}
        records = {name: node for name, znode in znodes.items() if znode and (node := stored(Node, znode).value)}
        if self._node not in records or not records[self._node].coordinator:
            return
        read = tuple(self._device(name, device) for name, node in records.items() for device in node.fence)
        znode = self._store.get(paths.health(self._node))
        if read != self._read and znode is not None:
            self._read = read
            seen = Health("instance", "then", (*services(self._node), *read))
            self._store.commit([Set(paths.health(self._node), encode(seen), znode.version)])

    def _device(self, node: str, device: FenceDevice) -> Service:
        why = self._unreadable.get(device.name, "")
        details = {DECLARATION: declaration(device), POWER: "on"}
        return Service(
            SERVICE, f"{node}/{device.name}", "no answer" if why else "answers", "", not why, why, "then", details
        )

    def _make_true(self, name: str) -> VmStatus | None:
        vm_znode = self._store.get(paths.vm(name), self._changed)
        claim_znode = self._store.get(paths.claim(name), self._changed)
        if not vm_znode or not claim_znode or not (vm := stored(Vm, vm_znode).value):
            return None
        claim = decode(Claim, claim_znode.data)
        if claim.node != self._node:
            return None
        assigned = Delete(paths.assigned(self._node, name), 0)
        if vm.state == "absent":
            self._commit(
                Delete(paths.vm(name), vm_znode.version), Delete(paths.claim(name), claim_znode.version), assigned
            )
            return None
        if vm.node not in (None, self._node):
            mine = Claim(vm.node, claim.epoch + 1)
            handed = Create(paths.assigned(vm.node, name))
            self._commit(Set(paths.claim(name), encode(mine), claim_znode.version), assigned, handed)
            return None
        if name in self._fails:
            return VmStatus("failed", claim.epoch, vm.generation, self._fails[name])
        refused = claim.to if self._stuck.get(name) else ""
        if claim.to and name not in self._stuck:
            there = replace(claim, node=claim.to, epoch=claim.epoch + 1, to="", why="", cold=False)
            self._commit(Set(paths.claim(name), encode(there), claim_znode.version), assigned)
            return None
        running = vm.state == "started"
        before = self._status.vms.get(name)
        runs = running and before is not None and before.definition > 0
        built = self._built[name] = self._built.get(name, vm) if runs else vm
        later = compare(built, vm).later
        defined = before.definition if runs and before and later else vm.definition
        return VmStatus(
            SETTLED[vm.state],
            claim.epoch,
            vm.generation,
            f"was not moved to {claim.to}: {self._stuck[name]}" if refused else f"{vm.state}, as wanted",
            definition=defined if running else 0,
            pending=later if running else (),
            restart=vm.restart,
            reset=vm.reset,
            snapshots=tuple(one.name for one in vm.snapshots),
            rollback=vm.rollback.serial if vm.rollback else 0,
            refused=refused,
            moved=f"not to {claim.to}: {self._stuck[name]}" if refused else "",
        )

    def _commit(self, *ops: Op) -> None:
        try:
            self._store.commit(ops)
        except CommitRefused:
            self._wake.set()
