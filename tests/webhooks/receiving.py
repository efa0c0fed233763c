"""Receivers to test against, in a thread or as the command, and what a sender does."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import httpx

from oa_sync.clock import Clock
from oa_sync.webhooks.inbox import Inbox, inbox_folder
from oa_sync.webhooks.receiver import PATH, ReceiverLimits
from oa_sync.webhooks.server import WebhookServer, listen
from oa_sync.webhooks.signature import SECRET_VARIABLE, SIGNATURE_HEADER

SECRET = "whsec_of_the_tests_3f9a"
OLD_SECRET = "whsec_before_rotation_77"
_LISTENING = re.compile(rb"listening on (https?)://127\.0\.0\.1:(\d+)/")


def run_body(number: int = 1, status: str = "completed") -> bytes:
    return json.dumps({"run_id": f"run_{number}", "status": status}).encode()


def sign(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def request_head(body: bytes, length: int | None = None, *extra: str) -> bytes:
    """The head of a signed delivery, for a raw socket."""
    lines = (
        f"POST {PATH} HTTP/1.1",
        "Host: 127.0.0.1",
        f"{SIGNATURE_HEADER}: {sign(body)}",
        f"Content-Length: {len(body) if length is None else length}",
        *extra,
    )
    return "\r\n".join((*lines, "\r\n")).encode()


@dataclass(frozen=True)
class Receiving:
    """A receiver on `port` and the inbox it writes to."""

    port: int
    inbox: Inbox
    scheme: str = "http"

    def post(self, body: bytes, signature: str | None = None, **headers: str) -> httpx.Response:
        """Deliver `body`, signed rightly unless `signature` says otherwise."""
        headers[SIGNATURE_HEADER] = sign(body) if signature is None else signature
        # verify=False: loading the certificates of the world takes longer than the whole request.
        return httpx.post(
            self.url(PATH),
            content=body,
            headers=headers,
            trust_env=False,
            verify=False,
            timeout=60,
        )

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    def connect(self) -> socket.socket:
        """A raw connection; reads give up after a minute."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def bodies(self) -> list[bytes]:
        """What waits in the inbox."""
        return [delivery.body for delivery in self.inbox.drain()]


class SlowDisk(Inbox):
    """Each commit waits until the test lets the disk go on."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder, clock)
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.commits: list[int] = []

    def append_all(self, deliveries: Sequence[tuple[bytes, datetime]]) -> list[bool]:
        self.commits.append(len(deliveries))
        self.begun.release()
        assert self.go_on.acquire(timeout=60)
        return super().append_all(deliveries)


@contextmanager
def receiving(
    folder: Path,
    secrets: tuple[str, ...] = (SECRET,),
    limits: ReceiverLimits | None = None,
    make_inbox: Callable[[Path, Clock], Inbox] = Inbox,
    tls: tuple[Path, Path] | None = None,
) -> Iterator[Receiving]:
    """Serve in a thread on a free port."""
    with closing(make_inbox(folder, Clock())) as inbox:
        server = WebhookServer(inbox, secrets, limits, tls=tls)
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.serve, args=(listener,))
        thread.start()
        try:
            yield Receiving(port, inbox, "https" if tls else "http")
        finally:
            server.stop()
            thread.join()


class Log:
    """Reads the stderr of a process as it comes, so that the process never waits for a reader."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._text = b""
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def until(self, text: bytes) -> bytes:
        """The log so far, once it holds `text`."""
        with self._news:
            self._news.wait_for(lambda: text in self._text or self._ended, timeout=60)
            assert text in self._text, self._text.decode()
            return self._text

    def whole(self) -> bytes:
        """The log of a process that was told to end."""
        self._thread.join(60)
        return self._text

    def _read(self) -> None:
        for line in self._stream:
            with self._news:
                self._text += line
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


@dataclass(frozen=True)
class Command:
    """`oa-sync webhook serve` in a process of its own; `receiving.inbox` is opened beside it."""

    process: subprocess.Popen[bytes]
    receiving: Receiving
    scheme: str
    log: Log


@contextmanager
def serving(home: Path, *flags: str, secret: str = SECRET) -> Iterator[Command]:
    """Run the command on a free port; kill it at the end of the block."""
    program = "from oa_sync.cli.webhook import webhook; webhook()"
    command = [sys.executable, "-c", program, "serve", "--port", "0", "--home", str(home), *flags]
    environment = {**os.environ, SECRET_VARIABLE: secret}
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        log = Log(process.stderr)
        try:
            match = _LISTENING.search(log.until(PATH.encode()))
            assert match is not None
            with closing(Inbox(inbox_folder(home, "default"), Clock())) as inbox:
                receiver = Receiving(int(match[2]), inbox)
                yield Command(process, receiver, match[1].decode(), log)
        finally:
            process.kill()
            log.whole()
