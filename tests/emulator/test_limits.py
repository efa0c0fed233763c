"""The plan's limits: counted in sliding windows, refused with a time that is true."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from oa_sync.emulator.limits import Limits
from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.server import RunningEmulator
from tests.emulator.stepping_clock import SteppingClock
from tests.support.emulator import HEADERS, HTTP, emulator


def ask(server: RunningEmulator, key: str = "oa_a") -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return HTTP.get(f"{server.base_url}/dashboards", headers=headers)


def statuses(server: RunningEmulator, count: int, key: str = "oa_a") -> list[int]:
    return [ask(server, key).status_code for _ in range(count)]


def test_the_minute_slides_and_retry_after_is_when_a_slot_is_free() -> None:
    clock = SteppingClock()
    with emulator(clock=clock, plan="free", rpm=2) as server:
        assert ask(server).status_code == 200
        clock.step(20)
        assert ask(server).status_code == 200
        refused = ask(server)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "40")
        assert refused.json()["error"]["code"] == "RATE_LIMITED"
        clock.step(39)
        assert ask(server).status_code == 429
        clock.step(1)
        assert statuses(server, 2) == [200, 429]
        assert server.state.counters.over_limit == 3


def test_the_day_slides_or_ends_at_midnight() -> None:
    options: list[tuple[dict[str, Any], str]] = [({}, "86400"), ({"day": "calendar-utc"}, "43200")]
    for extra, wait in options:
        clock = SteppingClock()
        with emulator(clock=clock, rpd=3, **extra) as server:
            assert statuses(server, 3) == [200] * 3
            refused = ask(server)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, wait)
            clock.step(int(wait))
            assert ask(server).status_code == 200


def test_retry_after_may_be_a_date_that_is_not_too_early() -> None:
    clock = SteppingClock()
    clock.step(0.5)
    with emulator(clock=clock, rpm=1, retry_after="date") as server:
        ask(server)
        refused = ask(server)
        until = parsedate_to_datetime(refused.headers["retry-after"])
        assert clock.now() + timedelta(seconds=60) <= until
        clock.instant = until
        assert ask(server).status_code == 200
    assert refused.headers["date"] == "Sun, 01 Mar 2026 12:00:00 GMT"


def test_limits_are_the_workspaces_in_one_dialect_and_the_keys_in_the_other() -> None:
    with emulator(dialect="page", rpm=2) as server:
        assert statuses(server, 2, "oa_a") + statuses(server, 1, "oa_b") == [200, 200, 429]
    with emulator(dialect="cursor", rpm=2) as server:
        assert statuses(server, 2, "oa_a") + statuses(server, 1, "oa_b") == [200, 200, 200]


def test_a_bad_key_costs_nothing_and_a_404_costs_a_request() -> None:
    with emulator(rpm=1) as server:
        assert statuses(server, 3, "bad") == [401] * 3
        missing = HTTP.get(f"{server.base_url}/reports/none", headers=HEADERS)
        assert missing.status_code == 404
        assert ask(server).status_code == 429


def test_limit_headers_speak_of_the_window_that_leaves_less() -> None:
    clock = SteppingClock()
    with emulator(dialect="cursor", clock=clock, rpm=10, rpd=3) as server:
        seen = [ask(server).headers for _ in range(2)]
        reset = int(clock.now().timestamp()) + 86_400
    shown = [
        (h["x-ratelimit-limit"], h["x-ratelimit-remaining"], int(h["x-ratelimit-reset"]))
        for h in seen
    ]
    assert shown == [("3", "2", reset), ("3", "1", reset)]


def test_the_server_counts_what_it_was_asked() -> None:
    with emulator(dialect="page", rpm=3) as server:
        server_id = server.state.ids("reports")[0]
        for path in ("reports?per_page=5", f"reports/{server_id}", "reports", "reports"):
            HTTP.get(f"{server.base_url}/{path}", headers=HEADERS)
        counters = server.state.counters
        assert counters.total == 4
        assert counters.by_route == {("GET", "/reports"): 3, ("GET", "/reports/{id}"): 1}
        assert counters.by_status == {200: 3, 429: 1}
        assert counters.details == {server_id: 1}
        assert counters.log[0].path == "/v1/reports?per_page=5"
        counters.reset()
        assert counters.total == len(counters.log) == 0


@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 5), st.integers(1, 12))
def test_no_window_ever_holds_more_than_its_limit(gaps: list[float], minute: int, day: int) -> None:
    clock = SteppingClock()
    limits = Limits(EmulatorOptions(rpm=minute, rpd=day))
    admitted: list[float] = []
    for gap in gaps:
        clock.step(gap)
        verdict = limits.admit("", clock.now())
        now = clock.now().timestamp()
        in_minute = sum(instant > now - 60 for instant in admitted)
        in_day = sum(instant > now - 86_400 for instant in admitted)
        assert verdict.allowed == (in_minute < minute and in_day < day)
        if verdict.allowed:
            admitted.append(now)
        else:
            clock.step(verdict.wait)
            assert limits.admit("", clock.now()).allowed
            admitted.append(clock.now().timestamp())
