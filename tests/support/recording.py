"""A server that keeps every byte it was sent, for tests that ask what arrived where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[str], tuple[int, Mapping[str, str], Any]]
"""From the text of a request (line, headers, body) to status, headers and JSON body."""


def nothing(request: str) -> tuple[int, Mapping[str, str], Any]:
    """An empty list."""
    paging = {"total": 0, "has_more": False, "cursor": None}
    return 200, {}, {"data": [], "meta": {"total": 0}, "pagination": paging}


class Recorder:
    """`heard` has every request as text: line, headers and body. `answer` says what is answered."""

    def __init__(self, port: int, answer: Answer) -> None:
        self.host, self.heard, self.answer = f"127.0.0.1:{port}", list[str](), answer

    @property
    def url(self) -> str:
        """Where it listens, without a closing slash."""
        return f"http://{self.host}"

    def got(self, secret: str) -> bool:
        """Whether any request held `secret`."""
        return any(secret in request for request in self.heard)


@contextmanager
def recording(answer: Answer = nothing) -> Iterator[Recorder]:
    """A server for the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def keep(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.heard.append(f"{self.requestline}\n{self.headers}{body.decode()}")
            status, headers, told = server.answer(server.heard[-1])
            payload = json.dumps(told).encode()
            self.send_response(status)
            sent = {"Content-Type": "application/json", "Content-Length": str(len(payload))}
            for name, value in {**sent, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = keep  # noqa: N815 - as inherited

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
            """Keep test output quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = Recorder(int(httpd.server_address[1]), answer)
    Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
