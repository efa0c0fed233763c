"""A result of any size over real HTTP, written row by row: the server holds none of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

BLOCK = 1000


@contextmanager
def endless_query(rows: int) -> Iterator[str]:
    """The base URL of an API whose every query has so many rows: in the page dialect they are the answer,
    in the cursor dialect the result that is asked for by id."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if self.path.endswith("/run"):
                self._begin(202)
                self.wfile.write(b'{"id":"q1","status":"queued"}')
            else:
                self._rows(b"data")

        def do_GET(self) -> None:
            self._rows(b"rows")

        def _begin(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()

        def _rows(self, name: bytes) -> None:
            self._begin(200)
            self.wfile.write(b'{"id":"q1","status":"completed","%b":[' % name)
            for start in range(0, rows, BLOCK):
                block = b",".join(row(n) for n in range(start, min(start + BLOCK, rows)))
                self.wfile.write(block if start == 0 else b"," + block)
            self.wfile.write(b'],"row_count":%d}' % rows)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
            """Keep test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def row(number: int) -> bytes:
    return (
        b'{"number":%d,"half":%d.5,"name":"row %d","region":"North by Northwest",'
        b'"note":"The quick brown fox jumps over the lazy dog, as it does in every row of this table",'
        b'"day":"2026-01-%02d"}' % (number, number, number, number % 28 + 1)
    )
