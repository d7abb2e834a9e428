# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints what a path of the cluster's tree holds: nothing when it is not there.

tree.py PATH    the modules' connection options come as JSON on standard input
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "plugins" / "module_utils"))

from pvc_state import kazoo_store
from pvc_state.connection import Connection


def main() -> None:
    options = json.load(sys.stdin)
    store = kazoo_store.connect(Connection(**{"username": "pvc", **options, "hosts": tuple(options["hosts"])}))
    try:
        znode = store.get(sys.argv[1])
    finally:
        store.close()
    if znode is not None:
        print(znode.data.decode())


if __name__ == "__main__":
    main()
