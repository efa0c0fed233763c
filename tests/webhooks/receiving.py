"""Receivers to test against, in a thread or as the command, and what a sender does."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

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

    def post(self, body: bytes, signature: str | None = None, **headers: str) -> httpx.Response:
        """Deliver `body`, signed rightly unless `signature` says otherwise."""
        headers[SIGNATURE_HEADER] = sign(body) if signature is None else signature
        return httpx.post(self.url(PATH), content=body, headers=headers, trust_env=False)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def connect(self) -> socket.socket:
        """A raw connection; reads give up after 10 s."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def bodies(self) -> list[bytes]:
        """What waits in the inbox."""
        return [delivery.body for delivery in self.inbox.drain()]


@contextmanager
def receiving(
    folder: Path,
    secrets: tuple[str, ...] = (SECRET,),
    limits: ReceiverLimits | None = None,
    make_inbox: Callable[[Path, Clock], Inbox] = Inbox,
) -> Iterator[Receiving]:
    """Serve in a thread on a free port."""
    with closing(make_inbox(folder, Clock())) as inbox:
        server = WebhookServer(inbox, secrets, limits)
        listener = listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.serve, args=(listener,))
        thread.start()
        try:
            yield Receiving(port, inbox)
        finally:
            server.stop()
            thread.join()


@dataclass(frozen=True)
class Command:
    """`oa-sync webhook serve` in a process of its own; `inbox` is opened beside it."""

    process: subprocess.Popen[bytes]
    receiving: Receiving
    scheme: str
    log: bytearray

    def log_until(self, text: bytes) -> bytes:
        """The log so far, once it holds `text` or has ended."""
        assert self.process.stderr is not None
        descriptor = self.process.stderr.fileno()
        while text not in self.log:
            assert select.select([descriptor], [], [], 30)[0], bytes(self.log)
            part = os.read(descriptor, 65536)
            if not part:
                break
            self.log.extend(part)
        return bytes(self.log)

    def end(self) -> tuple[int, bytes]:
        """Exit code and whole log of the process, which must have been told to end."""
        log = self.log_until(b"\0 never logged")
        return self.process.wait(30), log


@contextmanager
def serving(home: Path, *flags: str, secret: str = SECRET) -> Iterator[Command]:
    """Run the command on a free port until the block ends."""
    program = "from oa_sync.cli.webhook import webhook; webhook()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "serve", "--port", "0", "--home", str(home), *flags],
        stderr=subprocess.PIPE,
        env={**os.environ, SECRET_VARIABLE: secret},
    )
    log = bytearray()
    try:
        with closing(Inbox(inbox_folder(home, "default"), Clock())) as inbox:
            started = Command(process, Receiving(0, inbox), "", log)
            match = _LISTENING.search(started.log_until(PATH.encode()))
            assert match is not None, bytes(log)
            yield Command(process, Receiving(int(match[2]), inbox), match[1].decode(), log)
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
