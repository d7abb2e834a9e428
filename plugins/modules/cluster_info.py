#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Show whether the cluster is healthy, and why not
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns the health of ZooKeeper, Patroni, Ceph and FRR on all nodes, and of the nodes' agents, with a reason for
    everything that is not as it should be.
  - Each node's agent looks at the services of its own node every few seconds, and publishes what has changed. The module
    concludes from what all of them have published. It contacts no service itself.
  - Of a node whose agent does not run nothing is known. What was seen there last is marked as stale, and the node counts
    as unhealthy.
  - Says loudly when the cluster is in maintenance, and when a node is gone and nothing is done about it.
  - With O(wait_timeout), waits until everything that was asked for is healthy. Use it before and after each step of a
    rolling change.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  services:
    description:
      - Only these. V(agents) stands for the agents of the nodes, for the one that leads, and for nodes that are fenced. V(fence)
        stands for the fence devices of all nodes, as each coordinator can read them.
      - The keys of the others in RV(cluster) are V(null), and they have no influence on RV(cluster.healthy).
    type: list
    elements: str
    choices: [agents, zookeeper, patroni, ceph, frr, fence]
    default: [agents, zookeeper, patroni, ceph, frr, fence]
  nodes:
    description:
      - Only what runs on these nodes, and what concerns the cluster as a whole, such as a leader that is missing. By
        default, all nodes.
      - A node that is not registered counts as unhealthy.
    type: list
    elements: str
  only_unhealthy:
    description: Only show what is not healthy.
    type: bool
    default: false
  wait_timeout:
    description:
      - Wait until everything that was asked for is healthy, for so many seconds, and fail with the reasons when it is
        not by then.
      - By default, the module returns at once whatever it finds, and does not fail.
    type: int
notes:
  - An agent looks every three seconds, and every second while something is not healthy. After restarting a service, wait for
    that service's own sign first, as the roles of this collection do. Then wait for the cluster with this module.
  - While ZooKeeper elects a leader the module waits as long as O(connect_timeout) says. Without a quorum it fails, since
    nothing can be known then.
seealso:
  - module: pvc.cluster.node_info
  - module: pvc.cluster.vm_info
"""

EXAMPLES = r"""
- name: What is wrong in the cluster
  pvc.cluster.cluster_info:
    only_unhealthy: true
  register: info

- name: Say it
  ansible.builtin.debug:
    var: info.cluster.why

- name: Everything is well before the next node is touched
  pvc.cluster.cluster_info:
    wait_timeout: 120

- name: The databases follow their leader
  pvc.cluster.cluster_info:
    services: [patroni]
  register: database
  until: database.cluster.healthy
  retries: 30
  delay: 2

- name: One node has come back with all of its services
  pvc.cluster.cluster_info:
    nodes: [node1]
    wait_timeout: 60
