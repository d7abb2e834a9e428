# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""Disks as files beside disks in Ceph: what qemu-img and rbd are asked for on a node, and what an export consists of.

An export is a directory: a file for each disk, and ``manifest.json``, which is written last.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from collections.abc import Sequence
from dataclasses import dataclass

from .pvc_state.codec import Malformed, decode, encode
from .pvc_state.errors import PvcError
from .pvc_state.records import Vm
from .pvc_state.vm_options import rbd_snapshot

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

MANIFEST = "manifest.json"
FORMATS = ("qcow2", "raw")
#: Marks an RBD image with the digest of the manifest that it was imported from.
IMPORTED = "pvc.imported"
#: Begins the name of an image that is not finished; the agent's own have the same.
UNFINISHED = "pvc-new."
#: Files that are being written end so.
PART = ".part"
_VERSION = 1
_CHUNK = 1 << 20

#: Options of the modules that work on a node.
SPEC: dict[str, t.Any] = {
    "ceph_conf": {"type": "path", "default": "/etc/ceph/ceph.conf"},
    "ceph_user": {"type": "str", "default": "libvirt"},
    "timeout": {"type": "int", "default": 3600},
}


class ImageError(PvcError):
    """A program failed, or what it was given is damaged."""


@dataclass(frozen=True)
class ExportedDisk:
    """A disk as a file: its name in the directory, bytes as the guest sees them, and what it is in the cluster."""

    file: str
    format: str
    sha256: str
    size: int
    pool: str


@dataclass(frozen=True)
class Manifest:
    """What an export is: a VM as it was defined, with its disks as files, in order."""

    name: str
    vm: Vm
    disks: tuple[ExportedDisk, ...]
    snapshot: str = ""
    version: int = _VERSION


def manifest_text(manifest: Manifest) -> str:
    """The same manifest gives the same bytes."""
    return json.dumps(json.loads(encode(manifest)), indent=2, sort_keys=True) + "\n"


def read_manifest(directory: str) -> tuple[Manifest, str]:
    """A manifest and the digest of its bytes. Raises ImageError."""
    path = os.path.join(directory, MANIFEST)
    try:
        with open(path, "rb") as file:
            data = file.read(_CHUNK)
    except OSError as err:
        raise ImageError(f"{path} cannot be read: {err.strerror}", option="src", remedy="name an export") from err
    try:
        manifest = decode(Manifest, data)
    except Malformed as err:
        raise ImageError(f"{path} is no manifest: {err}", option="src", remedy="export the VM anew") from err
    if manifest.version != _VERSION:
        problem = f"{path} is of version {manifest.version}, this collection reads {_VERSION}"
        raise ImageError(problem, option="src", remedy="use the release that has made it")
    for disk in manifest.disks:
        if disk.file != os.path.basename(disk.file) or disk.format not in FORMATS:
            raise ImageError(
                f"{path} names an impossible file {disk.file!r}", option="src", remedy="export the VM anew"
            )
    return manifest, hashlib.sha256(data).hexdigest()


