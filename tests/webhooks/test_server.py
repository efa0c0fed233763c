"""Listening, serving and stopping, inside this process."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from oa_sync.errors import ConfigurationError
from oa_sync.webhooks.inbox import BUSY_SECONDS, Inbox
from oa_sync.webhooks.receiver import PATH, ReceiverLimits
from oa_sync.webhooks.server import WebhookServer, listen
from tests.support.certificates import self_signed
from tests.support.clock import START, ManualClock
from tests.webhooks.receiving import SECRET, Receiving, receiving, request_head, run_body


@contextmanager
def served(
    folder: Path, listener: socket.socket | None = None
) -> Iterator[tuple[WebhookServer, Receiving]]:
    """A server in a thread, on a clock that stands still."""
    clock = ManualClock()
    with closing(Inbox(folder, clock)) as inbox:
        server = WebhookServer(inbox, (SECRET,), clock=clock)
        listener = listener or listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        thread = threading.Thread(target=server.serve, args=(listener,))
        thread.start()
        try:
            yield server, Receiving(port, inbox)
        finally:
            server.stop()
            thread.join()


def test_a_port_can_be_listened_on_again_at_once(tmp_path: Path) -> None:
    with closing(listen("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with closing(socket.create_connection(("127.0.0.1", port))) as client:
            # The side that closes first keeps the port for a minute.
            listener.accept()[0].close()
            assert client.recv(1) == b""
    with closing(listen("127.0.0.1", port)) as again:
        assert again.getsockname()[1] == port


def test_a_taken_port_and_a_strange_address_are_told() -> None:
    with closing(listen("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError) as refused:
            listen("127.0.0.1", port)
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in str(refused.value)
    with pytest.raises(ConfigurationError, match=r"cannot listen on 192\.0\.2\.1 port 0: "):
        listen("192.0.2.1", 0)
    with pytest.raises(ConfigurationError, match="port 0: no host has such a name; choose another"):
        listen("x" * 64 + ".example", 0)


def test_tls_files_are_looked_at_before_anybody_listens(tmp_path: Path) -> None:
    missing = (tmp_path / "certificate.pem", tmp_path / "key.pem")
    with (
        closing(Inbox(tmp_path, ManualClock())) as inbox,
        pytest.raises(ConfigurationError, match=r"certificate\.pem.*No such file") as refused,
    ):
        WebhookServer(inbox, (SECRET,), tls=missing)
    assert "PEM certificate with its chain" in str(refused.value)


def test_deliveries_over_tls_are_taken_and_a_key_that_everybody_may_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = self_signed(tmp_path)
    files[1].chmod(0o644)
    with receiving(tmp_path / "inbox", tls=files) as receiver:
        assert receiver.post(run_body()).status_code == 200
    assert f"everybody on this machine may read {files[1]}" in caplog.text


@pytest.mark.parametrize(("read_seconds", "grace"), [(30.0, 30), (0.2, 1)])
def test_a_stop_leaves_time_for_a_body_to_arrive_and_to_be_written(
    tmp_path: Path, read_seconds: float, grace: int
) -> None:
    with closing(Inbox(tmp_path, ManualClock())) as inbox:
        server = WebhookServer(inbox, (SECRET,), ReceiverLimits(read_seconds=read_seconds))
    assert server._server.config.timeout_graceful_shutdown == grace + BUSY_SECONDS


def test_a_delivery_is_stamped_by_the_clock_and_the_answer_does_not_name_the_server(
    tmp_path: Path,
) -> None:
    with served(tmp_path) as (_, receiving):
        answer = receiving.post(run_body())
        assert (answer.status_code, "server" in answer.headers) == (200, False)
        assert [delivery.received_at for delivery in receiving.inbox.drain()] == [START]


def test_a_burst_of_connections_waits_in_the_kernel_and_is_accepted_in_pieces(
    tmp_path: Path,
) -> None:
    may_wait: list[int] = []

    class Noted(socket.socket):
        def listen(self, backlog: int = 0, /) -> None:
            may_wait.append(backlog)
            super().listen(backlog)

    made = listen("127.0.0.1", 0)
    listener = Noted(made.family, made.type, made.proto, made.detach())
    with served(tmp_path, listener) as (_, receiving):
        assert receiving.post(run_body()).status_code == 200
    assert may_wait == [32, 1024]


def test_a_stop_lets_a_delivery_that_is_under_way_end(tmp_path: Path) -> None:
    body = run_body()
    with served(tmp_path) as (server, receiving), receiving.connect() as connection:
        connection.sendall(request_head(body, None, "Expect: 100-continue"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        server.stop()
        while _is_listening(receiving):
            pass
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert receiving.bodies() == [body]


def _is_listening(receiving: Receiving) -> bool:
    try:
        receiving.connect().close()
    except ConnectionError:
        return False
    return True


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_log_tells_the_address_as_a_url_and_the_end(
    tmp_path: Path, caplog: Any, host: str, shown: str
) -> None:
    caplog.set_level(logging.INFO, "oa_sync.webhooks")
    with (
        served(tmp_path, listen(host, 0)) as (_, receiving),
        closing(socket.create_connection((host, receiving.port))) as connection,
    ):
        connection.sendall(request_head(run_body()) + run_body())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    told = [record.getMessage() for record in caplog.records if record.name.endswith(".server")]
    assert told == [
        f"listening on http://{shown}:{receiving.port}{PATH}",
        "stopping: finishing what is in flight",
        "stopped",
    ]
