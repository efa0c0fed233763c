"""Faults on request: each looks on the wire as it would in the field."""

from __future__ import annotations

import json

import httpx
import pytest

from oa_sync.emulator.faults import Faults
from oa_sync.emulator.server import RunningEmulator
from tests.emulator.stepping_clock import SteppingClock
from tests.support.emulator import HEADERS, HTTP, emulator


def get(server: RunningEmulator, path: str = "reports") -> httpx.Response:
    return HTTP.get(f"{server.base_url}/{path}", headers=HEADERS)


def test_errors_and_pages_of_proxies() -> None:
    with emulator() as server:
        server.emulator.faults.set("500=1")
        assert get(server).json()["error"]["code"] == "INTERNAL_ERROR"
        server.emulator.faults.set("502=1")
        assert (get(server).status_code, get(server).headers["content-type"]) == (502, "text/html")
        server.emulator.faults.set("403=1")
        assert get(server).json()["error"]["code"] == "FORBIDDEN"
        server.emulator.faults.set("429=1:7")
        assert (get(server).status_code, get(server).headers["retry-after"]) == (429, "7")
        assert server.state.counters.over_limit == 0
        server.emulator.faults.set("redirect=1:http://other.invalid")
        assert get(server).headers["location"] == "http://other.invalid/v1/reports"
        server.emulator.faults.set("off")
        assert get(server).status_code == 200


def test_a_reset_ends_the_connection_in_mid_body() -> None:
    with emulator() as server:
        server.emulator.faults.set("reset=1")
        with (
            HTTP.stream("GET", f"{server.base_url}/reports", headers=HEADERS) as answer,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            assert answer.status_code == 200
            answer.read()


def test_a_cut_body_has_headers_that_fit_it() -> None:
    with emulator() as server:
        whole = get(server)
        server.emulator.faults.set("cut=1")
        cut = get(server)
    assert (cut.status_code, cut.headers["content-type"]) == (200, "application/json")
    assert int(cut.headers["content-length"]) == len(cut.content) == len(whole.content) // 2
    with pytest.raises(json.JSONDecodeError):
        cut.json()


def test_empty_slow_and_swelling_bodies() -> None:
    clock = SteppingClock()
    with emulator(clock=clock) as server:
        server.emulator.faults.set("empty=1")
        assert (get(server).status_code, get(server).content) == (200, b"")
        server.emulator.faults.set("slow=1:2.5")
        assert get(server).json()["data"]
        assert clock.slept == [2.5]
        server.emulator.faults.set("gzip=1:3")
        bomb = get(server)
    assert int(bomb.headers["content-length"]) < 10_000
    assert len(bomb.content) > 3 << 20


def test_faults_keep_to_their_paths_and_poison_to_its_ids() -> None:
    with emulator() as server:
        first, second, third = server.state.ids("reports")[:3]
        server.emulator.faults.set(
            f"500=1,paths=/datasets|/dash,poison-500={first},poison-text={second}"
        )
        assert [
            get(server, path).status_code for path in ("datasets", "dashboards", "reports")
        ] == [
            500,
            500,
            200,
        ]
        assert get(server, f"reports/{first}").status_code == 500
        assert get(server, f"reports/{second}").status_code == 200
        with pytest.raises(json.JSONDecodeError):
            get(server, f"reports/{second}").json()
        assert get(server, f"reports/{third}").json()["id"] == third


def test_the_same_seed_gives_the_same_faults() -> None:
    with emulator() as server:
        runs = []
        for seed in (1, 1, 2):
            server.emulator.faults.set(f"500=0.3,empty=0.2,seed={seed}")
            answers = [get(server) for _ in range(30)]
            runs.append([(answer.status_code, len(answer.content) > 0) for answer in answers])
        injected = server.emulator.faults.injected
    assert runs[0] == runs[1] != runs[2]
    assert {status for status, _ in runs[0]} == {200, 500}
    assert sum(injected.values()) > 20


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("fire=0.1", "fire"),
        ("500", "needs a value"),
        ("500=2", "from 0 to 1"),
        ("500=x", "from 0 to 1"),
        ("500=0.6,cut=0.6", "more than 1"),
        ("slow=0.1:soon", "soon"),
    ],
)
def test_a_wrong_spec_is_refused_with_its_reason(spec: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Faults.parse(spec)
