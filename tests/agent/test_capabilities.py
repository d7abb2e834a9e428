# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processors as libvirt tells of them."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

from pvc_node_agent.capabilities import models

TOLD = """
<domainCapabilities>
  <cpu>
    <mode name='host-passthrough' supported='yes'/>
    <mode name='maximum' supported='yes'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>EPYC-Rome</model>
      <vendor>AMD</vendor>
      <feature policy='require' name='x2apic'/>
    </mode>
    <mode name='custom' supported='yes'>
      <model usable='yes' deprecated='yes' vendor='unknown' canonical='qemu64-v1'>qemu64</model>
      <model usable='no' vendor='Intel'>Snowridge</model>
      <blockers model='Snowridge'><feature name='avx'/></blockers>
      <model usable='unknown' vendor='AMD'>EPYC</model>
    </mode>
  </cpu>
</domainCapabilities>
"""


def test_what_can_be_had() -> None:
    assert models(fromstring(TOLD)) == ("EPYC-Rome", ("EPYC", "qemu64"))


def test_what_is_not_told_is_not_known() -> None:
    nothing = "<domainCapabilities><cpu><mode name='host-model' supported='no'/></cpu></domainCapabilities>"
    assert models(fromstring(nothing)) == ("", ())
