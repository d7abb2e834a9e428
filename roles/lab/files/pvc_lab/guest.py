# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's guest: a Linux that boots from a disk of 48 MB, needs 96 MB of memory, and talks on its serial console.

Debian's cloud kernel, with a single static program and QEMU's guest agent as user space. Kernel and initial file system also
lie beside the disk's image as files, for guests that are booted by kernel.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .archives import apt_settings, host_apt_settings, host_archives, sources_list
from .config import Lab
from .images import CHROOT_ENVIRONMENT, layers, remove_tree, suite_of
from .mounts import chroot_mounts, overlay
from .shell import LabError, run, run_logged

IMAGE = "guest-trixie"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
DISK_BYTES = 48 * 1024 * 1024
RECIPE_VERSION = 1

MODULES = (
    "virtio_pci",
    "virtio_blk",
    "virtio_net",
    "virtio_balloon",
    "virtio_rng",
    "virtio_console",
    "button",
    "evdev",
    "ext4",
)
"""Drivers of the guest's devices, of its power button and of its file system. What they need is found out."""

AGENT = "/usr/sbin/qemu-ga"
"""The guest agent: the only program that needs libraries."""


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of an initial file system."""

    name: str
    mode: int
    content: bytes = b""


def newc_archive(entries: Iterable[Entry]) -> bytes:
    """An archive as the kernel unpacks it at boot (the cpio format that is called newc)."""
    archive = bytearray()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], start=1):
        name = entry.name.encode() + b"\0"
        fields = [number, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, 0, 0, len(name), 0]
        archive += b"070701" + b"".join(b"%08X" % value for value in fields) + name
        archive += b"\0" * (-len(archive) % 4)
        archive += entry.content
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)


def module_name(path: str) -> str:
    """A module's name from its path."""
    return Path(path).name.split(".ko")[0].replace("-", "_")


def load_order(dependencies: str, built_in: str, wanted: Sequence[str]) -> list[str]:
    """Paths of modules in an order in which they can be loaded, from what modules.dep and modules.builtin hold."""
    present = {module_name(path) for path in built_in.split()}
    needs: dict[str, list[str]] = {}
    paths: dict[str, str] = {}
    for row in dependencies.splitlines():
        path, _separator, rest = row.partition(":")
        needs[path] = rest.split()
        paths[module_name(path)] = path
    order: list[str] = []

    def visit(path: str) -> None:
        for need in needs[path]:
            visit(need)
        if path not in order:
            order.append(path)

    for name in wanted:
        if name in paths:
            visit(paths[name])
        elif name not in present:
            raise LabError(f"the kernel package has no module '{name}'")
    return order


def libraries(listing: str) -> list[str]:
    """The files that a program loads, from what ldd prints of it, the loader included."""
    words = [row.split() for row in listing.splitlines()]
    return sorted({word for row in words for word in row if word.startswith("/")})


