# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that writes to PostgreSQL whoever leads, as any client would: libpq finds the leader.

    writer.py write HOSTS LOG STOP  inserts 1, 2, 3, … into the table `written`, each in a transaction of its own, and appends each
                                    number that was acknowledged to LOG with the time; until the file STOP appears
    writer.py compare HOSTS LOG     which of the numbers in LOG the database has not, and how long the longest pause was

The password comes from the file that PGPASSFILE names.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import pairwise

import psycopg2

#: Seconds after which a writer ends by itself.
LIMIT = 300


def connect(hosts: str) -> psycopg2.extensions.connection:
    """A connection to the leader; a peer that says nothing is given up after two seconds."""
    connection = psycopg2.connect(
        host=hosts,
        dbname="lab",
        user="lab",
        sslmode="verify-full",
        sslrootcert="/etc/pvc/tls/ca.pem",
        target_session_attrs="read-write",
        connect_timeout=2,
        tcp_user_timeout=2000,
    )
    connection.autocommit = True
    return connection


def write(hosts: str, log: str, stop: str) -> None:
    """Write until told to stop, through whatever happens to the connection."""
    start, number, connection = time.monotonic(), 0, None
    with open(log, "w", encoding="ascii", buffering=1) as file:
        while not os.path.exists(stop) and time.monotonic() - start < LIMIT:
            try:
                if connection is None:
                    connection = connect(hosts)
                    if number == 0:
                        connection.cursor().execute("DROP TABLE IF EXISTS written; CREATE TABLE written (number int)")
                number += 1
                connection.cursor().execute("INSERT INTO written VALUES (%s)", (number,))
                file.write(f"{number} {time.monotonic() - start:.3f}\n")
                time.sleep(0.02)
            except psycopg2.Error as error:
                print(f"{time.monotonic() - start:.3f} {error}".strip(), file=sys.stderr)
                connection = None
                time.sleep(0.1)


def compare(hosts: str, log: str) -> dict[str, object]:
    """What the log says was acknowledged, beside what the database has."""
    with open(log, encoding="ascii") as file:
        lines = [line.split() for line in file]
    times = [float(moment) for _number, moment in lines]
    cursor = connect(hosts).cursor()
    cursor.execute("SELECT number FROM written")
    present = {number for (number,) in cursor.fetchall()}
    return {
        "acknowledged": len(lines),
        "lost": [int(number) for number, _moment in lines if int(number) not in present],
        "longest_pause": round(max(after - before for before, after in pairwise(times)), 2),
    }


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*sys.argv[2:])
    else:
        print(json.dumps(compare(*sys.argv[2:])))
