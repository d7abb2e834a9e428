# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What takes a node out of the way: Ceph, which refuses its clients, and devices that take its power.

What counts is always what was read back, never that an order was accepted. Every call has a deadline, may be repeated,
and raises EffectFailed with one sentence that holds no secret. Only coordinators fence; ``[fence]`` in the configuration
makes a node one of those that can.
"""