def with_folders(files: dict[str, bytes]) -> list[Entry]:
    """Programs and libraries by their paths, each behind the folders that it lies in."""
    folders = sorted({str(parent) for name in files for parent in Path(name).parents} - {"/", ".", "bin"})
    entries = [Entry(name, stat.S_IFDIR | 0o755) for name in folders]
    return entries + [Entry(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]


def initial_file_system(kernel: Path, busybox: Path, init: bytes, more: dict[str, bytes]) -> bytes:
    """The guest's user space, from the kernel's module tree, a static busybox, and more files by their paths."""
    folder, program = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    entries = [Entry(name, folder) for name in ("bin", "dev", "files", "modules", "proc", "run", "sys")]
    entries += with_folders(more)
    entries += [Entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox")]
    entries += [Entry("init", program, init), Entry("bin/busybox", program, busybox.read_bytes())]
    order = load_order((kernel / "modules.dep").read_text(), (kernel / "modules.builtin").read_text(), MODULES)
    names = []
    for path in order:
        content = (kernel / path).read_bytes()
        name = Path(path).name
        if name.endswith(".xz"):
            name, content = name.removesuffix(".xz"), lzma.decompress(content)
        names.append(name)
        entries.append(Entry(f"modules/{name}", stat.S_IFREG | 0o644, content))
    entries.append(Entry("modules/order", stat.S_IFREG | 0o644, "".join(name + "\n" for name in names).encode()))
    return gzip.compress(newc_archive(entries), mtime=0)


def recipe_key(lab: Lab) -> str:
    """A hash of what the guest is made from."""
    sources = {path.name: path.read_text() for path in sorted((lab.directory / "guest-recipe").iterdir())}
    recipe = [RECIPE_VERSION, MODULES, DISK_BYTES, sources, layers(lab, IMAGE)[0].name]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def build(lab: Lab) -> bool:
    """Build the guest unless it is there; tells whether it was built. Needs private mounts."""
    target = lab.directory / "guest"
    key = recipe_key(lab)
    if (target / "key").exists() and (target / "key").read_text() == key:
        return False
    partial, scratch = lab.directory / "guest.partial", lab.directory / "guest.scratch"
    for leftover in (partial, scratch):
        if leftover.exists():
            remove_tree(leftover)
    partial.mkdir()
    root = scratch / "root"
    overlay(layers(lab, IMAGE), scratch / "upper", scratch / "work", root)
    chroot_mounts(root)
    make_files(lab, root, partial)
    run("umount", "--recursive", root)
    (partial / "key").write_text(key)
    remove_tree(scratch)
    if target.exists():
        shutil.rmtree(target)
    os.rename(partial, target)
    return True


def make_files(lab: Lab, root: Path, target: Path) -> None:
    """Fetch the kernel, and make kernel, initial file system and disk image from it."""
    recipe = lab.directory / "guest-recipe"
    tree = unpack_kernel(lab, root)
    (tree / "lib").symlink_to("usr/lib")  # where depmod looks
    version = next((tree / "usr/lib/modules").iterdir()).name
    run("chroot", root, "depmod", "--basedir", "/kernel", version)
    shutil.copy(tree / f"boot/vmlinuz-{version}", target / "vmlinuz")
    content = initial_file_system(
        tree / "usr/lib/modules" / version,
        root / "usr/bin/busybox",
        (recipe / "init").read_bytes(),
        agent_files(root),
    )
    (target / "initrd.img").write_bytes(content)
    image = root / "guest.img"
    with image.open("wb") as disk:
        disk.truncate(DISK_BYTES)
    files = [shutil.copy(path, root) for path in (target / "vmlinuz", target / "initrd.img", recipe / "syslinux.cfg")]
    run("chroot", root, "mkfs.fat", "-n", "PVCGUEST", "/guest.img")
    run("chroot", root, "mcopy", "-i", "/guest.img", *[f"/{Path(path).name}" for path in files], "::")
    run("chroot", root, "syslinux", "--install", "/guest.img")
    run("cp", "--sparse=always", image, target / "guest.img")


def agent_files(root: Path) -> dict[str, bytes]:
    """The guest agent and what it loads, by their paths in the guest."""
    listing = run("chroot", root, "ldd", AGENT, env=CHROOT_ENVIRONMENT).stdout
    found = {path.removeprefix("/"): (root / path.removeprefix("/")).read_bytes() for path in libraries(listing)}
    return {"bin/qemu-ga": (root / AGENT.removeprefix("/")).read_bytes(), **found}


def unpack_kernel(lab: Lab, root: Path) -> Path:
    """Fetch the newest cloud kernel's package and unpack it, without installing it."""
    log = lab.directory / "images" / "guest.log"
    log.write_text("")
    settings = host_apt_settings()
    sources = sources_list(host_archives(lab.archives), suite_of(lab, IMAGE), through_cache=True)
    (root / "etc/apt/sources.list").write_text(sources)
    (root / "etc/apt/apt.conf.d/90lab").write_text(apt_settings(settings, lab.cache_url))
    (root / "kernel").mkdir()
    chroot = ["chroot", str(root)]
    run_logged([*chroot, "apt-get", "update"], log, CHROOT_ENVIRONMENT)
    listing = run(*chroot, "apt-cache", "depends", KERNEL_PACKAGE, env=CHROOT_ENVIRONMENT).stdout
    package = kernel_of(listing)
    fetch = f"cd /kernel && apt-get -o APT::Sandbox::User=root download {package}"
    run_logged([*chroot, "sh", "-c", fetch], log, CHROOT_ENVIRONMENT)
    archive = next((root / "kernel").glob("*.deb"))
    run_logged([*chroot, "dpkg-deb", "--extract", f"/kernel/{archive.name}", "/kernel"], log, CHROOT_ENVIRONMENT)
    return root / "kernel"


def kernel_of(listing: str) -> str:
    """The package with the kernel itself, from what apt-cache says that the meta package depends on."""
    for row in listing.splitlines():
        word, _separator, package = row.strip().partition(": ")
        if word == "Depends" and package.startswith("linux-image-"):
            return package
    raise LabError(f"{KERNEL_PACKAGE} depends on no kernel in this archive")
