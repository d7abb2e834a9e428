# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the site of docs/*.md and of the reference that antsibull-docs generates; see tests/tools/site.py.

The pages are written to be read in the repository, too. So their links are those of files, and three things follow here:
a link to a module or plugin leads to its page in the reference, one to any other file leads to the repository, and the
lists of links in index.md and reference.md are the site's table of contents.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from docutils import nodes

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

ROOT = Path(__file__).resolve().parents[1]
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))

project = "pvc.cluster"
author = "The PVC cluster authors"
project_copyright = f"2026, {author}"
version = release = GALAXY["version"]

extensions = ["myst_parser", "sphinx_antsibull_ext"]
exclude_patterns = ["reference/index.rst"]  # reference.md is that page
nitpicky = True
myst_heading_anchors = 3
highlight_language = "yaml"

html_theme = "furo"
html_title = "pvc.cluster"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"source_repository": GALAXY["repository"], "source_branch": "main", "source_directory": "docs/"}

#: What the generated pages refer to in Ansible's own documentation, which cannot be asked while nothing but this is here.
ANSIBLE = "https://docs.ansible.com/ansible/latest/"
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "callback_plugins": "plugins/callback.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "inventory_plugins": "plugins/inventory.html",
    "playbooks_vault": "vault_guide/index.html",
}

#: A link of Markdown: its text and its target, which is no address and no anchor alone.
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
#: What has a page in the reference, by its path in the repository.
REFERENCE = [
    (re.compile(r"plugins/modules/(\w+)\.py"), r"reference/\1_module.rst"),
    (re.compile(r"plugins/inventory/(\w+)\.py"), r"reference/\1_inventory.rst"),
    (re.compile(r"plugins/callback/(\w+)\.py"), r"reference/\1_callback.rst"),
    (re.compile(r"plugins/doc_fragments/connection\.py"), "reference/environment_variables.rst"),
    (re.compile(r"roles/(\w+)"), r"reference/\1_role.rst"),
]
#: One entry of a list of links, and the heading above it.
ENTRY = re.compile(r"^- \[(?:pvc\.cluster\.)?([^]]+)\]\(([\w/-]+)\.(?:md|rst)\)|^## (.+)$", re.MULTILINE)


def in_the_site(target: str, anchor: str) -> str:
    """What a link becomes; as it is, when it leads to a page or a picture of docs/."""
    if target.endswith((".md", ".svg")) and not target.startswith("../"):
        return target + anchor
    path = (ROOT / "docs" / target).resolve()
    name = path.relative_to(ROOT).as_posix()
    for pattern, page in REFERENCE:
        if pattern.fullmatch(name) and not anchor:
            return pattern.sub(page, name)
    kind = "tree" if path.is_dir() else "blob"
    return f"{GALAXY['repository']}/{kind}/main/{name}{anchor}"


def contents(text: str) -> str:
    """The table of contents of a page whose sections list links to other pages."""
    sections: dict[str, list[str]] = {}
    heading = ""
    for entry in ENTRY.finditer(text):
        if entry[3]:
            heading = entry[3]
        else:
            sections.setdefault(heading, []).append(f"{entry[1]} <{entry[2]}>")
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n" + "\n".join(pages) + "\n```\n"
        for heading, pages in sections.items()
    )


def read(_app: Sphinx, page: str, source: list[str]) -> None:
    if page.startswith("reference/"):
        return
    text = LINK.sub(lambda link: in_the_site(link[1], link[2] or ""), source[0])
    source[0] = text + contents(text) if page in ("index", "reference") else text


def in_ansible(
    _app: Sphinx, _environment: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """A reference to Ansible's own documentation; None leaves it an error."""
    page = LABELS.get(node["reftarget"]) if node["reftype"] == "ref" else None
    if node["reftype"] == "envvar" and node["reftarget"].startswith("ANSIBLE_"):
        page = f"reference_appendices/config.html#envvar-{node['reftarget']}"
    return nodes.reference("", "", text, internal=False, refuri=ANSIBLE + page) if page else None


def setup(app: Sphinx) -> None:
    app.connect("source-read", read)
    app.connect("missing-reference", in_ansible)
