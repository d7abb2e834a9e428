# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays a case: the tree as it was at the begin, then one operation after the other, each at its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pvc_state import codec, paths
from pvc_state.commit import commit, commit_nodes
from pvc_state.errors import InvalidRequest, StoreError
from pvc_state.node_limits import why_down
from pvc_state.placement import Placement
from pvc_state.plan import guard
from pvc_state.plan_move import home_after
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Claim, Disk, Evidence, Fence, Ha, Migration, Node, NodeStatus, Settings, Vm, VmStatus
from pvc_state.requests import NodeRequest, VmRequest
from pvc_state.snapshot import Snapshot, load
from pvc_state.store import Create, Delete, Set
from pvc_state.store import Op as StoreOp
from pvc_state.views import vm_status

from ..answer import GIVEN_UP
from .case import Case, Op, ServiceSpec
from .ceph import SimulatedCephFence
from .chronicle import Chronicle
from .faults import Faults
from .machine import Machine

#: Seconds of a session, as long as the peer waits for a silent node; and how long the case runs on after its last event.
SESSION = 60.0
RUN_ON = 900.0
#: Seconds that a machine takes to boot after a graceful reboot.
BOOT = 20.0
#: Locks of what can be begun anew; any other may protect what is half done.
DYING_LOCKS = ("backup", "mounted")
CLUSTER = "simulated"
#: An id that stays: what is derived from it (ids of VMs) is the same in every run.
CLUSTER_ID = "00000000-0000-4000-8000-000000000001"


