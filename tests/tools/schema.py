# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make schema`: writes docs/schema/document.json, the JSON Schema of documents that editors use.

What options there are comes from the library's tables, what they mean from the modules' documentation.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.pvc.cluster.plugins.doc_fragments import _node, _rule, _vm
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.document_schema import schema
from ansible_collections.pvc.cluster.plugins.modules import settings

PUBLISHED = Path(__file__).resolve().parents[2] / "docs" / "schema" / "document.json"

#: What no module has as an option.
MARK = "The document that it belongs to, if not to this one; empty: to none."

#: Ansible's markup: the content stays.
_MARKUP = re.compile(r"\b[A-Z]{1,4}\(([^()]*)\)")


def text() -> str:
    """The schema, as it is published."""
    fragments = {"vms": _vm, "nodes": _node, "rules": _rule}
    words = {
        section: _words(yaml.safe_load(module.ModuleDocFragment.DOCUMENTATION)["options"][section]["suboptions"])
        for section, module in fragments.items()
    }
    for section in fragments:
        words[section]["document"] = {"text": MARK}
    words["settings"] = _words(yaml.safe_load(settings.DOCUMENTATION)["options"])
    return json.dumps(schema(words), indent=2, ensure_ascii=False) + "\n"


def _words(options: Mapping[str, Any]) -> dict[str, Any]:
    """Descriptions in the form that the library takes."""
    return {
        name: {"text": _plain(option["description"]), "options": _words(option.get("suboptions", {}))}
        for name, option in options.items()
    }


def _plain(description: str | list[str]) -> str:
    sentences = [description] if isinstance(description, str) else description
    return _MARKUP.sub(r"\1", " ".join(sentences))


if __name__ == "__main__":
    PUBLISHED.parent.mkdir(exist_ok=True)
    PUBLISHED.write_text(text(), encoding="utf-8")
    sys.stdout.write(f"{PUBLISHED}\n")
