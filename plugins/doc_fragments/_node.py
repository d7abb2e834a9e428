# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""The options that describe nodes; keep in step with ``module_utils/_node.py``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the node, which is its short host name.
      - Exactly one of O(name) and O(nodes) is required.
    type: str
  nodes:
    description:
      - Any number of nodes, each with its name and the same options as a single one.
      - Options given beside O(nodes) are the defaults of all nodes in the list.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the node, which is its short host name.
        type: str
        required: true
      state: &state
        description:
          - V(ready) is for a node that takes VMs. A new node is V(ready) by default. VMs that were moved away from it return.
          - V(drained) moves its VMs away, and none is placed on it. They remember it as their home.
          - V(maintenance) is the same, and once it is empty nobody is worried when it goes down.
          - These three are for a node that is registered. They only register one that is described by other options, too, so that
            a name that is misspelled is an error.
          - To drain the last node that takes VMs is refused while VMs run on it.
          - V(present) registers the node or changes what is registered, and leaves alone which of these it is. It is what
            happens by default.
          - V(absent) removes it. That is refused while it holds the claim of any VM, and while it is fenced without being
            surely off, unless O(declared_dead) vouches for it.
        type: str
        choices: [present, ready, drained, maintenance, absent]
      coordinator: &coordinator
        description: Whether the node runs the quorum services. A new node does not by default.
        type: bool
      memory_reserve: &memory_reserve
        description:
          - Memory that no VM may be given, for the host and its daemons, in MiB or with a unit, such as V(2G).
          - A new node has 1024 MiB by default.
        type: str
      fence: &fence
        description:
          - All devices that can take the node's power, in the order in which they are tried. The default is none.
          - The coordinators' agents use them. The module itself contacts none.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the device, unique within the node.
            type: str
            required: true
          kind:
            description: What the device speaks.
            type: str
            choices: [ipmi, redfish]
            required: true
          address:
            description: Host name or address, with a port where it is not the usual one. For V(redfish) a URL.
            type: str
            required: true
          username:
            description: As whom to log in.
            type: str
            default: ""
          credential:
            description:
              - Name of the file on the coordinators that holds the password. Role P(pvc.cluster.node_agent#role) writes these
                files.
              - The password itself is never a part of the cluster's state, so there is no option for it.
            type: str
            required: true
          options:
            description:
              - What else the kind knows.
              - V(ipmi) knows V(cipher_suite), such as V(17) or V(3), and V(privilege), which is V(OPERATOR) or V(ADMINISTRATOR).
              - V(redfish) knows V(system) where the service has several, V(ca_file) on the coordinators, and V(verify), which is
                V(true) unless you accept that whoever takes the device's address learns the password.
            type: dict
            default: {}
      fence_together: &fence_together
        description:
          - Whether the node is off only when all of its devices say so, as with several power supplies. Otherwise one is enough.
          - The default is V(false).
        type: bool
      devices: &devices
        description:
          - All devices of the node that VMs may have for themselves (O(pvc.cluster.vm#module:devices.host)). The default is none.
          - Whether the machine has them is seen when a VM starts with one. A device that a VM has is not taken away.
        type: list
        elements: dict
        suboptions:
          name:
            description:
              - Name of the device, unique within the node. VMs ask for it by this name, so what is alike on several nodes should have
                the same name on all of them.
            type: str
            required: true
          kind:
            description: How it is connected.
            type: str
            choices: [pci, usb]
            required: true
          address:
            description: With V(pci), its address such as V(0000:65:00.0). With V(usb), its vendor and product such as V(046d:0825).
            type: str
            required: true
      declared_dead: &declared_dead
        description:
          - Vouches that the node is off, so that its VMs may run elsewhere. For a node that is fenced while no other evidence can
            be had.
          - If the node is not off, its VMs will run twice, and destroy their disks. Look at it, or pull its plugs.
          - Refused while the node has a session, and while no fence of it stands. Holds for that one fence only.
          - Beside O(state=absent) it lets a node be removed that is merely cut off from its storage, and ends that cut.
        type: dict
        suboptions:
          why:
            description: How you know that the node is off.
            type: str
            required: true
          by:
            description: Who you are. By default the user and the host that the module runs as and on.
            type: str
      return_vms: &return_vms
        description:
          - Whether VMs that were moved away from the node return when it takes VMs again. V(false) makes them forget it as their
            home, so that they stay where they are. Only with O(state=ready).
          - The default is V(true).
        type: bool
  state: *state
  coordinator: *coordinator
  memory_reserve: *memory_reserve
  fence: *fence
  fence_together: *fence_together
  devices: *devices
  declared_dead: *declared_dead
  return_vms: *return_vms
"""