class Play(Chronicle):
    """The cluster of a case.

    Attributes:
        refused: commands that were refused, or had nothing to do. removed: VMs that were taken out of management.
    """

    def __init__(self, case: Case) -> None:
        super().__init__(session_timeout=SESSION)
        self.case = case
        self.refused: list[dict[str, str]] = []
        self.removed: dict[str, None] = {}
        self._asked: list[tuple[Op, Callable[[], None]]] = []
        self._moving: dict[str, Op] = {}
        self._build()

    # --- the begin ----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        case = self.case
        requests = [NodeRequest(name, coordinator=True, memory_reserve=0) for name in case.nodes]
        commit_nodes(self.user, lambda snapshot: plan_nodes(snapshot, requests, CLUSTER, CLUSTER_ID))
        settings = Settings(
            shutdown_policy=case.policy.shutdown,
            placement=case.policy.placement,
            session_timeout=SESSION,
        )
        self.user.commit([Create(paths.SETTINGS, codec.encode(settings))])
        for number, rule in enumerate(case.rules):
            self.user.commit([Create(paths.rule(f"rule-{number:03d}"), codec.encode(rule))])
        for name, spec in case.services.items():
            self._add(name, spec)
        for name, node in case.nodes.items():
            machine = self.add_machine(name, powered=False)
            machine.facts = replace(machine.facts, memory=node.memory, cpus=node.cpus)
        self._remember()
        for name, node in case.nodes.items():
            if node.powered:
                self.nodes[name].power_on()
                if not node.connected:
                    self.nodes[name].isolate()
        self.changed()

    def _add(self, name: str, spec: ServiceSpec) -> None:
        number = len(self.faults) + 1
        self.faults[name] = Faults(spec.start_fails, spec.move_fails, spec.stop_fails, spec.faulty_node)
        vm = Vm(
            uuid=f"00000000-0000-4000-8000-{number:012d}",
            memory=spec.memory,
            vcpus=spec.cpus,
            state=spec.wanted,
            disks=(Disk("vms", f"{name}-disk0", 1 << 30),),
            migration=Migration("live" if spec.live else "shutdown"),
            ha=Ha(spec.max_local_restarts, spec.max_moves, failback=spec.failback),
        )
        self.user.commit(
            [
                Create(paths.vm(name), codec.encode(vm)),
                Create(paths.claim(name), codec.encode(Claim(spec.node, 1))),
                Create(paths.assigned(spec.node, name)),
            ]
        )

    def _remember(self) -> None:
        """What an earlier leader had written."""
        stored = self.case.stored
        fenced = {node: "" for node, state in stored.nodes.items() if state == "to_be_fenced"}
        vms: dict[str, dict[str, VmStatus]] = {node: {} for node in stored.nodes}
        for vm, was in stored.services.items():
            spec = self.case.services.get(vm)
            if spec is None:
                continue  # its records were removed meanwhile
            node, state, reason = was.node, was.state, "its node has shut down cleanly"
            if state in ("started", "stopped", "unmanaged"):
                node = spec.node
            elif state == "moving" and spec.node not in (node, was.to):
                # it lies on a node that its move is not about: nobody but a person can say what became of it
                node, state, reason = spec.node, "failed", f"it was to move from {was.node}, and is on {spec.node}"
            tried = was.tried
            if state == "failed":
                reason = f"{GIVEN_UP}: {reason if node != was.node else 'an earlier leader saw it fail'}"
                tried = (*tried, *[node] * (spec.max_moves - len(tried)))
            to = was.to if state == "moving" else ""
            why = "begun by an earlier leader" if to else ""
            self._replace_claim(
                vm, Claim(node, 1, to=to, why=why, home=was.home, tried=tried, generation=1 if tried else 0)
            )
            if state in ("waiting_for_fence", "waiting_for_recovery"):
                fenced[node] = ""
            if state in ("failed", "frozen"):
                vms.setdefault(node, {})[vm] = VmStatus(state, 1, 1, reason)
        for node, state in stored.nodes.items():
            if state == "maintenance":
                self._change_node(node, "maintenance")
        for node in sorted({*vms, *fenced}):
            self._report(self.nodes[node], vms.get(node, {}))
        for node in sorted(fenced):
            self._fence(self.nodes[node])

    def _report(self, machine: Machine, vms: Mapping[str, VmStatus]) -> None:
        """A node has been here before, and has told of itself."""
        facts = machine.facts
        status = NodeStatus(
            facts.agent,
            facts.boot_id,
            memory=facts.memory,
            cpus=facts.cpus,
            pools=facts.pools or (),
            bridges=facts.bridges,
            addresses=facts.addresses,
            vms=vms,
            storage_address=machine.storage_address,
        )
        self.user.commit([Create(paths.status(machine.name), codec.encode(status))])

    def _fence(self, machine: Machine) -> None:
        """An earlier leader has cut a node off, and died before it gave anything of it to others."""
        where = tuple(sorted({machine.address, machine.storage_address}))
        epoch = SimulatedCephFence(self.storage, lambda: True).cut(where)
        fence = Fence(
            f"{machine.name}-0-0",
            "proven",
            "its session had ended under an earlier leader",
            boot_id=machine.boot_id,
            addresses=where,
            evidence=(Evidence("storage_cut", "proven", "an earlier leader had it cut", epoch=epoch),),
            cut=True,
            proven_by="storage_cut",
            epoch=epoch,
        )
        self.user.commit([Create(paths.fence(machine.name), codec.encode(fence))])

    def _replace_claim(self, vm: str, claim: Claim) -> None:
        znode = self.user.get(paths.claim(vm))
        before = self.record(Claim, paths.claim(vm))
        if znode is None or before is None:
            raise InvalidRequest(f"there is no VM {vm}", obj="stored_state_at_start", remedy="declare it")
        ops: list[StoreOp] = [Set(paths.claim(vm), codec.encode(claim), znode.version)]
        old, new = {before.node, before.to} - {""}, {claim.node, claim.to} - {""}
        ops += [Delete(paths.assigned(node, vm), 0) for node in sorted(old - new)]
        ops += [Create(paths.assigned(node, vm)) for node in sorted(new - old)]
        self.user.commit(ops)

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Play all of it."""
        end = RUN_ON
        for op in self.case.events:
            if op.t > self.clock.time:
                self.advance(op.t - self.clock.time)
            end = max(end, op.t + float(op.args.get("seconds", 0) or 0) + RUN_ON)
            self._line("case", " ".join([op.op, *(f"{key}={value}" for key, value in op.args.items())]))
            # what happens at one moment happens at once: nobody acts in between
            getattr(self, f"_do_{op.op}")(op)
        self.advance(end - self.clock.time)

    def settle(self) -> None:
        super().settle()
        while self._asked and not self.is_down:
            asked, self._asked = self._asked, []
            for op, do in asked:
                self._attempt(op, do)
            super().settle()

    def recovered(self, vm: str) -> None:
        if self.faults[vm].lock in DYING_LOCKS:
            # whoever held it died with the node
            self.faults[vm].lock = ""

    # --- operations on machines ---------------------------------------------------------------------------------------

    def _do_node_power_on(self, op: Op) -> None:
        machine = self.nodes[op.node]
        machine.manager = True
        if machine.powered:
            # whoever cuts nodes off by a reset would have found it off: its network comes with its power
            machine.reconnect()
        machine.power_on()

    def _do_node_power_cut(self, op: Op) -> None:
        self._off(self.nodes[op.node], "power_cut")

    def _off(self, machine: Machine, how: str) -> None:
        if machine.powered:
            lost = sorted(machine.running)
            machine.power_cut()
            self.tell("node_down", node=machine.name, how=how, vms_lost=lost)

    def _do_node_isolate(self, op: Op) -> None:
        self.nodes[op.node].isolate()
        self.tell("node_down", node=op.node, how="isolated", vms_lost=[])

    def _do_node_reconnect(self, op: Op) -> None:
        self.nodes[op.node].reconnect()

    def _do_node_graceful_reboot(self, op: Op) -> None:
        self.nodes[op.node].leave(reboot=True)

    def _do_node_graceful_shutdown(self, op: Op) -> None:
        self.nodes[op.node].leave(reboot=False)

    def left(self, machine: Machine, *, reboot: bool) -> None:
        self._off(machine, "graceful_reboot" if reboot else "graceful_shutdown")
        if reboot:
            self.after(BOOT, machine.power_on)

    def _do_agent_restart(self, op: Op) -> None:
        machine = self.nodes[op.node]
        if machine.powered:
            machine.restart_agent()

    def _do_manager_stop(self, op: Op) -> None:
        self.nodes[op.node].stop_leading()

    def _do_manager_start(self, op: Op) -> None:
        self.nodes[op.node].start_leading()

    def _do_set_software_version(self, op: Op) -> None:
        self.nodes[op.node].install(str(op.args["version"]))

    def _do_state_store_fault(self, op: Op) -> None:
        self.nodes[op.node].store_faulty = True

    def _do_state_store_ok(self, op: Op) -> None:
        self.nodes[op.node].store_faulty = False

    def _do_pause(self, op: Op) -> None:
        """Time passes by itself."""

    def _do_wait(self, op: Op) -> None:
        """Time passes by itself."""

    def _do_set_load(self, op: Op) -> None:
        """No placement that is supported looks at it."""

    # --- what users ask for -------------------------------------------------------------------------------------------

    def _ask(self, op: Op, do: Callable[[], None]) -> None:
        """As soon as the store answers."""
        self._asked.append((op, do))

    def _attempt(self, op: Op, do: Callable[[], None]) -> None:
        try:
            do()
        except InvalidRequest as err:
            self._refuse(op, str(err))
        except StoreError:
            self._asked.append((op, do))

    def _refuse(self, op: Op, why: str) -> None:
        subject = {key: str(op.args[key]) for key in ("service", "node") if key in op.args}
        if "service" in subject:
            subject.pop("node", None)
        self.refused.append({"cmd": op.op, **subject})
        self.tell("refused", cmd=op.op, **subject, why=why)

    def _snapshot(self) -> Snapshot:
        return load(self.user)

    def _do_maintenance_on(self, op: Op) -> None:
        self._ask(op, lambda: self._change_node(op.node, "maintenance"))

    def _do_maintenance_off(self, op: Op) -> None:
        self._ask(op, lambda: self._change_node(op.node, "ready"))

    def _change_node(self, name: str, state: str) -> None:
        snapshot = self._snapshot()
        stored = snapshot.nodes[name]
        node = stored.value or Node()
        if node.state == state:
            raise InvalidRequest(f"it is {state} already", obj=f"node {name}", remedy="nothing is to be done")
        down = why_down(snapshot, name) if self.nodes[name].boots > 1 else ""
        if down and state == "maintenance":
            raise InvalidRequest(f"it {down}", obj=f"node {name}", remedy="there is nothing to be moved from it")
        changed = replace(node, state=state, generation=node.generation + 1)
        self.user.commit([*guard(snapshot), Set(paths.node(name), codec.encode(changed), stored.version)])

    def _do_set_wanted_state(self, op: Op) -> None:
        self._ask(op, lambda: self._want(op.service, str(op.args["state"])))

    def _want(self, vm: str, state: str, **options: Any) -> None:
        if vm not in self._snapshot().vms or vm in self.removed:
            raise InvalidRequest("there is no such VM", obj=f"vm {vm}", remedy="add it first")
        commit(self.user, lambda snapshot: plan_vms(snapshot, [VmRequest(vm, state=state, **options)]))

    def _do_stop(self, op: Op) -> None:
        self._ask(op, lambda: self._stop(op))

    def _stop(self, op: Op) -> None:
        if self.place(op.service) is None:
            raise InvalidRequest("it does not run", obj=f"vm {op.service}", remedy="nothing is to be stopped")
        timeout = op.args.get("timeout")
        options = {} if timeout is None else {"shutdown_timeout": max(1, int(timeout))}
        self._want(op.service, "stopped", **options)

    def _do_service_add(self, op: Op) -> None:
        self._ask(op, lambda: self._add_service(op))

    def _add_service(self, op: Op) -> None:
        spec: ServiceSpec = op.args["spec"]
        if op.service in self.removed:
            del self.removed[op.service]
            self._want(op.service, spec.wanted)
        elif op.service in self._snapshot().vms:
            raise InvalidRequest("there is such a VM", obj=f"vm {op.service}", remedy="name another one")
        else:
            self._add(op.service, spec)
            if spec.running:
                self.nodes[spec.node].adopt(op.service)

    def _do_service_remove(self, op: Op) -> None:
        self._ask(op, lambda: self._remove(op.service))

    def _remove(self, vm: str) -> None:
        self._want(vm, "ignored")
        self.removed[vm] = None

    def _do_vm_lock(self, op: Op) -> None:
        if op.service in self.faults:
            self.faults[op.service].lock = str(op.args.get("lock") or "backup")
        else:
            self._refuse(op, "there is no such VM")

    def _do_vm_unlock(self, op: Op) -> None:
        lock = self.faults[op.service].lock if op.service in self.faults else ""
        if lock and op.args.get("lock") in (None, lock):
            self.faults[op.service].lock = ""
        else:
            self._refuse(op, f"its lock is {lock}" if lock else "it is not locked")

    def _do_move_live(self, op: Op) -> None:
        self._ask(op, lambda: self._move(op, cold=False))

    def _do_move_cold(self, op: Op) -> None:
        self._ask(op, lambda: self._move(op, cold=True))

    def _do_move_outside_ha(self, op: Op) -> None:
        self._ask(op, lambda: self._move_by_hand(op) if self._unmanaged(op.service) else self._move(op, cold=False))

    def _unmanaged(self, vm: str) -> bool:
        stored = self._snapshot().vms.get(vm)
        return vm in self.removed or (
            stored is not None and stored.value is not None and stored.value.state == "ignored"
        )

    def _move_by_hand(self, op: Op) -> None:
        """A person moves a VM that nobody manages, and its claim with it; its guest runs on."""
        vm, to = op.service, str(op.args["to"])
        snapshot = self._snapshot()
        stored, down = snapshot.claims[vm], why_down(snapshot, to)
        claim = stored.value
        if claim is None or claim.node == to or down:
            raise InvalidRequest(f"{to} {down or 'has it'}", obj=f"vm {vm}", remedy="name another node")
        moved = replace(claim, node=to, epoch=claim.epoch + 1)
        self.user.commit(
            [
                *guard(snapshot),
                Set(paths.claim(vm), codec.encode(moved), stored.version),
                Delete(paths.assigned(claim.node, vm), 0),
                Create(paths.assigned(to, vm)),
            ]
        )
        self.nodes[claim.node].release(vm, self.nodes[to])

    def _move(self, op: Op, *, cold: bool) -> None:
        """As a user asks for it: the claim says where, and that of those that are kept together with the VM."""
        vm, to, snapshot = op.service, str(op.args["to"]), self._snapshot()
        placement = Placement(snapshot)
        group = placement.rules.groups.get(vm)
        names = sorted(name for name in (group.vms if group else {vm}) if name in snapshot.vms)
        if vm not in names or vm in self.removed:
            raise InvalidRequest("there is no such VM", obj=f"vm {vm}", remedy="add it first")
        unit = {name: self._movable(snapshot, name, to) for name in names}
        against = placement.why_not(unit, to)
        if against:
            raise InvalidRequest(f"{to} {against}", obj=f"vm {vm}", remedy="name another node")
        ops: list[StoreOp] = [*guard(snapshot)]
        for name in unit:
            stored = snapshot.claims[name]
            assert stored.value is not None
            claim = replace(
                stored.value, to=to, why="a user wants it there", cold=cold, home=home_after(snapshot, stored.value, to)
            )
            ops.append(Set(paths.claim(name), codec.encode(claim), stored.version))
            ops.append(Create(paths.assigned(to, name)))
        self.user.commit(ops)
        self._moving[vm] = op

    def arrived(self, vm: str) -> None:
        self._moving.pop(vm, None)

    def stays(self, vm: str, why: str) -> None:
        """A move has come to nothing; if a user had asked for it, that is as good as refused."""
        op = self._moving.pop(vm, None)
        if op is not None:
            self._refuse(op, why)

    def _movable(self, snapshot: Snapshot, name: str, to: str) -> Vm:
        record, claim, status = snapshot.vms[name].value, snapshot.claims[name].value, vm_status(snapshot, name)
        assert record is not None
        assert claim is not None
        down = why_down(snapshot, claim.node)
        if record.state == "ignored":
            trouble = "it is not managed"
        elif claim.to:
            trouble = f"it is on its way to {claim.to} already"
        elif claim.node == to:
            trouble = f"it is on {to} already"
        elif down:
            trouble = f"{claim.node} {down}"
        elif status is not None and status.state == "failed":
            trouble = "it has failed, and waits for a person"
        else:
            return record
        raise InvalidRequest(trouble, obj=f"vm {name}", remedy="nothing is to be moved")

    # --- what is to be seen -------------------------------------------------------------------------------------------

    def place(self, vm: str) -> str | None:
        """The node on which a VM runs and can write, that of its claim first; None: it does not run."""
        claim = self.record(Claim, paths.claim(vm))
        places = [name for name, machine in self.nodes.items() if machine.writes(vm) and machine.serves]
        if claim is not None and claim.node in places:
            return str(claim.node)
        return places[0] if places else None
