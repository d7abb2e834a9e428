# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays a case: the tree as it was at the begin, then one operation after the other, each at its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pvc_state import codec, paths
from pvc_state.commit import commit
from pvc_state.errors import InvalidRequest, StoreError
from pvc_state.node_limits import why_down
from pvc_state.plan import guard
from pvc_state.plan_move import plan_move
from pvc_state.plan_settings import plan_settings
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Claim, Node
from pvc_state.requests import MoveRequest, SettingsRequest, VmRequest
from pvc_state.snapshot import Snapshot, load
from pvc_state.store import Create, Delete, Set
from pvc_state.views import vm_status

from .begin import Begin
from .case import Case, Load, Op, ServiceSpec
from .machine import Machine

#: Seconds that a case runs on after its last event.
RUN_ON = 900.0
#: Seconds that a machine takes to boot after a graceful reboot.
BOOT = 20.0
#: Locks of what can be begun anew; any other may protect what is half done.
DYING_LOCKS = ("backup", "mounted")


class Play(Begin):
    """The cluster of a case.

    Attributes:
        refused: commands that were refused, or had nothing to do. removed: VMs that were taken out of management.
        suspended: what becomes of VMs while HA is suspended, one of SUSPENSIONS; empty: it is not.
    """

    def __init__(self, case: Case) -> None:
        self.refused: list[dict[str, str]] = []
        self.removed: dict[str, None] = {}
        self.suspended = ""
        self._asked: list[tuple[Op, Callable[[], None]]] = []
        self._moving: dict[str, Op] = {}
        super().__init__(case)

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
        if op.service not in self.loads:
            self._refuse(op, "there is no such VM")
            return
        before, load = self.loads[op.service], op.args["load"]
        self.loads[op.service] = Load(
            before.cpus if load.cpus is None else load.cpus, before.memory if load.memory is None else load.memory
        )

    def load_of(self, vm: str) -> tuple[float, int] | None:
        """What is not said of a VM is as much as it has."""
        if self.case.policy.placement != "measured_load":
            return None
        load, record = self.loads.get(vm, Load()), self.desired(vm)[0]
        return (
            float(record.vcpus) if load.cpus is None else load.cpus,
            record.memory if load.memory is None else load.memory,
        )

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

    def _do_ha_suspend(self, op: Op) -> None:
        self._ask(op, lambda: self._suspend(str(op.args.get("mode") or "freeze")))

    def _do_ha_resume(self, op: Op) -> None:
        self._ask(op, lambda: self._suspend(""))

    def _suspend(self, mode: str) -> None:
        """What the peer calls suspending HA is the cluster's maintenance: the leader fences, recovers and moves nothing."""
        done = commit(self.user, lambda snapshot: plan_settings(snapshot, SettingsRequest(maintenance=bool(mode))))
        if not done.plan.changed:
            state = "suspended" if mode else "not suspended"
            raise InvalidRequest(f"it is {state} already", obj="ha", remedy="nothing is to be done")
        self.suspended = mode

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
        """As a user asks for it."""
        vm, to = op.service, str(op.args["to"])
        if vm in self.removed:
            raise InvalidRequest("there is no such VM", obj=f"vm {vm}", remedy="add it first")
        self._refuse_failed(vm)
        request = MoveRequest(vm, to=to, method="cold" if cold else "")
        if not commit(self.user, lambda snapshot: plan_move(snapshot, [request])).plan.changed:
            raise InvalidRequest(f"it is on {to}, or on its way there", obj=f"vm {vm}", remedy="nothing is to be done")
        self._moving[vm] = op

    def _refuse_failed(self, vm: str) -> None:
        status = vm_status(self._snapshot(), vm)
        if status is not None and status.state == "failed":
            raise InvalidRequest("it has failed", obj=f"vm {vm}", remedy="it waits for a person")

    def arrived(self, vm: str) -> None:
        self._moving.pop(vm, None)

    def stays(self, vm: str, why: str) -> None:
        """A move has come to nothing; if a user had asked for it, that is as good as refused."""
        op = self._moving.pop(vm, None)
        if op is not None:
            self._refuse(op, why)

    # --- what is to be seen -------------------------------------------------------------------------------------------

    def place(self, vm: str) -> str | None:
        """The node on which a VM runs and can write, that of its claim first; None: it does not run."""
        claim = self.record(Claim, paths.claim(vm))
        places = [name for name, machine in self.nodes.items() if machine.writes(vm) and machine.serves]
        if claim is not None and claim.node in places:
            return str(claim.node)
        return places[0] if places else None
