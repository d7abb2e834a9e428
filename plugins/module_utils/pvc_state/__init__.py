# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state library of a PVC cluster: what the tree holds, how a change is planned, and how it is committed.

Import the module that you need; this package imports nothing by itself, so that what needs no ZooKeeper client never
loads one. The public API, in the order in which one meets it:

``connection``, ``kazoo_store``  how to reach the store: ``Connection``, ``connect()``
``memory_store``   the same store in memory: ``MemoryEnsemble``
``store``          the protocol of both: ``Store``, operations, ``CommitRefused``
``snapshot``       ``load()``: one immutable view of the whole cluster
``requests``       what a user asks for: ``VmRequest``, ``NodeRequest``, ``SettingsRequest``, …, ``UNSET``
``plan_vm``, ``plan_node``, ``plan_settings``   *(snapshot, requests) -> Plan*, pure
``commit``         load, plan, commit; again on a conflict
``wait``, ``wait_node``   until the agents have made it true
``health``         ``judge()``: whether the cluster is healthy, and why not; ``health_view`` shows it
``failover_report``  if a node died now; ``fence_report``: why one was fenced; ``history`` has those that are over
``ha_budget``      how long a failover takes at worst, and what follows from a wish for it
``views``          records as plain dictionaries, for results
``records``, ``codec``, ``paths``   the tree itself
``errors``         every error that the library raises on purpose

The package is shipped twice from the same files: inside the collection and, with the agent, as top-level ``pvc_state``.
So imports within it are relative, and nothing in it imports Ansible or libvirt.
"""

from __future__ import annotations
