# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection options, as the modules have them, with the same names in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


_OPTIONS = (
    click.option(
        "--config", type=click.Path(dir_okay=False), envvar="PVC_CONFIG", help="File with a table [zookeeper]."
    ),
    click.option("--hosts", metavar="HOST:PORT,...", envvar="PVC_HOSTS", help="ZooKeeper servers."),
    click.option("--root", envvar="PVC_ROOT", help="Path of the cluster's tree in ZooKeeper; /pvc by default."),
    click.option("--username", envvar="PVC_USERNAME", help="ZooKeeper user; pvc by default."),
    click.option(
        "--password-file", type=click.Path(dir_okay=False), envvar="PVC_PASSWORD_FILE", help="File with the password."
    ),
    click.option("--tls/--no-tls", default=None, envvar="PVC_TLS", help="Whether to encrypt; yes by default."),
    click.option(
        "--ca-file", type=click.Path(dir_okay=False), envvar="PVC_CA_FILE", help="Certificate of the cluster's CA."
    ),
    click.option("--cert-file", type=click.Path(dir_okay=False), envvar="PVC_CERT_FILE", help="Certificate to show."),
    click.option("--key-file", type=click.Path(dir_okay=False), envvar="PVC_KEY_FILE", help="Its key."),
    click.option("--connect-timeout", type=float, envvar="PVC_CONNECT_TIMEOUT", help="Seconds; 10 by default."),
)

#: Names of the options above.
NAMES = (
    "config",
    "hosts",
    "root",
    "username",
    "password_file",
    "tls",
    "ca_file",
    "cert_file",
    "key_file",
    "connect_timeout",
)


def connection_options(function: F) -> F:
    """All of them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given, of a command's parameters, and the password, which only the environment can give."""
    found = {name: params[name] for name in NAMES if params.get(name) is not None}
    if "hosts" in found:
        found["hosts"] = [host.strip() for host in found["hosts"].split(",") if host.strip()]
    password = os.environ.get("PVC_PASSWORD")
    return {**found, "password": password} if password and "password_file" not in found else found
