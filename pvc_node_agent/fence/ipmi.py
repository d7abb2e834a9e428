# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""IPMI 2.0 over the network, by Debian's ipmitool: its arguments and its errors hold no secret.

ipmitool says the same when nobody answers as when the password is wrong. A question that needs no password tells the
two apart: devices answer the ping of RMCP, the protocol below IPMI.
"""

from __future__ import annotations

import re
import socket
import subprocess

from pvc_state.records import FenceDevice

from ..env import EffectFailed
from .credentials import Credentials
from .power import Refused, clean, host_and_port, options_of

PORT = 623

#: Seconds that one call of ipmitool may take, that it waits for an answer, and how often it asks again.
DEADLINE = 10.0
_WAIT, _RETRIES = 1, 2
#: An RMCP message of class ASF that asks for presence; the answer is one of type 0x40.
_PING = bytes.fromhex("06 00 ff 06  00 00 11 be 80 00 00 00")
_PONG = 0x40


class Ipmi:
    """One device. Args: deadline: other than the usual one is given to tests only."""

    def __init__(self, device: FenceDevice, credentials: Credentials, deadline: float = DEADLINE) -> None:
        self._device = device
        self._host, self._port = host_and_port(device.address, PORT)
        self._options = options_of(device)
        self._credentials = credentials
        self._deadline = deadline

    def order_off(self) -> None:
        answer = self._call("power", "off")
        if "Down/Off" not in answer:
            raise Refused(f"it does not accept the order: {clean(answer) or 'it says nothing'}")

    def read(self) -> str:
        answer = self._call("power", "status")
        match = re.search(r"^Chassis Power is (\w+)\s*$", answer, re.MULTILINE)
        if match is None:
            raise EffectFailed(f"it does not tell its power: {clean(answer) or 'it says nothing'}")
        return match[1]

    def _call(self, *words: str) -> str:
        """What ipmitool prints on its standard output; the other one holds warnings. Raises EffectFailed."""
        arguments = ["-I", "lanplus", "-H", self._host, "-p", str(self._port), "-N", str(_WAIT), "-R", str(_RETRIES)]
        arguments += ["-f", str(self._credentials.file(self._device.credential))]
        if self._device.username:
            arguments += ["-U", self._device.username]
        if "cipher_suite" in self._options:
            arguments += ["-C", self._options["cipher_suite"]]
        if "privilege" in self._options:
            arguments += ["-L", self._options["privilege"]]
        try:
            done = subprocess.run(
                ["ipmitool", *arguments, "chassis", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self._deadline,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EffectFailed(self._why_no_answer()) from None
        except OSError as err:
            raise EffectFailed(f"ipmitool cannot be started ({err.strerror}): install Debian's package") from None
        if done.returncode == 0:
            return done.stdout
        if "establish" in done.stderr:
            raise EffectFailed(self._why_no_session())
        raise Refused(f"it refuses `{' '.join(words)}`: {clean(done.stderr) or f'code {done.returncode}'}")

    def _why_no_session(self) -> str:
        if not self._is_there():
            return self._silence()
        user = self._device.username or "the user without a name"
        return (
            f"it answers, but does not let {user} in: check username, credential {self._device.credential}, "
            "privilege, and cipher_suite"
        )

    def _why_no_answer(self) -> str:
        if not self._is_there():
            return self._silence()
        hint = "" if "cipher_suite" in self._options else ": many are quicker with option cipher_suite, such as 17 or 3"
        return f"it is there, but does not answer within {self._deadline:g} s{hint}"

    def _silence(self) -> str:
        where = f"{self._host} port {self._port}"
        return f"nothing answers on {where}: check the address, and that IPMI over the network is enabled there"

    def _is_there(self) -> bool:
        """Whether anything that speaks RMCP is at the address."""
        try:
            family, _kind, _protocol, _name, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_DGRAM
            )[0]
            with socket.socket(family, socket.SOCK_DGRAM) as out:
                out.settimeout(_WAIT)
                out.connect(address)
                out.send(_PING)
                answer = out.recv(64)
        except OSError:
            return False
        return len(answer) > 8 and answer[3] == _PING[3] and answer[8] == _PONG
