# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ceph's own configuration file, as far as the agent reads it: where the monitors are."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from .env import EffectFailed

#: v2:10.0.0.1:3300/0, 10.0.0.1:6789, [fd00::1]:6789, mon1.example.org
_ADDRESS = re.compile(r"(?:(v[12]):)?(\[[0-9a-fA-F:]+\]|[^\s,:/\[\]]+)(?::(\d+))?(?:/\d+)?")


def monitors(conf: Path) -> tuple[tuple[str, str], ...]:
    """Host, and port or "" for the default ones, of each monitor. Raises EffectFailed."""
    try:
        text = conf.read_text(encoding="utf-8")
    except OSError as err:
        raise EffectFailed(f"{conf} cannot be read ({err.strerror}): role ceph writes it") from err
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#", ";"))
    # Ceph takes blanks, dashes and underscores in option names for the same
    parser.optionxform = lambda option: re.sub(r"[\s_-]+", "_", option.strip().lower())  # type: ignore[assignment]
    try:
        parser.read_string(text)
    except configparser.Error as err:
        raise EffectFailed(f"{conf} is damaged: {err}") from err
    found = parse_monitors(parser.get("global", "mon_host", fallback=""))
    if not found:
        raise EffectFailed(f"{conf} names no monitors: section [global] needs mon_host")
    return found


def parse_monitors(value: str) -> tuple[tuple[str, str], ...]:
    """The addresses in a value of mon_host, each host once."""
    ports: dict[str, str] = {}
    # brackets group the addresses of one monitor, unless they hold an IPv6 address
    for match in _ADDRESS.finditer(re.sub(r"\[(?=v[12]:)|\](?=\s*(?:,|\s|$))(?<=/\d\])", " ", value)):
        protocol, host, port = match.groups()
        host = host.strip("[]")
        if protocol == "v2" or port == "3300":
            # libvirt hands one port to librados, and takes it for the one of the old protocol
            port = None
        ports[host] = port or ports.get(host, "")
    return tuple(ports.items())