"""

RETURN = r"""
cluster:
  description: The cluster's health, as far as O(services) and O(nodes) ask for it. On failure after O(wait_timeout), too.
  returned: success
  type: dict
  contains:
    healthy:
      description: Whether nothing is wrong.
      type: bool
    why:
      description: What is wrong, one sentence each, with node and service. Empty when it is healthy.
      type: list
      elements: str
      sample: ["ZooKeeper on node2: nothing answers on 127.0.0.1:2181: connection refused (since 2026-01-31T03:00:12Z)"]
    maintenance:
      description: Whether the cluster is in maintenance, in which no node is fenced and no VM recovered. That is no illness.
      type: bool
    leader:
      description: The node whose agent leads. V(null) when none does.
      type: str
    fenced:
      description: The fences that stand, in short. See M(pvc.cluster.fence_info).
      type: list
      elements: dict
      sample:
        - id: node2-7-123456
          node: node2
          sentence: "node2 was fenced at 2026-01-31T03:00:12Z: its session has ended, and it was read powered off by bmc at
            2026-01-31T03:00:15Z. It had no VMs to recover."
          since: "2026-01-31T03:00:12Z"
          state: proven
          why: its session has ended
    nodes:
      description: The nodes by name, each with what is wrong on it.
      type: list
      elements: dict
      sample: [{healthy: true, name: node1, why: []}]
    agents:
      description:
        - The nodes' agents. RV(ignore:alive) is whether the agent has a session with ZooKeeper, RV(ignore:version) what it
          has last reported of itself, and RV(ignore:since) when it started, by its node's clock.
      type: list
      elements: dict
      sample:
        - {alive: true, healthy: true, node: node1, since: "2026-01-31T02:12:44Z", version: 0.1.0, why: ""}
    zookeeper:
      description:
        - The servers. RV(ignore:quorum) is whether a majority of them is known to serve, V(null) when there are none.
          RV(ignore:leader) is V(null) unless exactly one is known to lead.
        - Of each member, RV(ignore:since) is when it came into its state, by its node's clock, and RV(ignore:stale) is
          whether this is only what was seen last.
      type: dict
      sample:
        healthy: true
        leader: node1
        members:
          - healthy: true
            node: node1
            role: leader
            since: "2026-01-31T02:12:44Z"
            stale: false
            state: serving
            why: ""
        quorum: true
        why: []
    patroni:
      description:
        - The members of Patroni. RV(ignore:leader) and RV(ignore:timeline) are V(null) unless exactly one is known to lead.
        - RV(ignore:lag) is in bytes, and coarse. It is 0 below 1 MiB, else a power of two that the lag has reached. It is
          V(null) for the leader, and when it is not known.
      type: dict
      sample:
        healthy: true
        leader: node2
        members:
          - healthy: true
            lag: 0
            node: node1
            paused: false
            pending_restart: false
            role: replica
            since: "2026-01-31T02:12:44Z"
            stale: false
            state: streaming
            system: "7571234567890123456"
            timeline: 3
            why: ""
        timeline: 3
        why: []
    ceph:
      description:
        - The daemons of Ceph. RV(ignore:leader) is the node of the monitor that leads, and RV(ignore:summary) what that
          monitor has counted. They are V(null) when it is not known which one leads.
        - Healthy means that all monitors are in the quorum, a manager is active, all OSDs are up, and all placement groups
          are active and clean. Ceph's own warnings about other matters do not count.
      type: dict
      sample:
        daemons:
          - healthy: true
            name: mon.node1
            node: node1
            role: leader
            since: "2026-01-31T02:12:44Z"
            stale: false
            state: in quorum
            why: ""
        healthy: true
        leader: node1
        summary:
          monitors: 3
          monitors_in_quorum: 3
          objects_unfound: 0
          osds: 3
          osds_in: 3
          osds_up: 3
          pgs: 32
          pgs_active_clean: 32
        why: []
    fence:
      description:
        - The fence devices of all nodes, once for each coordinator that reads them. RV(ignore:name) is the device's node and name,
          and RV(ignore:node) the coordinator.
      type: dict
      sample:
        devices:
          - healthy: true
            name: node2/bmc
            node: node1
            role: ""
            since: "2026-01-31T02:12:44Z"
            stale: false
            state: answers
            why: ""
        healthy: true
        why: []
    frr:
      description: The BGP neighbours that each node sees.
      type: dict
      sample:
        healthy: true
        nodes:
          - healthy: true
            neighbours:
              - address: 10.0.1.12
                healthy: true
                node: node1
                role: ""
                since: "2026-01-31T02:12:44Z"
                stale: false
                state: established
                why: ""
            node: node1
            stale: false
            why: []
        why: []
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import info
from ..module_utils.pvc_state.health import SERVICES, judge
from ..module_utils.pvc_state.health_view import cluster_view
from ..module_utils.pvc_state.records import Schema
from ..module_utils.pvc_state.snapshot import empty, load_leader

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.health import Report
    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    services, nodes = module.params["services"], module.params["nodes"]
    timeout = module.params["wait_timeout"]

    def result(report: Report) -> dict[str, t.Any]:
        return {"changed": False, **info.cluster(report, services, nodes, module.params["only_unhealthy"])}

    snapshot = _module.load(module, store, vms=())
    if snapshot is None:
        return {"changed": False, "cluster": cluster_view(judge(empty(Schema(0, "", "")), ""), services)}
    _module.warn(module, snapshot)
    report = judge(snapshot, load_leader(store))
    if timeout is not None and report.about(services, nodes):
        # imported when it is needed: a call that finds everything well shall be quick
        from ..module_utils.pvc_state.wait import NotHealthy, wait_for_health

        try:
            report = wait_for_health(store, services, nodes, timeout)
        except NotHealthy as err:
            _module.fail(module, err, **result(err.report))
    return result(report)


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            "services": {"type": "list", "elements": "str", "choices": list(SERVICES), "default": list(SERVICES)},
            "nodes": {"type": "list", "elements": "str"},
            "only_unhealthy": {"type": "bool", "default": False},
            "wait_timeout": {"type": "int"},
        }
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
