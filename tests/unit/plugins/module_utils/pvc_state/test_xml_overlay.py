# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fragments of domain XML: what they may not touch."""

from __future__ import annotations

from typing import Any

import pytest

from pvc_state.xml_overlay import LIMIT, problem

ENTITY = '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><domain><genid>&b;</genid></domain>'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "<domain/>",
        "<domain><!-- nothing --></domain>",
        "<domain><memoryBacking><hugepages/><source type='memfd'/></memoryBacking></domain>",
        "<domain><cpu><feature policy='require' name='vmx'/></cpu><clock offset='localtime'/></domain>",
        "<domain><features><hyperv mode='passthrough'/></features><pm><suspend-to-mem enabled='no'/></pm></domain>",
        "<domain><os><bootmenu enable='yes'/></os></domain>",
        "<domain><devices><sound model='ich9'/><sound model='ac97'/><audio id='1' type='none'/></devices></domain>",
        "<domain><devices><video><model type='vga' vram='65536'/></video></devices></domain>",
    ],
)
def test_what_is_right(text: str) -> None:
    assert problem(text) == ("", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<domain>", "no well-formed XML"),
        ("<domain/><domain/>", "no well-formed XML"),
        ("<domain>&unknown;</domain>", "no well-formed XML"),
        (ENTITY, "has a document type"),
        ("<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>", "has a document type"),
        ("<?xml-stylesheet href='x'?><domain/>", "has a processing instruction"),
        ("<network/>", "its root is <network>"),
        ("<domain type='kvm'/>", "<domain> has attribute type"),
        *(
            (f"<domain><{tag}>x</{tag}></domain>", f"<{tag}> is not for it: that is {owner}")
            for tag, owner in (
                ("name", "the VM's name"),
                ("uuid", "the VM's identity"),
                ("metadata", "what the agent knows the domain by"),
                ("memory", "option memory"),
                ("currentMemory", "option memory"),
                ("vcpu", "option vcpus"),
                ("on_poweroff", "what the agent relies on"),
                ("on_reboot", "what the agent relies on"),
                ("on_crash", "what the agent relies on"),
                ("sysinfo", "what tells the guest its epoch"),
            )
        ),
        *((f"<domain><{tag}/></domain>", f"<{tag}> is not for it") for tag in ("seclabel", "bootloader", "resource")),
        *((f"<domain><os><{tag}/></os></domain>", f"<{tag}> is not for it") for tag in ("loader", "nvram", "kernel")),
        *(
            (f"<domain><devices><{tag}/></devices></domain>", f"<{tag}> is not for it")
            for tag in (
                *("disk", "interface", "filesystem", "hostdev", "emulator", "graphics", "serial", "console", "channel"),
                *("tpm", "watchdog", "rng", "redirdev", "shmem", "lease", "smartcard", "pstore", "memory", "nvram"),
            )
        ),
        (
            "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:commandline/></domain>",
            "<commandline> is of another namespace",
        ),
        ("<domain xmlns='urn:x'/>", "<domain> is of another namespace"),
        (
            "<domain><devices><input type='evdev'><source dev='/dev/input/event1'/></input></devices></domain>",
            "<source> names something on the node",
        ),
        (
            "<domain><devices><video><model type='virtio'/><driver rendernode='/dev/dri/a'/></video></devices></domain>",
            "<driver> names something on the node",
        ),
        ("<domain><devices><audio id='1' type='file'/></devices></domain>", "<audio> of that type"),
        ("<domain><cpu/><cpu/></domain>", "has an element twice"),
        ("<domain><devices/><devices><disk/></devices></domain>", "has an element twice"),
        ("x" * (LIMIT + 1), "it is no text, or a long one"),
        (5, "it is no text, or a long one"),
        (None, "it is no text, or a long one"),
    ],
)
def test_what_is_refused(text: Any, words: str) -> None:
    why, remedy = problem(text)
    assert words in why
    assert remedy