def sha256(path: str) -> str:
    """Checksum of a file; empty when there is none."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return ""
    return digest.hexdigest()


def write_through(path: str, data: bytes | None = None) -> None:
    """What is in a file is on the disk; with data, that becomes what is in it."""
    with open(path, "rb+" if data is None else "wb") as file:
        if data is not None:
            file.write(data)
        file.flush()
        os.fsync(file.fileno())


class Images:
    """The programs that read and write images, each with a deadline."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._conf, self._user = module.params["ceph_conf"], module.params["ceph_user"]
        self._seconds = module.params["timeout"]
        if not os.path.exists(self._conf):
            raise ImageError(
                f"{self._conf} does not exist on this machine",
                option="ceph_conf",
                remedy="run the task on a node, with delegate_to, or name the file",
            )

    def source(self, pool: str, volume: str, snapshot: str = "") -> str:
        """How qemu-img is told of a volume."""
        at = f"@{rbd_snapshot(snapshot)}" if snapshot else ""
        return f"rbd:{pool}/{volume}{at}:id={self._user}:conf={self._conf}"

    def same(self, path: str, kind: str, source: str) -> bool:
        """Whether a file has the content of a volume."""
        code, _out, words = self._run("qemu-img", ["compare", "-U", "-f", kind, "-F", "raw", path, source])
        if code not in (0, 1):
            raise self._failed("qemu-img compare", code, words)
        return code == 0

    def size(self, path: str, kind: str) -> int:
        """Bytes of a disk that a file holds, which must not lead to other files."""
        code, out, words = self._run("qemu-img", ["info", "-U", "--output=json", "-f", kind, path])
        if code:
            raise self._failed("qemu-img info", code, words)
        info = json.loads(out)
        if "backing-filename" in info or info.get("format-specific", {}).get("data", {}).get("data-file"):
            remedy = "convert it with qemu-img to a file that stands alone"
            raise ImageError(f"{path} rests on another file", option="src", remedy=remedy)
        return int(info["virtual-size"])

    def convert(self, source: str, kind: str, target: str, target_kind: str) -> None:
        code, _out, words = self._run("qemu-img", ["convert", "-f", kind, "-O", target_kind, source, target])
        if code:
            raise self._failed("qemu-img convert", code, words)

    # --- images in Ceph -----------------------------------------------------------------------------------------------

    def exists(self, pool: str, volume: str) -> bool:
        code, _out, words = self._rbd(["info", f"{pool}/{volume}"])
        if code not in (0, 2):
            raise self._failed("rbd info", code, words)
        return code == 0

    def mark_of(self, pool: str, volume: str) -> str:
        """The manifest that a volume was imported from, empty for none."""
        code, out, _words = self._rbd(["image-meta", "get", f"{pool}/{volume}", IMPORTED])
        return out.strip() if code == 0 else ""

    def write(self, path: str, kind: str, pool: str, volume: str, mark: str) -> None:
        """Make a volume of a file. It gets its name when it is whole."""
        unfinished = f"{UNFINISHED}{volume}"
        self.remove(pool, unfinished)
        try:
            self.convert(path, kind, self.source(pool, unfinished), "raw")
            self._must(["image-meta", "set", f"{pool}/{unfinished}", IMPORTED, mark])
            self._must(["rename", f"{pool}/{unfinished}", f"{pool}/{volume}"])
        except ImageError:
            self.remove(pool, unfinished)
            raise

    def remove(self, pool: str, volume: str) -> None:
        if self.exists(pool, volume):
            self._must(["remove", "--no-progress", f"{pool}/{volume}"])

    def _must(self, arguments: Sequence[str]) -> None:
        code, _out, words = self._rbd(arguments)
        if code:
            raise self._failed(f"rbd {arguments[0]}", code, words)

    def _rbd(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        return self._run("rbd", ["--conf", self._conf, "--id", self._user, *arguments])

    def _run(self, program: str, arguments: Sequence[str]) -> tuple[int, str, str]:
        found = self._module.get_bin_path(program)
        if found is None:
            raise ImageError(f"{program} is not installed on this machine", remedy="run the task on a node")
        limited = [self._module.get_bin_path("timeout", required=True), "-k", "10", str(self._seconds)]
        result: tuple[int, str, str] = self._module.run_command([*limited, found, *arguments])
        return result

    def _failed(self, what: str, code: int, words: str) -> ImageError:
        if code in (124, 137):
            return ImageError(
                f"{what} did not end within {self._seconds} s",
                option="timeout",
                remedy="see `ceph status`, or wait longer",
            )
        last = words.strip().rpartition("\n")[2] or "nothing was said"
        return ImageError(f"{what} failed ({code}): {last}", remedy="remove the cause and run the task again")
