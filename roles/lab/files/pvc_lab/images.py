# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: file trees that nodes share read-only, built once and never changed afterwards.

An image lies in a folder named after its recipe's hash. It is built under another name and renamed when it is whole,
so what a killed run leaves behind is never taken for an image. Nodes remember the folder that they stand on; a changed
recipe gives a new folder, and old ones go when no node needs them any more.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from .archives import apt_settings, host_apt_settings, host_archives, parse_proxy, sources_list
from .config import Image, Lab
from .daemon import locked
from .mounts import bind, chroot_mounts, overlay
from .shell import LabError, run, run_logged

RECIPE_VERSION = 1
"""Counts changes of this file that give another result from the same packages."""

MASKED_UNITS = ("apt-daily.timer", "apt-daily-upgrade.timer", "systemd-networkd-persistent-storage.service")
"""apt's timers would hold its lock while roles want it."""

TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")

CHROOT_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}


def skeleton_files(lab: Lab) -> dict[str, bytes]:
    """The lab's own configuration files for every node, by path below the root."""
    root = lab.directory / "skeleton"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def recipe_key(lab: Lab, image: Image, skeleton: dict[str, bytes]) -> str:
    """A short hash of everything that the recipe consists of, those of its base included."""
    recipe = {
        "version": RECIPE_VERSION,
        "suite": image.suite,
        "packages": image.packages,
        "base": recipe_key(lab, lab.image(image.base), skeleton) if image.base else "",
        "masked": MASKED_UNITS if image.suite else (),
        "skeleton": {name: hashlib.sha256(content).hexdigest() for name, content in skeleton.items()}
        if image.suite
        else {},
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def folder(lab: Lab, image: Image) -> Path:
    """Where the image lies, or will lie."""
    return lab.directory / "images" / f"{image.name}-{recipe_key(lab, image, skeleton_files(lab))}"


def layers(lab: Lab, name: str) -> list[Path]:
    """The folders that make up an image, the topmost first."""
    image = lab.image(name)
    below = layers(lab, image.base) if image.base else []
    return [folder(lab, image), *below]


def suite_of(lab: Lab, name: str) -> str:
    """The Debian release that an image is of."""
    image = lab.image(name)
    return image.suite or suite_of(lab, image.base)


def build_lock(lab: Lab) -> AbstractContextManager[None]:
    """One process at a time builds or removes images; building one takes a minute or two."""
    return locked(lab.directory / "images.lock", 900, "another command is busy with the lab's images")


def build(lab: Lab, name: str) -> bool:
    """Build an image unless it is there; tells whether it was built. Needs private mounts."""
    image = lab.image(name)
    target = folder(lab, image)
    if target.is_dir():
        return False
    with build_lock(lab):
        return not target.is_dir() and make(lab, image, target)


def make(lab: Lab, image: Image, target: Path) -> bool:
    """Build an image under another name, and give it its own when it is whole."""
    partial = target.with_name(target.name + ".partial")
    if partial.exists():
        remove_tree(partial)
    log = lab.directory / "images" / f"{image.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    if image.suite:
        bootstrap(lab, image, partial, log)
    else:
        extend(lab, image, partial, log)
    os.rename(partial, target)
    return True


def bootstrap(lab: Lab, image: Image, target: Path, log: Path) -> None:
    """Build a whole Debian system from packages, by way of the host's own archives."""
    settings = host_apt_settings()
    sources = sources_list(host_archives(lab.archives), image.suite, through_cache=False)
    command: list[str | Path] = ["mmdebstrap", "--mode=root", "--format=directory", "--variant=apt"]
    command += [f"--include={','.join(image.packages)}", "--dpkgopt=force-unsafe-io"]
    for line in apt_settings(settings, parse_proxy(settings)).splitlines():
        command.append(f"--aptopt={line}")
    command += [image.suite, target, *sources.splitlines()]
    run_logged(command, log)
    for name, content in skeleton_files(lab).items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o644)
    for unit in MASKED_UNITS:
        (target / "etc/systemd/system" / unit).symlink_to("/dev/null")
    run("chroot", target, "systemctl", "enable", "systemd-networkd.service", env=CHROOT_ENVIRONMENT)
    # Each node gets a key, an identity and package sources of its own when it starts.
    for leftover in [*(target / "etc/ssh").glob("ssh_host_*"), *(target / "etc/apt/apt.conf.d").glob("99mmdebstrap")]:
        leftover.unlink()
    (target / "etc/machine-id").write_text("")
    (target / "etc/resolv.conf").unlink(missing_ok=True)
    (target / "etc/resolv.conf").touch()
    (target / "etc/hostname").write_text("localhost\n")


def extend(lab: Lab, image: Image, target: Path, log: Path) -> None:
    """Lay packages over another image. Their services end up enabled as after any install, and none is started."""
    root = target.with_name(target.name + ".root")
    work = target.with_name(target.name + ".work")
    overlay(layers(lab, image.base), target, work, root)
    settings = host_apt_settings()
    suite = suite_of(lab, image.name)
    proxy = lab.cache_url if image.cached else parse_proxy(settings)
    sources = sources_list(host_archives(lab.archives), suite, through_cache=image.cached)
    (root / "etc/apt/sources.list").write_text(sources)
    (root / "etc/apt/apt.conf.d/90lab").write_text(apt_settings(settings, proxy))
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    chroot_mounts(root)
    bind(Path("/etc/resolv.conf"), root / "etc/resolv.conf", read_only=True)
    command: list[str | Path] = ["chroot", root, "apt-get"]
    if TRUSTED.exists():
        shutil.copy(TRUSTED, root / "run")  # an archive by TLS may have a certificate that only the host trusts
        command += ["--option", f"Acquire::https::CAInfo=/run/{TRUSTED.name}"]
    run_logged([*command, "update"], log, CHROOT_ENVIRONMENT)
    install = ["--yes", "--no-install-recommends", "install", *image.packages]
    run_logged([*command, *install], log, CHROOT_ENVIRONMENT)
    run_logged([*command, "clean"], log, CHROOT_ENVIRONMENT)
    policy.unlink()
    run("umount", "--recursive", root)
    for path in (root, work):
        remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a half-built tree; refuses when something is mounted below it."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if any(row.split()[4].startswith(f"{path}/") or row.split()[4] == str(path) for row in mounts):
        raise LabError(f"something is mounted below {path}; unmount it first")
    shutil.rmtree(path)


def prune(lab: Lab) -> list[str]:
    """Remove images that neither a node nor a recipe of today needs; gives their names.

    Those of recipes that are not described now are left alone: another inventory may describe them.
    """
    names = "|".join(map(re.escape, lab.images))
    outdated = re.compile(rf"(?:{names})-[0-9a-f]{{12}}(?:\.\w+)?")
    needed = {str(layer) for name in lab.images for layer in layers(lab, name)}
    for path in lab.directory.glob("nodes/*/layers.json"):
        needed.update(json.loads(path.read_text()))
    removed = []
    with build_lock(lab):
        for path in sorted((lab.directory / "images").glob("*")):
            if path.is_dir() and str(path) not in needed and outdated.fullmatch(path.name):
                remove_tree(path)
                removed.append(path.name)
    return removed
