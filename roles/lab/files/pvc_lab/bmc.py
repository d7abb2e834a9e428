# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The management controller of one machine: it answers by IPMI and by Redfish, and behaves as it is told.

A small script is the machine behind both: it reads and moves the power. What it says of the power is always true; how
it treats orders can be changed at any time.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from .daemon import is_locked, locked, wait_for, write_atomically
from .redfish import Service
from .shell import LabError, run

USER = "fence"

BEHAVIOURS = {
    "obey": "carries orders out",
    "refuse": "answers orders with an error",
    "lie": "accepts orders and does nothing",
    "lag": "accepts orders and carries them out some seconds later",
    "dead": "answers nothing at all",
}

SCRIPT = """\
#!/bin/sh
# The machine behind the controller: NAME get power | NAME set power 0|1
cd {directory} || exit 1
behaviour=$(cat behaviour)
order() {{ setsid {switch} "$1" >>orders.log 2>&1 </dev/null & }}
case "$2 $3 $4" in
    "get power "*) if {is_off}; then echo power:0; else echo power:1; fi; exit ;;
    "set power 0") word=off ;;
    "set power 1") word=on ;;
    *) exit 1 ;;
esac
case $behaviour in
    obey) order "$word" ;;
    "lag "*) (sleep "${{behaviour#lag }}"; order "$word") >/dev/null 2>&1 </dev/null & ;;
    lie) ;;
    *) exit 1 ;;
esac
"""

SIMULATOR = """\
name "{name}"
set_working_mc 0x20
  startlan 1
    addr {host} {port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid {guid}
  endlan
  chassis_control "{script} {name}"
  user 1 false "" "" user 10 none md2 md5 straight
  user 2 true "{user}" "{password}" admin 10 none md2 md5 straight
"""

CONTROLLER = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02
mc_enable 0x20
"""


@dataclass(frozen=True)
class Bmc:
    """One controller.

    Attributes:
        directory: its own folder. host, ipmi_port, redfish_port: where it answers.
        switch: the command that moves the machine's power, without its last word, on or off.
        is_off: a command of the shell that succeeds when the machine is off.
    """

    name: str
    directory: Path
    host: str
    ipmi_port: int
    redfish_port: int
    password: str
    switch: Sequence[str]
    is_off: str

    @property
    def script(self) -> Path:
        """The machine behind it."""
        return self.directory / "machine"

    @property
    def certificate(self) -> Path:
        """What its Redfish service shows, self-signed."""
        return self.directory / "cert.pem"

    def behaviour(self) -> str:
        """How it treats orders now."""
        return self.read("behaviour") or "obey"

    def behave(self, words: Sequence[str]) -> bool:
        """Change how it treats orders; tells whether that is something else than before."""
        text = " ".join(words)
        if not re.fullmatch(r"obey|refuse|lie|dead|lag \d{1,3}", text):
            raise LabError(f"a controller cannot '{text}': it can {', '.join(BEHAVIOURS)}; lag takes seconds")
        if text == self.behaviour():
            return False
        write_atomically(self.directory / "behaviour", text + "\n")
        if (number := self.pid()) is not None:
            os.kill(number, signal.SIGHUP)
            wait_for(lambda: self.answers() or None, 10, f"the controller of '{self.name}' does not listen")
        return True

    def pid(self) -> int | None:
        """Its process, while it runs."""
        return int(self.read("pid") or 0) or None if is_locked(self.directory / "lock") else None

    def answers(self) -> bool:
        """Whether it runs, and behaves as it was told."""
        return self.pid() is not None and self.read("applied") == self.behaviour()

    def read(self, name: str) -> str:
        """One of its small files; empty when it is not there."""
        try:
            return (self.directory / name).read_text().strip()
        except FileNotFoundError:
            return ""

    def prepare(self) -> None:
        """Write what it needs to run."""
        if re.search(r'[\s"\\]', self.password) or not 0 < len(self.password) <= 16:
            raise LabError(
                "the controllers' password must have 1 to 16 characters, without blanks, quotes and backslashes"
            )
        (self.directory / "state").mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        if not (self.directory / "behaviour").exists():
            write_atomically(self.directory / "behaviour", "obey\n")
        script = SCRIPT.format(
            directory=shlex.quote(str(self.directory)), switch=shlex.join(self.switch), is_off=self.is_off
        )
        write_atomically(self.script, script)
        self.script.chmod(0o755)
        write_atomically(
            self.directory / "ipmi.conf",
            SIMULATOR.format(
                name=self.name,
                host=self.host,
                port=self.ipmi_port,
                guid=self.name.encode().hex().ljust(32, "0")[:32],
                script=self.script,
                user=USER,
                password=self.password,
            ),
        )
        write_atomically(self.directory / "ipmi.emu", CONTROLLER)
        key = self.directory / "key.pem"
        if not self.certificate.exists():
            names = f"subjectAltName=IP:{ip_address(self.host)}"
            openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            openssl += ["-subj", f"/CN={self.name}-bmc", "-addext", names, "-days", "3650", "-keyout", str(key)]
            run(*openssl, "-out", str(self.certificate))

    def run(self) -> None:
        """Answer until told to end; SIGHUP tells that the behaviour has changed. For the main thread only."""
        with locked(self.directory / "lock", 5, f"the controller of '{self.name}' runs already"):
            (self.directory / "applied").unlink(missing_ok=True)
            write_atomically(self.directory / "pid", f"{os.getpid()}\n")
            self.prepare()
            wanted = {signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
            signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
            service = Service((self.host, self.redfish_port), self)
            threading.Thread(target=service.serve_forever, name="redfish", daemon=True).start()
            simulator = self.start_simulator()
            try:
                self.obey_signals(simulator, wanted)
            finally:
                simulator.kill()
                simulator.wait()
                service.server_close()

    def obey_signals(self, simulator: subprocess.Popen[bytes], wanted: set[signal.Signals]) -> None:
        """Behave as told until told to end. Raises LabError when the simulator ends by itself."""
        while True:
            behaviour = self.behaviour()
            simulator.send_signal(signal.SIGSTOP if behaviour == "dead" else signal.SIGCONT)
            write_atomically(self.directory / "applied", behaviour + "\n")
            number = signal.sigwait(wanted)
            if number == signal.SIGCHLD and simulator.poll() is not None:
                raise LabError(f"ipmi_sim ended with status {simulator.returncode}; see {self.directory}/ipmi.log")
            if number in (signal.SIGTERM, signal.SIGINT):
                return

    def start_simulator(self) -> subprocess.Popen[bytes]:
        """ipmi_sim from Debian's openipmi. It dies with this process, whatever ends that."""
        command = ["setpriv", "--pdeathsig", "KILL", "ipmi_sim", "-n", "-c", str(self.directory / "ipmi.conf")]
        command += ["-f", str(self.directory / "ipmi.emu"), "-s", str(self.directory / "state")]
        with (self.directory / "ipmi.log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, set()),
            )

    def power(self) -> str:
        """on or off, as the machine is."""
        answer = subprocess.run([self.script, self.name, "get", "power"], capture_output=True, text=True, check=False)
        return "off" if answer.stdout.strip() == "power:0" else "on"

    def order(self, word: str) -> bool:
        """Give an order; tells whether it was accepted."""
        value = {"on": "1", "off": "0"}[word]
        return subprocess.run([self.script, self.name, "set", "power", value], check=False).returncode == 0
