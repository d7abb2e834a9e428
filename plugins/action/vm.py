# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of every module that commits: meta/runtime.yml leads them all here."""

from __future__ import annotations

from ansible_collections.pvc.cluster.plugins.plugin_utils.signed import SignedAction


class ActionModule(SignedAction):
    pass
