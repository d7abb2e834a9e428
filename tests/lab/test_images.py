# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image is named by all that it is made from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pvc_lab.config import Lab, parse_lab
from pvc_lab.images import folder, layers, prune, suite_of


def test_a_layered_image_stands_on_its_base(lab: Lab) -> None:
    assert layers(lab, "warm") == [folder(lab, lab.image("warm")), folder(lab, lab.image("base"))]
    assert suite_of(lab, "warm") == "trixie"


@pytest.mark.parametrize(
    ("image", "change", "affected"),
    [
        ("base", {"packages": ["systemd", "python3", "less"]}, {"base", "warm"}),
        ("base", {"suite": "bookworm"}, {"base", "warm"}),
        ("warm", {"packages": ["ceph-mon"]}, {"warm"}),
        ("base", {"packages": ["python3", "systemd", "systemd"]}, set()),
    ],
)
def test_a_changed_recipe_is_another_image(
    lab: Lab, lab_data: dict[str, Any], image: str, change: dict[str, Any], affected: set[str]
) -> None:
    lab_data["images"][image].update(change)
    other = parse_lab(lab_data)
    changed = {name for name in lab.images if folder(lab, lab.image(name)) != folder(other, other.image(name))}
    assert changed == affected


def test_the_skeleton_belongs_to_the_recipe(lab: Lab) -> None:
    before = folder(lab, lab.image("warm"))
    (lab.directory / "skeleton/etc").mkdir(parents=True)
    (lab.directory / "skeleton/etc/motd").write_text("hello\n")
    assert folder(lab, lab.image("warm")) != before


def test_only_images_that_nobody_needs_are_removed(lab: Lab) -> None:
    images = lab.directory / "images"
    current = layers(lab, "warm")
    old, older, half, foreign = (
        "warm-000000000001",
        "warm-000000000002",
        "base-000000000003.partial",
        "other-000000000004",
    )
    for path in [*current, images / old, images / older, images / half, images / foreign]:
        path.mkdir(parents=True)
    node = lab.directory / "nodes/node1"
    node.mkdir(parents=True)
    (node / "layers.json").write_text(json.dumps([str(images / old), str(current[1])]))
    assert prune(lab) == [half, older]
    assert sorted(images.iterdir()) == sorted([*current, images / old, images / foreign])
