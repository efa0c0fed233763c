from __future__ import annotations

import json
import logging
import signal
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from oa_sync.cli.webhook import webhook
from oa_sync.errors import ConfigurationError
from oa_sync.webhooks.receiver import PATH
from oa_sync.webhooks.signature import SECRET_VARIABLE, SIGNATURE_HEADER
from tests.support.debian import need
from tests.webhooks.receiving import (
    OLD_SECRET,
    SECRET,
    Receiving,
    request_head,
    run_body,
    serving,
    sign,
)


class Stream:
    """Deliveries from four senders at a time, until each has sent `each` or the receiver is gone."""

    def __init__(self, receiver: Receiving, each: int) -> None:
        self._receiver = receiver
        self.answered: list[bytes] = []
        self.enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(range(n * each, (n + 1) * each),))
            for n in range(4)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> list[bytes]:
        """The bodies that were answered with 200."""
        for thread in self._threads:
            thread.join(60)
        return self.answered

    def _send(self, numbers: range) -> None:
        with httpx.Client(trust_env=False) as client:
            for body in map(run_body, numbers):
                headers = {SIGNATURE_HEADER: sign(body)}
                try:
                    answer = client.post(self._receiver.url(PATH), content=body, headers=headers)
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    self.answered.append(body)
                if len(self.answered) >= 100:
                    self.enough.set()


def test_kill_nine_in_a_stream_of_deliveries_loses_none_that_was_answered(tmp_path: Path) -> None:
    with serving(tmp_path) as command:
        stream = Stream(command.receiving, each=1_000_000)
        assert stream.enough.wait(60)
        command.process.kill()
        answered = stream.join()
        assert set(answered) <= set(command.receiving.bodies())
    with serving(tmp_path) as again:
        assert again.receiving.post(answered[-1]).json() == {"status": "duplicate"}


def test_drain_beside_a_running_receiver_gives_every_delivery_once(tmp_path: Path) -> None:
    with serving(tmp_path) as command:
        inbox = command.receiving.inbox
        stream = Stream(command.receiving, each=40)
        drained: Counter[bytes] = Counter()
        while sum(drained.values()) < 160:
            taken = list(inbox.drain())
            drained.update(delivery.body for delivery in taken)
            inbox.acknowledge([delivery.id for delivery in taken])
        assert len(stream.join()) == 160
    assert drained == Counter(run_body(number) for number in range(160))


def test_sigterm_finishes_what_is_in_flight_and_ends_with_success(tmp_path: Path) -> None:
    body = run_body()
    with serving(tmp_path) as command, command.receiving.connect() as connection:
        connection.sendall(request_head(body, None, "Expect: 100-continue"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        command.process.send_signal(signal.SIGTERM)
        command.log.until(b"finishing what is in flight")
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert command.process.wait(60) == 0
        assert command.receiving.bodies() == [body]
        assert b"stopped" in command.log.whole()


def test_log_has_one_json_object_an_event_and_no_secret(tmp_path: Path) -> None:
    secret = f"{SECRET},{OLD_SECRET}"
    with serving(tmp_path, "--log-format", "json", "-v", secret=secret) as command:
        assert command.receiving.post(run_body(), sign(run_body(), OLD_SECRET)).status_code == 200
        assert command.receiving.post(run_body()).status_code == 200
        assert command.receiving.post(run_body(), SECRET).status_code == 401
        with command.receiving.connect() as connection:
            connection.sendall(b"this is not HTTP\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
        command.process.terminate()
        log = command.log.whole().decode()
    messages = [json.loads(line)["message"] for line in log.splitlines()]
    for position, part in enumerate(
        ("listening on", "accepted", "duplicate", "401", "Invalid HTTP", "in flight", "stopped")
    ):
        assert part in messages[position]
    assert len(messages) == 7
    assert SECRET not in log
    assert OLD_SECRET not in log


def test_max_body_is_a_flag(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-body", "20") as command:
        assert command.receiving.post(b'{"run_id": "short"}').status_code == 200
        assert command.receiving.post(b'{"run_id": "longer"}' + b" ").status_code == 413


def test_tls_by_files(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path, "-nodes")
    with serving(
        tmp_path / "home", "--tls-cert", str(certificate), "--tls-key", str(key)
    ) as command:
        assert command.scheme == "https"
        body = run_body()
        answer = httpx.post(
            f"https://127.0.0.1:{command.receiving.port}{PATH}",
            content=body,
            headers={SIGNATURE_HEADER: sign(body)},
            verify=ssl.create_default_context(cafile=certificate),
            trust_env=False,
        )
        assert answer.status_code == 200
        assert command.receiving.bodies() == [body]


def _certificate(folder: Path, *flags: str) -> tuple[Path, Path]:
    need("openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    request = "openssl req -x509 -newkey rsa:2048 -days 2 -subj /CN=127.0.0.1"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out"]
    subprocess.run(
        [*request.split(), *names, str(certificate), *flags], check=True, capture_output=True
    )
    return certificate, key


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """The command, run inside this process, sends the log elsewhere."""
    ours, servers = logging.getLogger("oa_sync"), logging.getLogger("uvicorn")
    before = ours.handlers[:], ours.propagate, ours.level, servers.handlers[:]
    yield
    ours.handlers[:], ours.propagate, servers.handlers[:] = before[0], before[1], before[3]
    ours.setLevel(before[2])


def refusal(home: Path, *flags: str, secret: str | None = SECRET) -> str:
    """The message of the configuration error that `serve` ends with."""
    result = CliRunner().invoke(
        webhook, ["serve", "--home", str(home), *flags], env={SECRET_VARIABLE: secret}
    )
    assert isinstance(result.exception, ConfigurationError), result.output
    assert result.exception.exit_code == 2
    return str(result.exception)


@pytest.mark.parametrize("secret", [None, "", " "])
def test_without_a_secret_it_says_what_to_set_and_makes_nothing(
    tmp_path: Path, secret: str | None
) -> None:
    assert "set OPENANALYST_WEBHOOK_SECRET" in refusal(tmp_path / "home", secret=secret)
    assert not (tmp_path / "home").exists()


def test_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with serving(tmp_path) as command:
        port = str(command.receiving.port)
        assert f"127.0.0.1 port {port}: Address already in use" in refusal(tmp_path, "--port", port)


def test_host_that_is_not_here_is_named(tmp_path: Path) -> None:
    assert "cannot listen on 192.0.2.1" in refusal(tmp_path, "--host", "192.0.2.1")


def test_certificate_without_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").touch()
    flags = ("--tls-cert", str(tmp_path / "certificate.pem"))
    assert "--tls-key" in refusal(tmp_path, *flags)


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.touch()
    key.touch()
    message = refusal(tmp_path, "--tls-cert", str(certificate), "--tls-key", str(key))
    assert str(certificate) in message
    assert str(key) in message


def test_key_with_a_password_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path, "-passout", "pass:abcd")
    flags = ("--tls-cert", str(certificate), "--tls-key", str(key))
    assert "without a password" in refusal(tmp_path, *flags)
