# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make check`: everything that can be checked without root and without the lab.

The parts do not depend on each other and run side by side, one per core, the long ones first. Each prints one line
when it ends; the output of a part that failed follows at once, all of it is kept in build/check/<part>.log.
`check.py PART...` runs these parts only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "check"


@dataclass(frozen=True)
class Part:
    """Commands that check one thing; they run in this order, the first that fails ends the part."""

    name: str
    commands: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Result:
    """How a part ended; `processor` is the processor time that it used, which another program's load does not change."""

    part: Part
    failed: bool
    seconds: float
    processor: float
    output: str

    @property
    def summary(self) -> str:
        """What pytest says last."""
        lines = [line for line in self.output.splitlines() if line.startswith("=")]
        return lines[-1] if lines else ""


PARTS = [
    # In two parts, since that is most of the work. What is new is in the first by itself.
    Part("pytest", [["pytest", "--ignore=tests/unit"]]),
    Part("pytest-unit", [["pytest", "tests/unit"]]),
    Part("ansible-test", [["tests/tools/sanity"]]),
    Part("ansible-lint", [["ansible-lint", "--nocolor", "-q"]]),
    Part(
        "antsibull-docs",
        [
            [
                "antsibull-docs",
                "lint-collection-docs",
                "--plugin-docs",
                "--validate-collection-refs=dependent",
                "--disallow-unknown-collection-refs",
                ".",
            ]
        ],
    ),
    Part("docs", [["python", "tests/tools/site.py"]]),
    Part("mypy", [["mypy", "--no-color-output"]]),
    Part("ruff", [["ruff", "check", "--quiet", "."], ["ruff", "format", "--check", "--quiet", "."]]),
    Part("changelog", [["antsibull-changelog", "lint"]]),
]


def run(part: Part) -> Result:
    """Runs the part from the root of the checkout, without a terminal, whatever the caller's directory."""
    started = time.monotonic()
    env = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        # ansible-lint looks there first: a copy of this collection in the user's own home must not be taken for it
        "ANSIBLE_HOME": str(ROOT / "build" / "ansible"),
        "NO_COLOR": "1",
    }
    output, processor, failed = "", 0.0, False
    for command in part.commands:
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            output += process.stdout.read()
            # wait4() instead of wait(): it also tells what the command and its children have used.
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        processor += usage.ru_utime + usage.ru_stime
        if process.returncode != 0:
            output += f"\n{' '.join(command)}: exit code {process.returncode}\n"
            failed = True
            break
    (LOGS / f"{part.name}.log").write_text(output)
    return Result(part, failed, time.monotonic() - started, processor, output)


def main(names: Sequence[str]) -> int:
    known = {part.name: part for part in PARTS}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"check: no part {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    parts = [known[name] for name in names] or PARTS
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    results: list[Result] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for future in as_completed([pool.submit(run, part) for part in parts]):
            result = future.result()
            results.append(result)
            print(f"{'FAILED' if result.failed else 'ok':<8}{result.part.name:<16}{result.seconds:6.1f} s", flush=True)
            if result.failed:
                print(f"\n--- {result.part.name} ---\n{result.output.rstrip()}", flush=True)
                print(f"--- end of {result.part.name} ---\n", flush=True)

    failed = [result.part.name for result in results if result.failed]
    print(f"\n{'part':<16}{'result':<8}{'time':>8}{'processor':>12}")
    for result in sorted(results, key=lambda result: parts.index(result.part)):
        outcome = "FAILED" if result.failed else "ok"
        print(f"{result.part.name:<16}{outcome:<8}{result.seconds:6.1f} s{result.processor:10.1f} s")
    for result in results:
        if result.part.name == "pytest":
            print(result.summary)
    verdict = f"FAILED: {', '.join(failed)}" if failed else f"all {len(results)} parts ok"
    print(f"check: {verdict} ({time.monotonic() - started:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
