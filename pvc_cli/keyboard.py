# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A key that ends what is shown live."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def on_key(keys: bytes, act: Callable[[], None]) -> Iterator[None]:
    """Call back once one of the keys is pressed, and leave the terminal as it was. Nothing without a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    done, over = os.pipe()

    def listen() -> None:
        while True:
            ready, _writable, _failed = select.select([terminal, done], [], [])
            if done in ready:
                return
            read = os.read(terminal, 64)
            if not read or any(key in keys for key in read):
                act()
                return

    thread = threading.Thread(target=listen, name="keyboard", daemon=True)
    try:
        tty.setcbreak(terminal)
        thread.start()
        yield
    finally:
        os.write(over, b"x")
        thread.join()
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        os.close(done)
        os.close(over)
