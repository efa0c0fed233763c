"""An API that answers with the exact bytes it is given, over real HTTP on loopback."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Reply = bytes | tuple[int, Mapping[str, str], bytes]
"""The body of a 200, or status, headers and body."""


@dataclass
class RawApi:
    """`asked` counts the paths, with their queries, in order. A path without a reply answers 404."""

    base_url: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    in_turn: list[str] = field(default_factory=list)

    def reply(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
        """What is answered to `path`, its query included."""
        self.asked[path] += 1
        self.in_turn.append(path)
        found = self.replies.get(path, (404, {}, b'{"error":"no such thing"}'))
        return (200, {}, found) if isinstance(found, bytes) else found


@contextmanager
def raw_api(**replies: Reply) -> Iterator[RawApi]:
    """Serve `replies` (path without its slash) for the block."""
    api = RawApi(replies={f"/{path}": reply for path, reply in replies.items()})
    with answering(api.reply) as api.base_url:
        yield api


@contextmanager
def answering(
    answer: Callable[[str], tuple[int, Mapping[str, str], bytes]],
    now: Callable[[], datetime] | None = None,
) -> Iterator[str]:
    """Serve what `answer` says to a path with its query, whether by GET or POST, with the time of `now` (UTC) in
    the header `Date`. Gives the base URL, without a slash at its end."""
    httpd = _Server(("127.0.0.1", 0), _handler(answer, now))
    httpd.daemon_threads = True
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        httpd.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is told of a client that hangs up: a page that was asked for ahead may not be needed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _handler(
    answer: Callable[[str], tuple[int, Mapping[str, str], bytes]],
    now: Callable[[], datetime] | None,
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def date_time_string(self, timestamp: float | None = None) -> str:
            if now is None:
                return super().date_time_string(timestamp)
            return format_datetime(now(), usegmt=True)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
            """Keep test output quiet."""

    return Handler
