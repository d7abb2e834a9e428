# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of options as tasks and documents give them: what was left out, and sizes with units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import InvalidRequest


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given: Ansible has None for the others."""
    return {key: value for key, value in options.items() if value is not None}


def mebibytes(value: str, obj: str, option: str) -> int:
    """MiB from ``2048`` (MiB) or from a number with a unit, such as ``2G``."""
    size = int(value) << 20 if re.fullmatch(r"-?[0-9]+", value.strip()) else _bytes(value, obj, option)
    if size % (1 << 20):
        raise InvalidRequest(f"{value!r} is no whole number of MiB", obj=obj, option=option, remedy="round it to MiB")
    return size >> 20


def size_in_bytes(value: str, obj: str, option: str) -> int:
    """Bytes from a number with a unit, such as ``10G``; a plain number is bytes."""
    return int(value) if re.fullmatch(r"-?[0-9]+", value.strip()) else _bytes(value, obj, option)


def _bytes(value: str, obj: str, option: str) -> int:
    # Powers of two whatever the unit is spelled like, as QEMU and Ceph read them.
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT])(?:i?B)?", value.strip(), re.IGNORECASE)
    if not match:
        raise InvalidRequest(
            f"{value!r} is no size",
            obj=obj,
            option=option,
            remedy="give a number with the unit K, M, G or T, such as 10G",
        )
    return round(float(match[1]) * (1 << 10 * ("KMGT".index(match[2].upper()) + 1)))
