# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""Where a document comes from; keep in step with ``module_utils/_document.py``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  document:
    description:
      - What is wanted, as one mapping. All its keys may be left out.
      - RV(ignore:cluster) is the name of the cluster that it is for. No other cluster takes it. Where there is no cluster yet, one of
        this name is made.
      - RV(ignore:document) is the document's name. Everything in it is marked with it. What carries the name of another document is
        left alone.
      - RV(ignore:settings) has the options of M(pvc.cluster.settings).
      - RV(ignore:nodes), RV(ignore:rules) and RV(ignore:vms) are lists of objects, each with its name and the options of
        M(pvc.cluster.node), M(pvc.cluster.rule) or M(pvc.cluster.vm). An option that is left out keeps its value. What is done once and
        is no state, such as a restart, is not taken.
      - An object with a key RV(ignore:document) of its own is taken over by the document of that name, or let go with the empty string.
    type: dict
  src:
    description:
      - Files of YAML on the controller, and directories of such files, which together are the document. Lists go together in the order
        of the files' names. Files that Ansible Vault has encrypted are decrypted.
      - What is in them is data. Templates in it are not carried out.
    type: list
    elements: path
  commit:
    description:
      - The revision of a commit, as M(pvc.cluster.history_info) lists them. The document is then what was wanted right after it, with
        every option, and each object belongs to whom it belonged then. What was made since stays.
    type: int
  mark:
    description:
      - Name of the document, in place of its key RV(ignore:document).
      - With O(commit), only what belonged to the document of this name is taken.
    type: str
  prune:
    description:
      - Whether to delete what carries the document's name and is not in it any more. The document needs a name.
    type: bool
    default: false
  prune_volumes:
    description: Whether the volumes of VMs that O(prune) deletes are removed, too. Their data are lost then.
    type: bool
    default: false
  force:
    description:
      - Whether to do what would leave no room for the loss of a node, or no node that takes VMs, as O(ignore:force) of
        M(pvc.cluster.vm) and M(pvc.cluster.node).
    type: bool
    default: false
"""
