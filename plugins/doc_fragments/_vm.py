# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""The options that describe VMs; keep in step with ``module_utils/_vm.py``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the VM. It has 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends.
      - Exactly one of O(name) and O(vms) is required.
    type: str
  vms:
    description:
      - Any number of VMs, each with its name and the same options as a single one.
      - Options given beside O(vms) are the defaults of all VMs in the list.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the VM.
        type: str
        required: true
      state: &state
        description:
          - V(started) is for a VM that should run. It is restarted when it crashes or powers itself off.
          - V(stopped) is for one that should not. A running guest is asked to power off. After O(shutdown_timeout) it
            is destroyed.
          - V(disabled) is V(stopped) for a VM that nothing shall start or move, maintenance of the cluster included.
          - V(ignored) leaves the VM as it is, whatever it does and whatever happens to its node.
          - V(absent) stops the VM like V(stopped) and deletes it. Its volumes are kept unless O(delete_volumes=true).
            All other options but O(name) are ignored then.
          - V(restarted) is V(started), and a guest that runs is shut down like with V(stopped) and started again on its node, with
            the hardware that is wanted now. Each request is carried out exactly once.
          - V(reset) resets a guest that runs, at once, without asking it. Each request is carried out, whatever happens
            to the agent or the node. When an agent is killed within the moment between the reset and its noting it down, the
            guest is reset a second time.
          - V(restarted) and V(reset) are not idempotent. Each run is a request of its own.
          - A new VM is V(started) by default.
        type: str
        choices: [started, stopped, disabled, ignored, absent, restarted, reset]
      node: &node
        description:
          - The node that the VM is bound to. It is moved there, while it runs if it can be (O(migration.method)).
          - A VM that is bound to a node that dies waits for that node.
          - The empty string leaves the choice to the cluster, as does leaving it out for a new VM.
        type: str
      memory: &memory
        description: Memory, in MiB or with a unit, such as V(2G). Required for a new VM.
        type: str
      vcpus: &vcpus
        description: Number of virtual processors. A new VM has 1 by default.
        type: int
      disks: &disks
        description:
          - All disks of the VM, in order. It boots from the first one, unless O(boot) says otherwise. The default is
            none.
          - A disk that is taken out of the list is taken away from the VM; its volume is kept. While the VM runs, the guest is
            asked to let go of it, and no other VM gets the volume before it has.
        type: list
        elements: dict
        suboptions:
          pool:
            description: Ceph pool.
            type: str
            default: vms
          volume:
            description:
              - Name of the RBD image. By default the one that the VM has in this place, and for a new disk the VM's name and
                the disk's position, like V(web1-disk0).
            type: str
          size:
            description:
              - Size of a volume that is created when it is missing, with a unit, such as V(10G), or in bytes.
              - A disk grows when a larger size is given, also while its guest runs. It never shrinks.
              - When not given, the volume must exist.
            type: str
          bus:
            description:
              - What the guest finds it on. V(sata) is for guests without drivers for the others; at most six disks are on it, and
                they neither come nor go while the VM runs.
            type: str
            choices: [virtio, scsi, sata]
            default: virtio
          cache:
            description:
              - V(writeback) acknowledges a write before it is on Ceph, until the guest flushes. V(writethrough) and V(none) do
                not.
            type: str
            choices: [none, writeback, writethrough]
            default: writeback
          discard:
            description: Whether space that the guest discards is given back to Ceph.
            type: bool
            default: true
          iothread:
            description: Whether the disk is served by a thread of its own. Only with O(disks[].bus=virtio).
            type: bool
            default: false
          limits:
            description: What the guest may do with it each second. What is left out, or V(0), is without limit.
            type: dict
            suboptions:
              read_iops:
                description: Reads.
                type: int
              write_iops:
                description: Writes.
                type: int
              read_bytes:
                description: Bytes read.
                type: int
              write_bytes:
                description: Bytes written.
                type: int
      nics: &nics
        description: All network interfaces of the VM, in order. The default is none.
        type: list
        elements: dict
        suboptions:
          bridge:
            description: Bridge of the node.
            type: str
            required: true
          mac:
            description:
              - MAC address. By default one that depends on nothing but the cluster, the VM's name and the interface's
                position.
            type: str
          model:
            description: Model of the interface, V(virtio) or V(e1000e).
            type: str
            default: virtio
          link:
            description: Whether its cable is plugged in.
            type: bool
            default: true
      boot: &boot
        description:
          - Boots a kernel directly, from files on the node. The empty dictionary boots from the first disk, which is
            the default.
        type: dict
        suboptions:
          kernel:
            description: Path of the kernel.
            type: path
          initrd:
            description: Path of the initial RAM disk.
            type: path
          cmdline:
            description: Command line of the kernel.
            type: str
      description: &description
        description: Free text.
        type: str
      tags: &tags
        description: Free labels.
        type: list
        elements: str
      shutdown_timeout: &shutdown_timeout
        description: Seconds that a guest has to power off before it is destroyed. A new VM has 90 by default.
        type: int
      migration: &migration
        description:
          - How the VM gets to another node when it must. What is left out of it keeps its value.
        type: dict
        suboptions:
          method:
            description:
              - V(live), the default of a new VM, moves it while it runs.
              - V(shutdown) stops it, moves it and starts it.
              - V(none) leaves it where it is. Only when its node dies it runs elsewhere.
            type: str
            choices: [live, shutdown, none]
          max_downtime:
            description: Milliseconds that the guest may stand still at the end of a live move. A new VM has 300 by default.
            type: int
          bandwidth:
            description: Mebibytes that a live move may send each second; V(0), the default of a new VM, for no limit.
            type: int
          auto_converge:
            description: Whether a guest that changes its memory faster than it can be sent is slowed down. Default of a new VM.
            type: bool
          post_copy:
            description:
              - Whether the guest may run on at the target before all of its memory has arrived there. V(true) is refused. Nothing
                runs before its claim has followed, and the guest would be lost if one of the nodes were lost in that time.
            type: bool
      ha: &ha
        description:
          - What happens to the VM when something fails. What is left out of it keeps its value.
        type: dict
        suboptions:
          max_local_restarts:
            description:
              - How often it is started again on the same node after it crashed or did not start, before it is moved. V(-1) is
                for ever. A new VM has 3 by default.
            type: int
          max_moves:
            description: How many other nodes are tried then. A new VM has 1 by default.
            type: int
          priority:
            description:
              - The higher goes first when a node's VMs are recovered, from -1000 to 1000. A new VM has 0 by default.
            type: int
          failback:
            description:
              - Whether it returns to a node that is preferred to the one that it runs on. A new VM does by default.
            type: bool
          power_off:
            description:
              - Whether it runs elsewhere only once its dead node is proven to be off, since it uses more than Ceph. A new VM
                does not by default.
              - Refused while no node has a fence device that could prove it.
            type: bool
      memory_max: &memory_max
        description:
          - Up to how much O(memory) can grow while the VM runs, in MiB or with a unit. V(0), the default, is for not beyond what it was
            started with. A new limit holds from the next start on.
          - The guest gets and gives back memory through its balloon device. It needs the driver, which every Linux has, and it
            keeps what it does not give back. A guest without the driver can use all of O(memory_max).
        type: str
      vcpus_max: &vcpus_max
        description:
          - Up to how many O(vcpus) can grow while the VM runs. V(0), the default, is for not beyond what it was started with. A new limit
            holds from the next start on, and so do fewer O(vcpus).
        type: int
      cpu: &cpu
        description: The processor that the guest sees, in libvirt's terms. What is left out of it keeps its value.
        type: dict
        suboptions:
          model:
            description:
              - V(host-model), V(host-passthrough), or the name of a model that libvirt knows. The empty string, the default, is for
                what the node's agent is configured to give.
              - All nodes that a VM moves between while it runs must have what it was started with.
            type: str
          sockets:
            description:
              - Number of sockets. The product of the topology is O(vcpus_max), or O(vcpus) where that is V(0).
              - V(0) for all of O(cpu.sockets), O(cpu.cores) and O(cpu.threads), the default, is for a socket for each vCPU.
            type: int
          cores:
            description: Number of cores of a socket.
            type: int
          threads:
            description: Number of threads of a core.
            type: int
          features:
            description: Features by libvirt's names, each V(require) or V(disable). All of them are given at once.
            type: dict
          dedicated:
            description:
              - Whether each vCPU has a processor of the node to itself. The other VMs of the node keep off it.
              - One processor of each node is left to the others.
            type: bool
      devices: &devices
        description: What else is built in. What is left out of it keeps its value.
        type: dict
        suboptions:
          video:
            description: Model of the graphics card. A new VM has V(none) by default.
            type: str
            choices: [none, virtio, vga, qxl]
          graphics:
            description:
              - How its screen is reached, V(none) by default. It listens on the node's loopback only, where
                RV(pvc.cluster.vm_info#module:vms[].observed) says.
              - On Debian 13, V(spice) and O(devices.video=qxl) need a package that role P(pvc.cluster.libvirt#role) does not install by
                itself; its README says which.
            type: str
            choices: [none, vnc, spice]
          rng:
            description: A source of random numbers. A new VM has one by default.
            type: bool
          agent:
            description: A channel for the guest agent. A new VM has one by default.
            type: bool
          watchdog:
            description: What happens when the guest no longer feeds its watchdog. V(none), the default, is for no watchdog.
            type: str
            choices: [none, reset, poweroff, pause]
          tpm:
            description:
              - An emulated TPM 2.0. Its content is on the node. It moves with a guest that moves while it runs. It is lost when the VM is
                started on another node, as it is when its node dies.
            type: bool
          host:
            description:
              - Devices of the node that the VM has for itself, by the names that M(pvc.cluster.node) has declared. The VM runs only
                on nodes that have them all, and where no other VM has them.
              - A VM with such devices is never moved while it runs. It is stopped for that, as with
                O(migration.method=shutdown), whatever O(migration.method) is.
            type: list
            elements: str
      machine: &machine
        description:
          - libvirt's machine type, V(q35), V(pc), or one of their versions such as V(pc-q35-9.2). The empty string, the default, is for
            what the node's agent is configured to give.
        type: str
      firmware: &firmware
        description:
          - What boots the VM. A new VM has V(bios) by default. The variables of V(uefi) are kept on the node, and are lost like the
            content of a TPM. Operating systems therefore should be installed with the loader in the default place
            (C(EFI/BOOT/BOOTX64.EFI)).
        type: str
        choices: [bios, uefi]
      secure_boot: &secure_boot
        description:
          - Whether only what is signed by the keys of the firmware's vendor is booted. It needs O(firmware=uefi). The default is not.
        type: bool
      xml: &xml
        description:
          - A fragment of libvirt's domain XML that is laid over what is made from the options. Below C(<domain>), elements that exist are
            changed, and others added. Below C(<devices>), all but C(<memballoon>), C(<panic>) and C(<video>) are added.
          - What has an option, what the agent relies on and what would open anything on the node is refused. libvirt checks the
            rest when it starts the VM.
          - The empty string, the default, is for none.
        type: str
      delete_volumes: &delete_volumes
        description:
          - With O(state=absent), whether to delete the VM's volumes, too. All data on them is lost, snapshots of the VM included.
        type: bool
      placement: &placement
        description:
          - What decides between nodes that all may run the VM, as O(pvc.cluster.settings#module:placement) does for the others.
          - The empty string, the default of a new VM, leaves it to the cluster's settings.
        type: str
        choices: ["", free_memory, fewest_vms, configured_size, free_share, fewest_vcpus, measured_load, balanced]
      force: &force
        description:
          - Whether the VM may be created, started or made larger even if no room would then be left for the VMs of a node that
            dies (O(pvc.cluster.settings#module:spare_nodes)). It still needs room on its own node.
          - Holds for this task only.
        type: bool
      protected_tags: &protected_tags
        description:
          - Tags that O(tags) does not take away; only O(remove_tags) does, by name. They need not be listed in O(tags).
          - The empty list makes them tags like any other.
        type: list
        elements: str
      remove_tags: &remove_tags
        description: Tags that are taken away, protected or not. Without O(tags), the others stay.
        type: list
        elements: str
      metadata: &metadata
        description: Whatever is to be kept with the VM, by key. The whole of it is replaced.
        type: dict
      autostart: &autostart
        description:
          - Whether a VM that is V(stopped) is started when its node gets V(ready) after it was drained or in maintenance. That
            sets its O(state) to V(started), once. A new VM is not by default.
        type: bool
      clone_from: &clone_from
        description:
          - What a new VM is a copy of. It has the other VM's options where no others are given, and a copy of each of its
            disks. Interfaces get addresses of their own. Not looked at when the VM exists.
          - The disks are made in Ceph by the agent and share unchanged data with their source, so they are there within
            seconds. The source's volumes cannot be deleted before them.
        type: dict
        suboptions:
          vm:
            description: The other VM.
            type: str
            required: true
          snapshot:
            description: One of its snapshots. Without it, the other VM must be stopped.
            type: str
      new_name: &new_name
        description:
          - What the VM is to be called. It must be stopped; rules that name it follow, in the same transaction. It keeps its
            libvirt id, its addresses, and its volumes with their names.
          - No other option can be given with it. Nothing changes when there is a VM of that name, and none of the old one.
        type: str
  state: *state
  node: *node
  memory: *memory
  vcpus: *vcpus
  disks: *disks
  nics: *nics
  boot: *boot
  description: *description
  tags: *tags
  shutdown_timeout: *shutdown_timeout
  migration: *migration
  ha: *ha
  memory_max: *memory_max
  vcpus_max: *vcpus_max
  cpu: *cpu
  devices: *devices
  machine: *machine
  firmware: *firmware
  secure_boot: *secure_boot
  xml: *xml
  delete_volumes: *delete_volumes
  placement: *placement
  force: *force
  protected_tags: *protected_tags
  remove_tags: *remove_tags
  metadata: *metadata
  autostart: *autostart
  clone_from: *clone_from
  new_name: *new_name
"""
