# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package cache asks the archives that it is asked for, and listens on the lab's own switch only."""

from __future__ import annotations

from pvc_lab.cache import configuration
from pvc_lab.config import Lab

SHIPPED = """\
# Port:3142
CacheDir: /var/cache/apt-cacher-ng
Port:3142
Remap-debrep: file:deb_mirror*.gz /debian ; file:backends_debian
Remap-secdeb: security.example ; security.example/debian-security
ReportPage: acng-report.html
"""


def test_mirror_lists_are_gone_and_everything_else_is_kept(lab: Lab) -> None:
    rows = configuration(SHIPPED, lab, None).splitlines()
    assert not [row for row in rows if row.startswith("Remap-")]
    assert {"CacheDir: /var/cache/apt-cacher-ng", "ReportPage: acng-report.html"} <= set(rows)


def test_it_listens_on_the_first_switch(lab: Lab) -> None:
    rows = configuration(SHIPPED, lab, None).splitlines()
    assert [row for row in rows if row.startswith(("Port:", "BindAddress:"))] == [
        "BindAddress: 10.77.0.254",
        "Port: 3142",
    ]


def test_it_goes_through_the_hosts_proxy(lab: Lab) -> None:
    assert "Proxy: http://proxy.example:8080" in configuration(SHIPPED, lab, "http://proxy.example:8080").splitlines()
    assert "Proxy:" not in configuration(SHIPPED, lab, None)
