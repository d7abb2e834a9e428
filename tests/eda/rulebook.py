# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-rulebook as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EDA = ROOT / "extensions" / "eda"

#: Java, Ansible and this machine's other work: none of them is what is tested.
PATIENCE = 90.0


class Rulebook:
    """A running ansible-rulebook; ends with the with block.

    Args:
        name: of a rulebook of the collection, or a file.
        variables: environment variables that the rulebook may use.
    """

    def __init__(
        self, name: str | Path, log: Path, environment: Mapping[str, str], variables: Mapping[str, str]
    ) -> None:
        self._name = str(name)
        self.log = log
        self._environment = {**environment, **variables}
        self._arguments = ["--env-vars", ",".join(variables)] if variables else []

    def start(self, *arguments: str) -> Rulebook:
        env = {
            **os.environ,
            **self._environment,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "EDA_JOB_TEMPLATE_REFRESH_DELAY": "0.2",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    # it dies with the tests, also when they are killed
                    *("setpriv", "--pdeathsig", "TERM"),
                    *("ansible-rulebook", "--rulebook", self._name, *self._arguments, *arguments),
                ],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def await_file(self, path: Path) -> None:
        """Until the source has begun: it says so by the file that remembers where."""
        self._await(path.exists)

    def await_text(self, text: str) -> None:
        """Until it has said so."""
        self._await(lambda: text in self.text)

    def _await(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert self._process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)  # ansible-rulebook tells nobody that it has started

    def stop(self) -> None:
        """As systemd does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self._process.wait(PATIENCE)

    def __enter__(self) -> Rulebook:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")
