# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of modules that take documents: their files are on the controller, wherever the module runs."""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleError
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import document_files
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.document_files import Sources, Unreadable
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.document_report import lines, parts, refusal
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.document_work import loaded
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.errors import PvcError
from ansible_collections.pvc.cluster.plugins.plugin_utils.signed import SignedAction

Result = dict[str, t.Any]


class ActionModule(SignedAction):
    """Hands the module what is in the files, and tells of each refusal where it is in them."""

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> Result:
        """The module's result, with files and lines."""
        args, sources = self._task.args, None
        try:
            if args.get("src") is not None and args.get("document") is None:
                given = args["src"] if isinstance(args["src"], (list, tuple)) else [args["src"]]
                sources = document_files.load([self._here(path) for path in given], self._text)
                # A new dictionary: other runs of this task may share the one it has. Without what is given as nothing, which
                # the module would count as given.
                kept = {name: value for name, value in args.items() if name != "src" and value is not None}
                self._task.args = {**kept, "document": sources.data}
            elif isinstance(args.get("plan"), str) and self._task.action.rpartition(".")[2] == "apply":
                self._task.args = {**args, "plan": loaded(self._here(args["plan"]), self._text)}
        except Unreadable as err:
            placed = zip(err.errors, err.places, strict=True)
            return _failed(err, [{**parts(one), "file": file, "line": line} for one, (file, line) in placed])
        except PvcError as err:
            return _failed(err, [parts(err)])
        except AnsibleError as err:
            return {"failed": True, "msg": str(err)}
        result = super().run(tmp, task_vars)
        return result if sources is None else _with_places(result, sources)

    def _here(self, path: t.Any) -> str:
        """A path as playbooks mean it: beside the playbook or role, or where ansible-playbook runs."""
        wanted = os.path.expanduser(str(path))
        beside = str(self._loader.path_dwim(wanted))
        here = os.path.abspath(wanted)
        return here if os.path.exists(here) and not os.path.exists(beside) else beside

    def _text(self, path: str) -> str:
        """A file's text, decrypted if it is a vault."""
        # a plain string: whatever Ansible has tagged it with is of no use to a parser
        return str(self._loader.get_text_file_contents(path))


def _failed(err: PvcError, refused: list[Result]) -> Result:
    """A result like that of a module that fails."""
    where = {"problem": err.problem, "object": err.obj, "option": err.option, "remedy": err.remedy}
    return {"failed": True, "msg": _told(refused), **where, "refused": refused}


def _told(refused: list[Result]) -> str:
    return "\n".join(refusal(one) for one in refused)


def _with_places(result: Result, sources: Sources) -> Result:
    """The result with file and line of everything that is refused."""
    if not result.get("refused"):
        return result
    refused = [{**one, **_place(one, sources)} for one in result["refused"]]
    found = {**result, "msg": _told(refused), "refused": refused}
    if isinstance(result.get("plan"), dict):
        found["plan"] = {**result["plan"], "refused": refused}
        found["plan_text"] = list(lines(found["plan"]))
    return found


def _place(one: Result, sources: Sources) -> Result:
    place = sources.place(tuple(one["path"])) if one.get("path") else None
    return {"file": place[0], "line": place[1]} if place is not None else {}
