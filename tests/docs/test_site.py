# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is missing in the site, and its links are those of the repository. That it builds is a part of `make check`."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.unit.repository.tree import ROOT

DOCS = ROOT / "docs"
LISTED = re.compile(r"^- \[[^]]+\]\(([^)#]+)\)", re.MULTILINE)


def listed(page: str) -> set[str]:
    """What a page's lists link to, as paths in the repository."""
    links = LISTED.findall((DOCS / page).read_text(encoding="utf-8"))
    return {(DOCS / link).resolve().relative_to(ROOT).as_posix() for link in links}


def found(pattern: str) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern) if not path.name.startswith("_")}


def test_the_index_lists_every_page() -> None:
    assert listed("index.md") == found("docs/*.md") - {"docs/index.md"}


def test_the_reference_lists_every_module_plugin_playbook_and_role() -> None:
    plugins = found("plugins/modules/*.py") | found("plugins/inventory/*.py") | found("plugins/callback/*.py")
    sources = found("extensions/eda/plugins/event_source/*.py")
    playbooks = found("playbooks/*.yml") - found("playbooks/lab*.yml")
    expected = plugins | sources | playbooks | found("roles/*") | {"plugins/doc_fragments/connection.py"}
    assert listed("reference.md") - found("docs/*.md") == expected


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("state.md", "state.md"),
        ("images/architecture.svg", "images/architecture.svg"),
        ("../plugins/modules/vm.py", "reference/vm_module.rst"),
        ("../plugins/inventory/pvc.py", "reference/pvc_inventory.rst"),
        ("../roles/ceph", "reference/ceph_role.rst"),
        ("../inventory-examples/lab", "https://github.com/pvc-cluster/pvc.cluster/tree/main/inventory-examples/lab"),
        ("schema/document.json", "https://github.com/pvc-cluster/pvc.cluster/blob/main/docs/schema/document.json"),
        ("../CONTRIBUTING.md", "https://github.com/pvc-cluster/pvc.cluster/blob/main/CONTRIBUTING.md"),
    ],
)
def test_a_link_is_right_in_the_repository_and_in_the_site(link: str, becomes: str) -> None:
    assert (DOCS / Path(link)).exists()
    assert runpy.run_path(str(DOCS / "conf.py"))["in_the_site"](link, "") == becomes
