from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from oa_sync.clock import Clock
from oa_sync.errors import OaSyncError
from oa_sync.webhooks.inbox import Inbox
from oa_sync.webhooks.receiver import HEALTH_PATH, PATH, ReceiverLimits
from tests.webhooks.receiving import (
    OLD_SECRET,
    SECRET,
    Receiving,
    receiving,
    request_head,
    run_body,
    sign,
)

LIMIT = 4096


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiving]:
    with receiving(tmp_path / "inbox", limits=ReceiverLimits(body_bytes=LIMIT)) as running:
        yield running


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Receiving]:
    with receiving(tmp_path / "inbox", limits=ReceiverLimits(read_seconds=1.0)) as running:
        yield running


def read_all(connection) -> bytes:
    """What comes until the other side closes."""
    answer = b""
    while part := connection.recv(65536):
        answer += part
    return answer


def body_of_size(size: int) -> bytes:
    return b'{"id": "' + b"x" * (size - 10) + b'"}'


@pytest.mark.parametrize("prefix", ["", "sha256="])
def test_signed_delivery_is_in_the_inbox_byte_for_byte(receiver: Receiving, prefix: str) -> None:
    body = b'{ "run_id":"r1",\n "result": "\xc3\xa9\\u00e9", "id": 1.0 }'
    answer = receiver.post(body, prefix + sign(body))
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    assert receiver.bodies() == [body]


def test_body_delivered_again_is_answered_with_success_and_kept_once(receiver: Receiving) -> None:
    receiver.post(run_body())
    again = receiver.post(run_body(), "sha256=" + sign(run_body()))
    assert (again.status_code, again.json()) == (200, {"status": "duplicate"})
    assert receiver.bodies() == [run_body()]


def test_retry_after_the_sync_has_taken_the_delivery_is_a_duplicate(receiver: Receiving) -> None:
    receiver.post(run_body())
    receiver.inbox.acknowledge([delivery.id for delivery in receiver.inbox.drain()])
    assert receiver.post(run_body()).json() == {"status": "duplicate"}
    assert receiver.bodies() == []


@pytest.mark.parametrize("signature", ["", "sha256=", "0" * 64, sign(run_body(), "another")])
def test_wrong_signature_is_refused(receiver: Receiving, signature: str) -> None:
    assert receiver.post(run_body(), signature).status_code == 401
    assert receiver.bodies() == []


def test_missing_signature_is_refused(receiver: Receiving) -> None:
    answer = httpx.post(receiver.url(PATH), content=run_body(), trust_env=False)
    assert answer.status_code == 401
    assert receiver.bodies() == []


def test_signature_of_another_body_is_refused(receiver: Receiving) -> None:
    assert receiver.post(run_body(1), sign(run_body(2))).status_code == 401
    assert receiver.bodies() == []


def test_refusal_is_logged_without_body_and_signature(
    receiver: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"run_id": "forged-by-somebody"}'
    with caplog.at_level(logging.DEBUG, "oa_sync.webhooks"):
        receiver.post(body, "f" * 64)
    assert "refused with 401" in caplog.text
    for hidden in ("forged", "ffff", SECRET, sign(body)):
        assert hidden not in caplog.text


def test_during_a_rotation_both_secrets_sign_the_same_delivery(tmp_path: Path) -> None:
    with receiving(tmp_path, secrets=(SECRET, OLD_SECRET)) as receiver:
        assert receiver.post(run_body(), sign(run_body(), OLD_SECRET)).json() == {
            "status": "accepted"
        }
        assert receiver.post(run_body(), sign(run_body(), SECRET)).json() == {"status": "duplicate"}
        assert receiver.post(run_body(), sign(run_body(), "third")).status_code == 401


def test_old_secret_is_refused_once_it_is_gone(receiver: Receiving) -> None:
    assert receiver.post(run_body(), sign(run_body(), OLD_SECRET)).status_code == 401


@pytest.mark.parametrize("body", [b"", b"[]", b'"run_1"', b"{", b"\xff\xfe", b'{"a": NaNs}'])
def test_signed_body_that_is_no_json_object_is_refused(receiver: Receiving, body: bytes) -> None:
    assert receiver.post(body).status_code == 400
    assert receiver.bodies() == []


def test_body_at_the_limit_is_taken_and_one_byte_more_is_not(receiver: Receiving) -> None:
    assert receiver.post(body_of_size(LIMIT)).status_code == 200
    assert receiver.post(body_of_size(LIMIT + 1)).status_code == 413
    assert receiver.bodies() == [body_of_size(LIMIT)]


def test_huge_body_is_refused_before_it_is_sent(receiver: Receiving) -> None:
    with receiver.connect() as connection:
        connection.sendall(request_head(b"{}", 10**12))
        assert read_all(connection).startswith(b"HTTP/1.1 413 ")


