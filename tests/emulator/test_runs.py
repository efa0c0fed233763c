"""Started runs move to their end; callbacks are signed, repeated on failure, and only local."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import httpx
import pytest

from oa_sync.emulator.server import RunningEmulator
from tests.emulator.stepping_clock import SteppingClock
from tests.support.emulator import HEADERS, HTTP, emulator

Received = tuple[bytes, str]


class Receiver:
    """A callback receiver: answers with `statuses` in turn (then 200), keeps what came."""

    def __init__(self, statuses: list[int]) -> None:
        self.received: queue.Queue[Received] = queue.Queue()
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            answers: ClassVar[Iterator[int]] = iter(statuses)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(next(self.answers, 200))
                self.end_headers()
                received.put((body, self.headers["x-openanalyst-signature"]))

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True, args=[0.01]).start()


@pytest.fixture
def receivers() -> Iterator[Any]:
    made: list[Receiver] = []

    def make(*statuses: int) -> Receiver:
        made.append(Receiver(list(statuses)))
        return made[-1]

    yield make
    for receiver in made:
        receiver.server.shutdown()
        receiver.server.server_close()


def post(server: RunningEmulator, path: str, body: dict[str, Any]) -> httpx.Response:
    return HTTP.post(f"{server.base_url}/{path}", json=body, headers=HEADERS)


def get(server: RunningEmulator, path: str) -> dict[str, Any]:
    answer: dict[str, Any] = HTTP.get(f"{server.base_url}/{path}", headers=HEADERS).json()
    return answer


def start(server: RunningEmulator, **more: Any) -> str:
    answer = post(server, "agents/run", {"agent_id": "a", "task": "t", **more})
    assert answer.status_code == 202
    run_id: str = answer.json()["run_id"]
    return run_id


def test_each_poll_moves_a_run_on_until_it_has_ended() -> None:
    with emulator(clock=SteppingClock()) as server:
        run_id = start(server, context={"dataset_id": "d"})
        seen = [get(server, f"agents/runs/{run_id}") for _ in range(3)]
    assert [run["status"] for run in seen] == ["running", "completed", "completed"]
    assert [len(run["steps"]) for run in seen] == [1, 3, 3]
    assert seen[0]["completed_at"] is None
    assert seen[1]["completed_at"] == "2026-03-01T12:00:00Z"
    assert seen[1]["usage"]["api_calls"] == 3
    assert seen[1] == seen[2]
    assert seen[0]["context"] == {"dataset_id": "d"}


def test_runs_may_fail_and_may_be_moved_by_hand() -> None:
    with emulator(run_outcome="failed") as server:
        first, second = start(server), start(server)
        server.emulator.runs.advance(first, "cancelled")
        assert get(server, f"agents/runs/{first}")["status"] == "cancelled"
        polls = [get(server, f"agents/runs/{second}") for _ in range(2)]
        assert polls[1]["status"] == "failed"
        assert polls[1]["error"]["code"] == "failed"
        assert polls[1]["result"] is None


def test_time_may_move_runs_instead(receivers: Any) -> None:
    receiver = receivers()
    with emulator(clock=SteppingClock(), run_by="time") as server:
        run_id = start(server, webhook_url=receiver.url)
        body, _ = receiver.received.get(timeout=60)
        assert json.loads(body)["run_id"] == run_id
        assert get(server, f"agents/runs/{run_id}")["completed_at"] == "2026-03-01T12:00:20Z"


def test_a_started_session_is_in_the_list() -> None:
    with emulator(dialect="cursor") as server:
        answer = post(server, "agents/run", {"prompt": "why?", "max_steps": 3}).json()
        assert set(answer) == {"id", "status", "created_at"}
        rows = get(server, "agents/sessions")["data"]
        session = next(row for row in rows if row["id"] == answer["id"])
        assert (session["prompt"], session["status"], session["steps"]) == ("why?", "queued", 0)


@pytest.mark.parametrize("prefix", ["", "sha256="])
def test_the_end_of_a_run_is_called_back_with_a_signature(prefix: str, receivers: Any) -> None:
    receiver = receivers()
    with emulator(webhook_secret="s3cret", signature_prefix=prefix) as server:
        run_id = start(server, webhook_url=receiver.url)
        server.emulator.runs.advance(run_id)
        server.emulator.runs.advance(run_id)
        body, signature = receiver.received.get(timeout=60)
    assert signature == prefix + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    payload = json.loads(body)
    assert (payload["run_id"], payload["status"]) == (run_id, "completed")
    assert payload["result"]["text"]


def test_a_failed_delivery_is_repeated_five_times_at_growing_intervals(receivers: Any) -> None:
    receiver = receivers(*[500] * 5, 204)
    clock = SteppingClock()
    with emulator(clock=clock) as server:
        server.emulator.runs.advance(start(server, webhook_url=receiver.url), "completed")
        came = [receiver.received.get(timeout=60) for _ in range(6)]
    assert len(set(came)) == 1
    assert clock.slept == [1, 2, 4, 8, 16]


def test_receivers_elsewhere_are_never_called(receivers: Any) -> None:
    beacon = receivers()
    with emulator(clock=SteppingClock()) as server:
        run_id = start(server, webhook_url="http://192.0.2.1/hook")
        server.emulator.runs.advance(run_id, "completed")
        server.emulator.webhooks.announce("later", {}, beacon.url)
        beacon.received.get(timeout=60)
        refused = [d for d in server.emulator.webhooks.deliveries if "192.0.2.1" in d.url]
    assert [(d.attempt, d.status, str(d.error)[:7]) for d in refused] == [(1, None, "refused")]


def test_registered_hooks_hear_of_their_events_and_can_be_removed(receivers: Any) -> None:
    receiver, other = receivers(), receivers()
    wanted = {"url": receiver.url, "events": ["agent.session.completed"], "secret": "own"}
    with emulator(dialect="cursor") as server:
        unlike = post(server, "webhooks", {"url": other.url, "events": ["export.ready"]}).json()
        hook = post(server, "webhooks", wanted)
        assert hook.status_code == 201
        assert "secret" not in hook.json()
        assert post(server, "webhooks", wanted).status_code == 409
        assert get(server, "webhooks")["data"] == [unlike, hook.json()]
        run_id = post(server, "agents/run", {"prompt": "p"}).json()["id"]
        server.emulator.runs.advance(run_id, "completed")
        body, signature = receiver.received.get(timeout=60)
        assert signature == hmac.new(b"own", body, hashlib.sha256).hexdigest()
        assert json.loads(body)["id"] == run_id
        server.emulator.webhooks.announce("export.ready", {})
        assert json.loads(other.received.get(timeout=60)[0]) == {"event": "export.ready"}
        url = f"{server.base_url}/webhooks/{hook.json()['id']}"
        assert HTTP.delete(url, headers=HEADERS).status_code == 204
        assert HTTP.delete(url, headers=HEADERS).status_code == 404
        assert get(server, "webhooks")["data"] == [unlike]


@pytest.mark.parametrize("body", [{}, {"agent_id": "", "task": "t"}, {"agent_id": 1, "task": "t"}])
def test_a_malformed_start_is_422(body: dict[str, Any]) -> None:
    with emulator() as server:
        assert post(server, "agents/run", body).status_code == 422
        assert server.state.count("agent_runs") == 3
