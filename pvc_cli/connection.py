# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the cluster is and who asks: from options, the environment, and a file, in this order.

A file is TOML with a table [zookeeper], whose keys are the modules' connection options. The agent's own file has that table,
too, so that root needs nothing else on a node. A password is never an argument, which everybody on the machine could read.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pvc_state.connection import Connection
from pvc_state.errors import InvalidRequest

#: For everybody on the machine.
SITE = Path("/etc/pvc/cli.toml")
#: The agent's, on nodes.
AGENT = Path("/etc/pvc-node-agent/agent.toml")

#: Types of what the table may have.
_TYPES: Mapping[str, tuple[type, ...]] = {
    "hosts": (list,),
    "root": (str,),
    "username": (str,),
    "password": (str,),
    "password_file": (str,),
    "tls": (bool,),
    "ca_file": (str,),
    "cert_file": (str,),
    "key_file": (str,),
    "connect_timeout": (int, float),
    "session_timeout": (int, float),
}


class NoCluster(InvalidRequest):
    """Nothing says where the cluster is."""


def connection(options: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Connection:
    """The connection that the options describe, with what files say of what they leave open.

    Args:
        options: what was given on the command line or in the environment, without what was not; ``config`` names a file.

    Raises InvalidRequest.
    """
    given = dict(options)
    config = given.pop("config", None)
    path = Path(config) if config else _first(os.environ if environ is None else environ)
    said = {**_read(path), **given} if path is not None else given
    if "password_file" in said and ("password_file" in given or "password" not in said):
        said["password"] = _password(said["password_file"])
    if not said.get("hosts"):
        raise NoCluster(
            "nothing says where the cluster is",
            option="hosts",
            remedy="give --hosts or PVC_HOSTS, write /etc/pvc/cli.toml or ~/.config/pvc/cli.toml, or be root on a node",
        )
    if not said.get("password"):
        raise NoCluster(
            "it is missing",
            option="password",
            remedy="set PVC_PASSWORD, or give --password-file or a configuration file that names it",
        )
    known = {field.name for field in fields(Connection)}
    settings = {"username": "pvc", **{key: value for key, value in said.items() if key in known}}
    settings["hosts"] = tuple(said["hosts"])
    found = Connection(**settings)
    # another server is looked for as long as the first one was
    return Connection(**{**settings, "patience": found.connect_timeout})


def places(environ: Mapping[str, str]) -> list[Path]:
    """Where a file is looked for; the first one counts."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    return [Path(home) / "pvc" / "cli.toml", SITE, AGENT]


def _first(environ: Mapping[str, str]) -> Path | None:
    return next((path for path in places(environ) if os.access(path, os.R_OK)), None)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text).get("zookeeper")
    except (OSError, UnicodeDecodeError) as err:
        raise InvalidRequest(
            f"it cannot be read: {getattr(err, 'strerror', None) or err}",
            obj=str(path),
            remedy="name a file that you may read with --config",
        ) from err
    except tomllib.TOMLDecodeError as err:
        raise InvalidRequest(f"it is no TOML: {err}", obj=str(path), remedy="correct the line") from err
    if not isinstance(table, dict):
        raise InvalidRequest("it has no table [zookeeper]", obj=str(path), remedy="add it, with hosts and password")
    for key, value in table.items():
        if key not in _TYPES:
            known = ", ".join(_TYPES)
            raise InvalidRequest("no such option", obj=str(path), option=f"zookeeper.{key}", remedy=f"known: {known}")
        if not isinstance(value, _TYPES[key]) or (isinstance(value, bool) and key != "tls"):
            raise InvalidRequest(
                f"it is {type(value).__name__}",
                obj=str(path),
                option=f"zookeeper.{key}",
                remedy=f"give {_TYPES[key][-1].__name__}",
            )
    if "password" in table:
        _private(path)
    return table


def _password(name: str) -> str:
    """The first line of a file."""
    path = Path(name)
    try:
        password = path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as err:
        raise InvalidRequest(
            f"{path} cannot be read: {getattr(err, 'strerror', None) or err}",
            option="password_file",
            remedy="give a file with the password in its first line",
        ) from err
    _private(path)
    return password


def _private(path: Path) -> None:
    if stat.S_ISREG(path.stat().st_mode) and path.stat().st_mode & stat.S_IROTH:
        raise InvalidRequest(
            "everybody may read it, but it holds a password", obj=str(path), remedy=f"chmod o-rwx {path}"
        )