def test_body_of_undeclared_length_is_cut_off_at_the_limit(receiver: Receiving) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * LIMIT

    headers = {"X-OpenAnalyst-Signature": sign(b"x" * 5 * LIMIT)}
    answer = httpx.post(receiver.url(PATH), content=endless(), headers=headers, trust_env=False)
    assert answer.status_code == 413
    assert receiver.bodies() == []


def test_slow_body_is_ended_with_408(impatient: Receiving) -> None:
    with impatient.connect() as connection:
        connection.sendall(request_head(run_body()) + run_body()[:5])
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert impatient.bodies() == []
    assert impatient.post(run_body()).status_code == 200


@pytest.mark.parametrize("begun", [b"", b"POST /webhooks/openan", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_connection_without_a_whole_head_is_closed(impatient: Receiving, begun: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(begun)
        assert read_all(connection) == b""


def test_second_head_on_a_connection_has_the_same_deadline(impatient: Receiving) -> None:
    with impatient.connect() as connection:
        connection.sendall(request_head(run_body()) + run_body())
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"POST /web")
        assert b"HTTP" not in read_all(connection)


def test_connection_is_kept_between_deliveries(receiver: Receiving) -> None:
    with receiver.connect() as connection:
        for number in range(3):
            body = run_body(number)
            connection.sendall(request_head(body) + body)
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(receiver.bodies()) == 3


def test_one_connection_too_many_is_told_503_and_the_others_work(tmp_path: Path) -> None:
    with (
        receiving(tmp_path, limits=ReceiverLimits(connections=2)) as receiver,
        receiver.connect() as first,
        receiver.connect() as second,
    ):
        for connection in (first, second):
            connection.sendall(request_head(run_body(), None, "Expect: 100-continue"))
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        with receiver.connect() as third:
            # The newcomer may be the one that has something to say: the one that waited longest goes.
            assert read_all(first).startswith(b"HTTP/1.1 503 ")
            for connection in (second, third):
                body = run_body()
                connection.sendall(body if connection is second else request_head(body) + body)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_bodies_in_memory_are_limited_all_together(tmp_path: Path) -> None:
    limits = ReceiverLimits(body_bytes=100, waiting_bytes=100)
    body = body_of_size(80)
    with receiving(tmp_path, limits=limits) as receiver, receiver.connect() as first:
        first.sendall(request_head(body, None, "Expect: 100-continue"))
        assert first.recv(65536).startswith(b"HTTP/1.1 100 ")
        # What is only announced takes no memory.
        assert receiver.post(run_body(2)).status_code == 200
        first.sendall(body[:79])
        statuses = {receiver.post(run_body(3)).status_code for _ in range(3)}
        # Nor does what goes on for ever: the oldest that is not whole makes room.
        assert statuses == {200}
        answer = read_all(first)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer.lower()


def test_sender_that_hangs_up_in_mid_body_leaves_one_line_and_nothing_else(
    receiver: Receiving, caplog: pytest.LogCaptureFixture
) -> None:
    with receiver.connect() as connection:
        connection.sendall(request_head(run_body(), None, "Expect: 100-continue"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(run_body()[:5])
    assert receiver.post(run_body(2)).status_code == 200
    assert receiver.bodies() == [run_body(2)]
    warnings = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    assert warnings == ["127.0.0.1: hung up before the end of the body"]


def test_concurrent_deliveries_are_all_kept_and_each_once(receiver: Receiving) -> None:
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda n: receiver.post(run_body(n % 40)), range(120)))
    outcomes = Counter(answer.json()["status"] for answer in answers)
    assert outcomes == {"accepted": 40, "duplicate": 80}
    assert sorted(receiver.bodies()) == sorted(run_body(number) for number in range(40))


class FailingInbox(Inbox):
    def append_all(self, deliveries):
        raise OaSyncError("inbox.sqlite: the disk is full")

    def depth(self) -> int:
        raise OaSyncError("inbox.sqlite: the disk is full")


def test_inbox_that_cannot_be_written_makes_the_sender_try_again(tmp_path: Path) -> None:
    with receiving(tmp_path, make_inbox=FailingInbox) as receiver:
        answer = receiver.post(run_body())
        assert answer.status_code == 503
        assert "sqlite" not in answer.text
        health = httpx.get(receiver.url(HEALTH_PATH), trust_env=False)
        assert (health.status_code, health.json()) == (503, {"status": "failed"})


def test_health_tells_how_many_wait(tmp_path: Path) -> None:
    with receiving(tmp_path) as receiver:
        receiver.inbox.append_all([(run_body(number), Clock().now()) for number in range(3)])
        health = httpx.get(receiver.url(HEALTH_PATH), trust_env=False)
        assert (health.status_code, health.json()) == (200, {"status": "ok", "inbox": {"depth": 3}})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("PUT", PATH, 405),
        ("POST", HEALTH_PATH, 405),
        ("POST", PATH + "/", 404),
        ("POST", "/", 404),
        ("GET", "/docs", 404),
    ],
)
def test_nothing_else_is_served(receiver: Receiving, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, receiver.url(path), content=b"{}", trust_env=False)
    assert answer.status_code == status
