# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that writes to PostgreSQL whoever leads, as any client would: libpq finds the leader.

It inserts 1, 2, 3, … into a table `written`, each in a transaction of its own, and writes each number that was acknowledged to
a log with the time since the start. Run as: python3 writer.py HOSTS SECONDS LOG, with the password in PGPASSFILE.
"""

from __future__ import annotations

import sys
import time

import psycopg2


def connect(hosts: str) -> psycopg2.extensions.connection:
    """A connection to the leader; a dead peer is given up after 2 seconds."""
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


def main() -> None:
    hosts, seconds, log = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    start = time.monotonic()
    connection, number = None, 0
    with open(log, "w", encoding="ascii", buffering=1) as file:
        while time.monotonic() - start < seconds:
            try:
                if connection is None:
                    connection = connect(hosts)
                    connection.cursor().execute("CREATE TABLE IF NOT EXISTS written (number int)")
                number += 1
                connection.cursor().execute("INSERT INTO written VALUES (%s)", (number,))
                file.write(f"{number} {time.monotonic() - start:.3f}\n")
                time.sleep(0.02)
            except psycopg2.Error as error:
                print(f"{time.monotonic() - start:.3f} {error}".strip(), file=sys.stderr)
                connection = None
                time.sleep(0.1)


if __name__ == "__main__":
    main()
