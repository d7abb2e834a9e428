# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make docs`: the site of docs/, with the reference of all plugins and roles, in build/site.

Everything that is generated stays in build/: the sources are put together there. Needs nothing from the network.
A warning of Sphinx (a link that leads nowhere, a page that nobody links to) is an error.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs"
SOURCES = ROOT / "build" / "site-source"
SITE = ROOT / "build" / "site"


def main() -> int:
    shutil.rmtree(SOURCES, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.copytree(PAGES, SOURCES)
    reference = SOURCES / "reference"
    reference.mkdir(mode=0o755)
    generate = [
        "antsibull-docs",
        "collection",
        "--use-current",
        "--squash-hierarchy",
        "--no-add-antsibull-docs-version",
        "--dest-dir",
        str(reference),
        "pvc.cluster",
    ]
    build = ["sphinx-build", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html", "-c", str(PAGES)]
    for command in (generate, [*build, str(SOURCES), str(SITE)]):
        done = subprocess.run(command, cwd=ROOT, check=False)
        if done.returncode != 0:
            print(f"site: {command[0]} has failed", file=sys.stderr)
            return done.returncode
    print(f"{SITE / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
