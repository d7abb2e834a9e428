# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection options of every module; keep in step with ``module_utils/_module.py``."""

from __future__ import annotations

import yaml

_MARK = "When not given, the environment variable E("

#: What only those need who change something.
_SIGNATURE = ("author", "job")


def _for_plugins(documentation: str) -> str:
    """The options that an environment variable is named for, each declared to be read from there."""
    options = yaml.safe_load(documentation)["options"]
    kept = {}
    for name, option in options.items():
        if name in _SIGNATURE:
            continue
        texts = option["description"]
        variables = [text.removeprefix(_MARK).partition(")")[0] for text in texts if text.startswith(_MARK)]
        kept[name] = {
            **option,
            "description": [text for text in texts if not text.startswith(_MARK)],
            "env": [{"name": variable} for variable in variables],
        }
    return yaml.safe_dump({"options": kept, "requirements": ["kazoo >= 2.8"]}, sort_keys=False)


class ModuleDocFragment:
    DOCUMENTATION = r"""
description:
  - The module talks to the cluster's ZooKeeper and to nothing else. It may run on the controller (with C(delegate_to)
    or a play on C(localhost)) or on a node of the cluster, wherever its Python has kazoo.
  - Set the connection options once, with C(module_defaults) for C(group/pvc.cluster.cluster), or as environment
    variables of the host that the module runs on.
options:
  hosts:
    description:
      - ZooKeeper servers as V(host:port), usually every coordinator's.
      - When not given, the environment variable E(PVC_HOSTS) is used, with commas between the servers.
    type: list
    elements: str
    required: true
  root:
    description:
      - Path of the cluster's tree in ZooKeeper.
      - When not given, the environment variable E(PVC_ROOT) is used.
    type: str
    default: /pvc
  username:
    description:
      - ZooKeeper user (digest scheme) that owns the tree.
      - When not given, the environment variable E(PVC_USERNAME) is used.
    type: str
    default: pvc
  password:
    description:
      - Password of O(username).
      - When not given, the environment variable E(PVC_PASSWORD) is used.
    type: str
    required: true
  tls:
    description:
      - Whether to encrypt the connection and to verify the servers' certificates.
      - Plain connections are meant for a server on the loopback interface.
      - When not given, the environment variable E(PVC_TLS) is used.
    type: bool
    default: true
  ca_file:
    description:
      - PEM file with the certificate of the cluster's CA. By default, the authorities of the operating system are
        trusted.
      - When not given, the environment variable E(PVC_CA_FILE) is used.
    type: path
  cert_file:
    description:
      - PEM file with the certificate that the module shows to the servers. Required when the servers ask for one, as
        those of this collection do.
      - When not given, the environment variable E(PVC_CERT_FILE) is used.
    type: path
  key_file:
    description:
      - PEM file with the key of O(cert_file).
      - When not given, the environment variable E(PVC_KEY_FILE) is used.
    type: path
  connect_timeout:
    description:
      - Seconds to find a server that answers, at the beginning and when the one in use is lost. An election of
        ZooKeeper's leader may take some of them.
      - When not given, the environment variable E(PVC_CONNECT_TIMEOUT) is used.
    type: float
    default: 10
  author:
    description:
      - Who makes the change, as M(pvc.cluster.history_info) shows it. Nothing is checked or allowed by it.
      - By default, the user of AWX who has started the job, or else the user who runs the playbook.
      - When not given, the environment variable E(PVC_AUTHOR) is used.
    type: str
  job:
    description:
      - What makes the change, as M(pvc.cluster.history_info) shows it.
      - By default, the job of AWX, or else the playbook and the play.
      - When not given, the environment variable E(PVC_JOB) is used.
    type: str
requirements:
  - kazoo >= 2.8
"""

    #: The same for plugins of the controller, which are told the environment's variables by Ansible itself.
    # with its type, since ansible-test takes any other assignment here for a plain text
    PLUGIN: str = _for_plugins(DOCUMENTATION)
