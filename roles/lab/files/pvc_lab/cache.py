# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package cache: apt-cacher-ng from an image of the lab, run by chroot in the host's network namespace.

Nothing of it is installed on the host. It listens on the lab's first switch only, and keeps its packages in the state
folder, from where the next lab takes them.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from .archives import host_apt_settings, parse_proxy
from .config import Lab
from .daemon import is_locked, launch, locked, wait_for
from .images import layers
from .mounts import bind, chroot_mounts, overlay
from .network import ensure_switches
from .shell import LabError, run

IMAGE = "cache-trixie"
HOST_FILES = ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs", "usr/local/share/ca-certificates")
"""How the host finds its archives, and whom it trusts."""

CONFIGURATION = "etc/apt-cacher-ng/acng.conf"


def lock_file(lab: Lab) -> Path:
    """The lock that the running cache holds."""
    return lab.directory / "cache" / "lock"


def configuration(shipped: str, lab: Lab, proxy: str | None) -> str:
    """The cache's configuration: the shipped one without its mirror lists, which make it look for others."""
    dropped = ("Remap-", "BindAddress", "Port:", "Proxy:", "ForeGround:", "AllowUserPorts:", "CAfile:", "CApath:")
    kept = [row for row in shipped.splitlines() if not row.startswith(dropped)]
    kept += [f"BindAddress: {lab.networks[0].host.ip}", f"Port: {lab.cache_port}", "ForeGround: 1"]
    kept.append("AllowUserPorts: 0")  # any port: archives by TLS, and mirrors of one's own
    kept.append("CAfile: /etc/ssl/certs/ca-certificates.crt")
    if proxy:
        kept.append(f"Proxy: {proxy}")
    return "".join(row + "\n" for row in kept)


def start(lab: Lab) -> bool:
    """Start the cache unless it answers; tells whether it was started."""
    ensure_switches(lab)
    if is_locked(lock_file(lab)):
        if listening(lab):
            return False
        stop(lab)  # it listens elsewhere, or not at all
    launch("pvc-lab-cache", ["cache", "run"], lab.directory / "cache" / "cache.log")
    log = lab.directory / "cache" / "cache.log"
    wait_for(lambda: listening(lab), 30, f"the package cache does not listen on {lab.cache_url}; see {log}")
    return True


def listening(lab: Lab) -> bool | None:
    """True when something accepts connections on the cache's address."""
    try:
        with socket.create_connection((str(lab.networks[0].host.ip), lab.cache_port), timeout=1):
            return True
    except OSError:
        return None


def serve(lab: Lab) -> None:
    """Become the cache. Needs private mounts."""
    top = lab.directory / "cache"
    with locked(lock_file(lab), 5, "the package cache is running already"):
        root = top / "root"
        overlay(layers(lab, IMAGE), top / "upper", top / "work", root)
        packages = top / "packages"
        packages.mkdir(exist_ok=True)
        shipped = layers(lab, IMAGE)[0] / CONFIGURATION
        (root / CONFIGURATION).write_text(configuration(shipped.read_text(), lab, parse_proxy(host_apt_settings())))
        chroot_mounts(root)
        for name in HOST_FILES:
            if Path("/", name).exists():
                bind(Path("/", name), root / name, read_only=True)
        bind(packages, root / "var/cache/apt-cacher-ng")
        run("chroot", root, "chown", "-R", "apt-cacher-ng:", "/var/cache/apt-cacher-ng", "/var/log/apt-cacher-ng")
        (root / "run/apt-cacher-ng").mkdir()
        run("chroot", root, "chown", "apt-cacher-ng:", "/run/apt-cacher-ng")
        os.set_inheritable(lock_descriptor(lab), True)
        user = ["setpriv", "--reuid=apt-cacher-ng", "--regid=apt-cacher-ng", "--clear-groups"]
        command = ["chroot", str(root), *user, "/usr/sbin/apt-cacher-ng", "-c", "/etc/apt-cacher-ng"]
        (top / "pid").write_text(f"{os.getpid()}\n")
        os.execvp(command[0], command)  # noqa: S606


def lock_descriptor(lab: Lab) -> int:
    """The descriptor by which this process holds the lock; the cache inherits it, and so holds it while it lives."""
    wanted = lock_file(lab).stat()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found = entry.stat()
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return int(entry.name)
    raise LabError("the package cache lost its lock")


def stop(lab: Lab) -> bool:
    """Stop the cache; tells whether it ran."""
    if not is_locked(lock_file(lab)):
        return False
    os.kill(int((lab.directory / "cache" / "pid").read_text()), signal.SIGTERM)
    wait_for(lambda: None if is_locked(lock_file(lab)) else True, 10, "the package cache does not end")
    return True
