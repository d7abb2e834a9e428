# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package archives of the lab's nodes, derived from those that the host itself uses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .shell import LabError, run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
INDEX_FORMAT = "$(REPO_URI)|$(ORIGIN)|$(CODENAME)|$(COMPONENT)"
PASSED_ON = re.compile(r'^(Acquire::(?:Check-Valid-Until|Check-Date|Max-ValidTime|Retries)) "(.*)";$')
PROXY = re.compile(r'^Acquire::https?::[Pp]roxy "(.+)";$')


@dataclass(frozen=True, order=True)
class Archive:
    """One archive as a node would use it: suffix is '', '-updates' or '-security'."""

    suffix: str
    uri: str

    def line(self, suite: str, *, through_cache: bool) -> str:
        """The line for sources.list. A cache cannot look into TLS, so it fetches such archives by itself."""
        uri = self.uri
        if through_cache and uri.startswith("https://"):
            uri = "http://HTTPS///" + uri.removeprefix("https://")
        return f"deb [signed-by={KEYRING}] {uri} {suite}{self.suffix} main"


def parse_index_targets(text: str) -> list[Archive]:
    """Find Debian's own archives in the output of apt-get indextargets."""
    found: dict[str, Archive] = {}
    for row in text.splitlines():
        uri, origin, codename, component = row.split("|")
        if origin != "Debian" or component != "main":
            continue
        match = re.fullmatch(r"[a-z]+(-updates|-security)?", codename)
        if match and uri.startswith(("http://", "https://")):
            suffix = match.group(1) or ""
            found.setdefault(suffix, Archive(suffix, uri.rstrip("/")))
    return sorted(found.values())


def host_archives(override: Iterable[object] = ()) -> list[Archive]:
    """The archives that the role was given, or else those of the host's apt."""
    given = [Archive(str(entry["suffix"]), str(entry["uri"])) for entry in override]  # type: ignore[index]
    if given:
        return given
    listing = run("apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages").stdout
    archives = parse_index_targets(listing)
    if not any(archive.suffix == "" for archive in archives):
        raise LabError("this machine's apt knows no Debian archive by http; run 'apt-get update', or set lab_archives")
    return archives


def parse_passed_on(dump: str) -> list[str]:
    """Settings of the host's apt that concern the archives themselves: they hold for whoever uses the same ones."""
    return [match.group(0) for match in map(PASSED_ON.match, dump.splitlines()) if match and match.group(2)]


def parse_proxy(dump: str) -> str | None:
    """The proxy through which the host's apt reaches its archives, if any."""
    for row in dump.splitlines():
        match = PROXY.match(row)
        if match and match.group(1) != "DIRECT":
            return match.group(1)
    return None


def host_apt_settings() -> str:
    """What apt-config says on this machine."""
    return run("apt-config", "dump").stdout


def sources_list(archives: Iterable[Archive], suite: str, *, through_cache: bool) -> str:
    """The content of a node's sources.list."""
    return "".join(archive.line(suite, through_cache=through_cache) + "\n" for archive in archives)


def apt_settings(dump: str, proxy: str | None) -> str:
    """A node's apt settings that come from the lab."""
    lines = list(parse_passed_on(dump))
    if proxy:
        lines.append(f'Acquire::http::Proxy "{proxy}";')
    return "".join(line + "\n" for line in lines)
