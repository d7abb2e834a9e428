# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server on loopback that remembers what was posted to it."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listener:
    """A web hook, and as much of AWX as launches a job template: what it is told is in ``posted``."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        #: When each of them came.
        self.times: list[float] = []
        self._changed = threading.Condition()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path.endswith("/config/"):
                    self.answer({"version": "24.6.1"})
                elif path.endswith("/unified_job_templates/"):
                    self.answer({"count": 1, "next": None, "results": [_template("Node report")]})
                else:
                    # AWX is asked for all jobs that were launched at once
                    jobs = [_job(number + 1) for number in range(len(listener.posted))]
                    self.answer({"count": len(jobs), "next": None, "results": jobs})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                number = listener.note(body)
                self.answer(_job(number), 201)

            def answer(self, body: dict[str, Any], status: int = 200) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_args: Any) -> None:
                """Tests say what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def note(self, body: dict[str, Any]) -> int:
        with self._changed:
            self.posted.append(body)
            self.times.append(time.monotonic())
            self._changed.notify_all()
            return len(self.posted)

    def await_posts(self, count: int, timeout: float = 90.0) -> list[dict[str, Any]]:
        """Until so many have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.posted) >= count, timeout), self.posted
            return list(self.posted)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _template(name: str) -> dict[str, Any]:
    asks = {f"ask_{what}_on_launch": what == "variables" for what in ("limit", "labels", "inventory", "variables")}
    related = {"launch": "/api/v2/job_templates/1/launch/"}
    organization = {"organization": {"name": "Default"}}
    return {
        "id": 1,
        "type": "job_template",
        "name": name,
        "related": related,
        "summary_fields": organization,
        **asks,
    }


def _job(number: int) -> dict[str, Any]:
    url = f"/api/v2/jobs/{number}/"
    return {
        "id": number,
        "type": "job",
        "name": "Node report",
        "url": url,
        "status": "successful",
        "created": "2026-01-01T00:00:00Z",
        "artifacts": {},
    }
