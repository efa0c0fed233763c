"""Any JSON API in a few lines: paths to functions, served over real HTTP on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = Callable[[dict[str, str]], Any]
"""From the query parameters to the JSON body, or to a `Told`; None answers 404."""


@dataclass(frozen=True)
class Told:
    """An answer that is more than a JSON body. `body` None: no body at all."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Server:
    """`asked` lists (path, query) of every request; `base_url` has no slash at its end."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: list[Mapping[str, str]] = []


@contextmanager
def json_api(
    routes: Mapping[str, Answer], now: Callable[[], datetime] | None = None
) -> Iterator[Server]:
    """Serve `routes` for the block, with the time of `now` (UTC) in the header `Date`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query))
            server.asked.append((parts.path, query))
            server.headers.append(dict(self.headers.items()))
            answer = routes.get(parts.path)
            told = answer(query) if answer else None
            if told is None:
                told = Told({"error": "no such thing"}, 404)
            elif not isinstance(told, Told):
                told = Told(told)
            payload = b"" if told.body is None else json.dumps(told.body).encode()
            self.send_response(told.status)
            self.send_header("Content-Type", "application/json")
            if told.status != 204:
                self.send_header("Content-Length", str(len(payload)))
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def date_time_string(self, timestamp: float | None = None) -> str:
            if now is None:
                return super().date_time_string(timestamp)
            return format_datetime(now(), usegmt=True)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
            """Keep test output quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
