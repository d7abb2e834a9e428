# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes use the host's archives, whatever else the host has, and whatever release it runs."""

from __future__ import annotations

from pvc_lab.archives import Archive, apt_settings, parse_index_targets, parse_passed_on, parse_proxy, sources_list

TARGETS = """\
https://deb.example/debian/|Debian|bookworm|main
https://deb.example/debian/|Debian|bookworm|contrib
https://deb.example/debian/|Debian|bookworm-updates|main
http://security.example/debian-security/|Debian|bookworm-security|main
https://deb.example/debian/|Debian Backports|bookworm-backports|main
https://other.example/node_20.x/|. nodistro|nodistro|main
file:/srv/local/|Debian|bookworm|main
"""

DUMP = """\
APT::Architecture "amd64";
Acquire::Check-Valid-Until "false";
Acquire::Retries "";
Acquire::http::Proxy "http://proxy.example:8080";
Acquire::https::Verify-Peer "true";
"""


def test_only_debians_own_archives_are_taken() -> None:
    assert parse_index_targets(TARGETS) == [
        Archive("", "https://deb.example/debian"),
        Archive("-security", "http://security.example/debian-security"),
        Archive("-updates", "https://deb.example/debian"),
    ]


def test_a_cache_fetches_tls_archives_by_itself() -> None:
    archives = parse_index_targets(TARGETS)
    direct = sources_list(archives, "trixie", through_cache=False).splitlines()
    cached = sources_list(archives, "trixie", through_cache=True).splitlines()
    assert [line.split(" ", 2)[2] for line in direct] == [
        "https://deb.example/debian trixie main",
        "http://security.example/debian-security trixie-security main",
        "https://deb.example/debian trixie-updates main",
    ]
    assert [line.split(" ", 2)[2] for line in cached] == [
        "http://HTTPS///deb.example/debian trixie main",
        "http://security.example/debian-security trixie-security main",
        "http://HTTPS///deb.example/debian trixie-updates main",
    ]


def test_what_concerns_the_archives_is_passed_on() -> None:
    assert parse_passed_on(DUMP) == ['Acquire::Check-Valid-Until "false";']
    assert apt_settings(DUMP, "http://10.77.0.254:3142").splitlines() == [
        'Acquire::Check-Valid-Until "false";',
        'Acquire::http::Proxy "http://10.77.0.254:3142";',
    ]


def test_the_hosts_proxy_is_found() -> None:
    assert parse_proxy(DUMP) == "http://proxy.example:8080"
    assert parse_proxy('Acquire::http::Proxy "DIRECT";') is None
    assert parse_proxy("") is None
