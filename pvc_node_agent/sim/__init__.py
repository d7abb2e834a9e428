# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole cluster in memory, under a virtual clock: the agent's own steps, feed and loop, simulated surroundings.

``python -m pvc_node_agent.sim CASE.json`` plays a case and prints its result. Nothing here has a thread, a random number
without a seed, or an order that a hash decides: the same case gives the same log.
"""
