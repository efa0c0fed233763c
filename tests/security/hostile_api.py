"""An API whose every text wants to act on the terminal of whoever reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

EVIL = "\x1b]0;owned\x07\x1b[2J\rforged\u202e\u2066\x9b31m\x7f\u2028\x85\ue000[red]\\[/red]\nforged line"
"""Renames and clears the terminal, writes over the line, turns text around, colours it, adds a line."""

NAME = EVIL[: EVIL.index("\n")].replace("/", "|")
"""The same as the name of a file: without the line."""

SOFT = "forged\u202e\u2066\x9b31m\x7f\u2028\x85\ue000[red]"
"""What a setting may hold: nothing below 32."""

_ROW = {
    "id": f"id{EVIL}",
    "name": EVIL,
    "title": EVIL,
    "status": NAME,
    "format": NAME,
    "updated_at": "2026-01-01T00:00:00Z",
    f"key{EVIL}": EVIL,
}
_HOOK = {"id": EVIL, "url": f"https://{EVIL}", "events": [EVIL, EVIL], "signing_key": "whsec_1"}


def _answer(path: str, method: str) -> tuple[int, Any]:
    parts = path.strip("/").split("/")
    if parts[1:] == ["webhooks"]:
        return 200, {"data": [_HOOK]} if method == "GET" else _HOOK
    if method != "GET":
        return 200, {"run_id": EVIL, "session_id": EVIL, "id": EVIL, "status": NAME}
    if len(parts) == 2 or parts[1:] == ["agents", "runs"]:
        rows = [_ROW, {**_ROW, "id": None}, {**_ROW, "id": "plain"}]
        meta = {"page": 1, "per_page": 100, "total": len(rows), "total_pages": 1}
        return 200, {"data": rows, "meta": meta}
    return (200, {**_ROW, "id": "plain"}) if parts[-1] == "plain" else (422, _ERROR)


_ERROR = {"error": {"code": EVIL, "message": EVIL, "request_id": EVIL}, "message": EVIL}


@contextmanager
def hostile_api(*, refuses: bool = False) -> Iterator[str]:
    """Serve on loopback for the block, and give the base URL. `refuses`: every answer is an error."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = _answer(urlsplit(self.path).path, self.command)
            payload = json.dumps(_ERROR if refuses else body).encode()
            self.send_response(422 if refuses else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.send_header("X-Request-Id", "\x9b31m")
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = do_PUT = _any  # noqa: N815 - as http.server calls them

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
            """Keep test output quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}/v1"
    finally:
        httpd.shutdown()
        httpd.server_close()
