# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot or none, document) -> Draft*: the plans of all kinds as one, and all that is refused.

Kinds are planned in the order of what rests on what, each on what the ones before it will have made. So one pass sees the
room that new nodes bring, and places new VMs by new rules. What is refused does not stop the others: a draft shows
everything that is wrong at once, but only one with nothing refused can be carried out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .document import Document
from .errors import InvalidRequest, PvcError, Refusals
from .kinds import MARK, NODE, ORDER, RULE, VM, Circumstances, Kind
from .plan import Change, Plan, guard
from .records import SCHEMA_VERSION, Schema
from .snapshot import Snapshot, empty
from .store import Op


@dataclass(frozen=True)
class Wishes:
    """What is to become of what the document does not name.

    Attributes:
        prune: what carries the document's mark and is not in it is deleted. prune_volumes: VMs with their volumes.
        force: as in the modules: do what would leave too little room.
    """

    prune: bool = False
    prune_volumes: bool = False
    force: bool = False


@dataclass(frozen=True)
class Draft:
    """A plan in question.

    Attributes:
        plan: of all that is not refused. refused: why each of the others is.
        before: what it was made on; an empty cluster where there is none yet.
    """

    plan: Plan
    refused: tuple[PvcError, ...]
    before: Snapshot

    def sound(self) -> Plan:
        """The plan, if nothing is refused; raises what is refused."""
        if self.refused:
            raise Refusals(self.refused)
        return self.plan


def plan_document(
    snapshot: Snapshot | None, document: Document, wishes: Wishes = Wishes(), *, supposing: bool = False
) -> Draft:
    """Plan everything that a document asks for.

    Args:
        snapshot: None for a tree that is not initialised yet: the document then needs its ``cluster``, and nodes.
        supposing: it is only looked at: in a tree that is not initialised yet, what needs living nodes counts as possible.
    """
    work = _Work(snapshot, document, wishes, supposing and snapshot is None)
    work.right_cluster()
    for kind in ORDER:
        wanted = work.requests(kind)
        if kind is NODE:
            # A node goes last, once it is known what else goes.
            later = [one for one in wanted if one.state == "absent"]
            wanted = [one for one in wanted if one.state != "absent"]
        work.plan(kind, wanted)
    work.plan(NODE, later)
    return work.draft()


class _Work:
    """A draft in the making."""

    def __init__(self, snapshot: Snapshot | None, document: Document, wishes: Wishes, supposing: bool) -> None:
        self.before = snapshot or empty(Schema(SCHEMA_VERSION, document.cluster, ""))
        self.now = self.before
        self.initial = self.missing = snapshot is None
        self.document = document
        self.wishes = wishes
        self.supposing = supposing
        self.rests_on: list[Op] = []
        self.changes: list[Change] = []
        self.groups: list[tuple[Op, ...]] = []
        self.why: dict[str, str] = {}
        self.refused: list[PvcError] = []

    def right_cluster(self) -> None:
        wanted, found = self.document.cluster, self.before.schema.cluster
        if wanted and not self.missing and wanted != found:
            raise InvalidRequest(
                f"it is for cluster {wanted}, and this is cluster {found}",
                obj="document",
                option="cluster",
                remedy="check hosts and root, or take the document of this cluster",
            )
        if self.missing and not self.document.objects.get(NODE.section):
            raise InvalidRequest(
                "it is missing, and the store holds no cluster yet",
                obj="document",
                option=NODE.section,
                remedy="name the nodes of the cluster to be made, or check hosts and root",
            )
        if self.wishes.prune and not self.document.name:
            raise InvalidRequest(
                "without a name nothing can be told to be its own",
                obj="document",
                option="prune",
                remedy="give the document a name with the key document, apply it once without prune, and then with it",
            )

    def requests(self, kind: Kind) -> list[Any]:
        """What the document asks for of one kind, and what is to go since the document names it no more."""
        named = self.document.objects.get(kind.section, ())
        found = []
        for options in named:
            try:
                found.append(self._request(kind, options))
            except PvcError as err:
                self.refused.append(err)
        if self.wishes.prune and not kind.single:
            names = {options["name"] for options in named}
            gone = [
                name
                for name, view in sorted(kind.views(self.before).items())
                if view["document"] == self.document.name and name not in names
            ]
            volumes = {"delete_volumes": True} if kind is VM and self.wishes.prune_volumes else {}
            found += [kind.request({"name": name, "state": "absent", **volumes}) for name in gone]
        return found

    def _request(self, kind: Kind, options: Mapping[str, Any]) -> Any:
        request = kind.request({key: value for key, value in options.items() if key != MARK})
        if kind.single:
            return request
        name, mine = options["name"], self.document.name
        stored = getattr(self.before, kind.section).get(name)
        owner = stored.value.document if stored is not None and stored.value is not None else ""
        if MARK not in options and owner and mine and owner != mine:
            raise InvalidRequest(
                f"it belongs to the document {owner}",
                obj=kind.called(name),
                option="name",
                remedy=f"change it there, take it out there first, or take it over with {MARK}: {mine}",
            )
        mark = options.get(MARK, mine or None)
        return request if request.state == "absent" or mark is None else dataclasses.replace(request, document=mark)

    def plan(self, kind: Kind, requests: Sequence[Any]) -> None:
        """Plan these requests on what there will be by then; those that are refused are left out."""
        if self.supposing and kind in (RULE, VM):
            self._suppose(kind, requests)
            return
        while requests:
            try:
                plan = kind.plan(self.now, requests, self._about())
            except Refusals as err:
                refused = err.errors
            except PvcError as err:
                refused = (err,)
            else:
                self._take(kind, plan)
                return
            self.refused += refused
            bad = {error.obj for error in refused}
            left = [one for one in requests if not kind.single and kind.called(one.name) not in bad]
            # What cannot be told to be about some of them is about all of them.
            requests = left if len(left) < len(requests) else []

    def _suppose(self, kind: Kind, requests: Sequence[Any]) -> None:
        """What could only be planned with nodes that report what they have."""
        why = "would be created, if the cluster can take it"
        for one in requests:
            if one.state != "absent":
                self.changes.append(Change(kind.name, one.name, None, {"name": one.name}, why))
                self.why[kind.called(one.name)] = why

    def _about(self) -> Circumstances:
        return Circumstances(self.document.cluster, self.wishes.force, self._coming(), self.missing)

    def _coming(self) -> Mapping[str, str | None]:
        found = {}
        for options in self.document.objects.get(VM.section, ()):
            if options["name"] not in self.before.vms and options.get("state") != "absent":
                found[options["name"]] = options.get("node") or None
        return found

    def _take(self, kind: Kind, plan: Plan) -> None:
        common = guard(self.now)
        self.rests_on += [op for op in plan.guard if op not in common]
        self.missing = self.missing and not plan.changed
        self.now = plan.after
        self.changes += plan.changes
        self.groups += plan.groups
        self.why |= {kind.called(name): why for name, why in plan.why.items()}

    def draft(self) -> Draft:
        # A tree that is just being made has no state that others could have changed.
        common = () if self.initial else guard(self.before)
        basis = (*common, *self.rests_on)
        plan = Plan(tuple(self.changes), tuple(self.groups), basis, self.now, MappingProxyType(self.why))
        return Draft(plan, tuple(self.refused), self.before)
