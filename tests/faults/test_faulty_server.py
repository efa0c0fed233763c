"""Answers that are errors, cut, slow, or not there: what can be loaded is, and every request is counted."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from oa_sync.client import session
from oa_sync.commands.sync import sync
from oa_sync.extract.details import fetching
from tests.faults.mirror import assert_mirrors, backlog
from tests.faults.places import place
from tests.support.clock import ManualClock
from tests.support.emulator import emulator
from tests.support.syncing import query, run_sync, settings_for

ONE_IN_FIVE = "500=0.04,502=0.03,reset=0.04,cut=0.04,429=0.02:1,slow=0.03:0.02"


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("dialect", ["page", "cursor"])
def test_one_bad_answer_in_five_still_makes_a_complete_sync(
    seed: int, dialect: str, tmp_path: Path
) -> None:
    with place(tmp_path, dialect=dialect) as shaky:
        shaky.server.emulator.faults.set(f"{ONE_IN_FIVE},seed={seed}")
        report = run_sync(shaky.settings, clock=ManualClock())
        assert report.exit_code == 0
        assert sum(shaky.server.emulator.faults.injected.values()) > 5
        assert report.requests.made == shaky.state.counters.total
        assert_mirrors(shaky.settings, shaky.state)


@pytest.mark.parametrize("poison", ["poison-500", "poison-text"])
def test_one_poisoned_detail_is_told_and_asked_for_next_time_and_stops_nothing(
    poison: str, tmp_path: Path
) -> None:
    with place(tmp_path) as shaky:
        poisoned = shaky.state.ids("reports")[7]
        shaky.server.emulator.faults.set(f"{poison}={poisoned}")
        report = sync(shaky.settings, clock=ManualClock())
        assert report.exit_code == 1
        assert poisoned in str(report.error)
        assert report.tallies["reports"].backlog == backlog(shaky.settings, "reports") == 1
        whole = "SELECT id FROM reports WHERE _oa_detail_version = _oa_version"
        assert len(query(shaky.settings, whole)) == shaky.state.count("reports") - 1
        assert shaky.state.counters.details[poisoned] <= 8
        assert report.requests.made == shaky.state.counters.total

        shaky.server.emulator.faults.set("off")
        shaky.state.counters.reset()
        run_sync(shaky.settings)
        assert set(shaky.state.counters.details) == {poisoned}
        assert_mirrors(shaky.settings, shaky.state)


def test_a_resource_whose_details_only_fail_costs_little_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    with place(tmp_path) as shaky:
        shaky.server.emulator.faults.set("500=1,paths=/reports/")
        report = sync(shaky.settings, clock=ManualClock())
        assert report.exit_code == 1
        spent = sum(
            count for key, count in shaky.state.counters.details.items() if key.startswith("rpt")
        )
        in_flight = 2 * fetching.FAILURES_IN_A_ROW
        assert spent <= (fetching.FAILURES_IN_A_ROW + in_flight) * 8
        assert spent < 30 * 6, "without a breaker, every report is asked for six times"
        assert report.tallies["reports"].backlog == 30
        assert_mirrors(shaky.settings, shaky.state, "datasets", "dashboards")
        shaky.server.emulator.faults.set("off")
        run_sync(shaky.settings)
        assert_mirrors(shaky.settings, shaky.state)


def test_a_bad_minute_of_details_is_healed_at_the_end_of_the_run(tmp_path: Path) -> None:
    with place(tmp_path) as shaky:
        # Six tries of four details at a time, and then the server is well again.
        shaky.server.emulator.faults.set("502=1,paths=/datasets/")
        asked = shaky.state.counters.details

        class Healing(ManualClock):
            async def sleep(self, seconds: float) -> None:
                if sum(asked.values()) > 18:
                    shaky.server.emulator.faults.set("off")
                await super().sleep(seconds)

        report = sync(shaky.settings, ["datasets"], clock=Healing())
        assert report.exit_code == 0, report.error
        assert_mirrors(shaky.settings, shaky.state, "datasets")


def test_a_detail_that_was_refused_for_a_moment_is_asked_for_again_at_the_end(
    tmp_path: Path,
) -> None:
    with place(tmp_path) as shaky:
        refused = shaky.state.ids("datasets")[1]
        faults = shaky.server.emulator.faults
        faults.set(f"429=1:1,paths=/datasets/{refused}")

        class Healing(ManualClock):
            def monotonic(self) -> float:
                if faults.injected["429"] >= 3:  # all that the client tries
                    faults.set("off")
                return super().monotonic()

        report = sync(shaky.settings, ["datasets"], clock=Healing())
        assert report.exit_code == 0, report.error
        assert shaky.state.counters.details[refused] == 4
        assert report.requests.made == shaky.state.counters.total
        assert_mirrors(shaky.settings, shaky.state, "datasets")


def test_a_403_on_one_resource_fails_that_one_alone(tmp_path: Path) -> None:
    with place(tmp_path) as shaky:
        shaky.server.emulator.faults.set("403=1,paths=/reports")
        report = sync(shaky.settings, clock=ManualClock())
        assert report.exit_code == 5
        assert report.tallies["reports"].errors
        assert_mirrors(shaky.settings, shaky.state, "datasets", "dashboards")
        assert not query(shaky.settings, "SELECT count(*) FROM syncs WHERE exit_code = 0")[0][0]


def test_a_list_that_fails_tombstones_nothing(tmp_path: Path) -> None:
    with place(tmp_path) as shaky:
        run_sync(shaky.settings)
        shaky.changes.delete("datasets")
        shaky.server.emulator.faults.set("500=1,paths=/reports")
        report = sync(shaky.settings, clock=ManualClock())
        assert report.exit_code == 1
        assert (
            len(query(shaky.settings, "SELECT 1 FROM reports WHERE _oa_deleted_at IS NULL")) == 30
        )
        assert_mirrors(shaky.settings, shaky.state, "datasets", "dashboards")


@pytest.mark.parametrize("fault", ["redirect=1", "gzip=1:300"])
def test_redirects_away_and_gzip_bombs_are_errors_and_load_nothing(
    fault: str, tmp_path: Path
) -> None:
    with place(tmp_path) as shaky, listening() as elsewhere:
        argument = f":http://127.0.0.1:{elsewhere.port}" if fault.startswith("redirect") else ""
        shaky.server.emulator.faults.set(f"{fault}{argument},paths=/datasets/")
        report = sync(shaky.settings, clock=ManualClock())
        assert report.exit_code == 1
        assert report.tallies["datasets"].errors
        assert not elsewhere.heard, "the key was sent to another host"
        assert report.requests.made == shaky.state.counters.total
        assert_mirrors(shaky.settings, shaky.state, "reports", "dashboards")


# -- no answer at all -----------------------------------------------------------------------------


class Elsewhere:
    """A listening socket that never answers; `heard` is what came in."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard = b""


@contextmanager
def listening() -> Iterator[Elsewhere]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        elsewhere = Elsewhere(listener.getsockname()[1])
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    held.append(connection)
                    elsewhere.heard += connection.recv(4096)
            except OSError:
                return

        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield elsewhere
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in held:
                connection.close()


def test_an_api_that_is_down_ends_in_exit_1_with_everything_kept(tmp_path: Path) -> None:
    with place(tmp_path) as shaky:
        run_sync(shaky.settings)
        clock = ManualClock()
        down = replace(shaky.settings, base_url="http://127.0.0.1:9/v1", dialect="page")
        report = sync(down, clock=clock)
        assert report.exit_code == 1
        assert report.requests.made == 0
        assert clock.monotonic() <= 300
        assert "127.0.0.1:9" in str(report.error) or "no connection" in str(report.error)
        assert_mirrors(shaky.settings, shaky.state)
        assert query(shaky.settings, "SELECT count(*) FROM syncs WHERE status = 'failed'") == [(1,)]


def test_a_server_that_accepts_and_never_answers_ends_in_exit_1_within_its_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the time of silence is short: a slow machine connects and writes as late as it likes.
    short = session.Timeouts(read=0.2)
    monkeypatch.setattr(session, "Timeouts", lambda: short)
    with listening() as dead:
        settings = settings_for(f"http://127.0.0.1:{dead.port}/v1", tmp_path, dialect="page")
        clock = ManualClock()
        report = sync(settings, clock=clock)
    assert report.exit_code == 1
    assert "sent nothing" in str(report.error)
    assert clock.monotonic() <= 300


def test_an_api_that_dies_among_the_details_keeps_and_loads_what_came(tmp_path: Path) -> None:
    with emulator() as server:
        settings = settings_for(server.base_url, tmp_path)
        answered = server.state.counters

        class Dying(ManualClock):
            def monotonic(self) -> float:
                if answered.total >= 12:
                    server.emulator.faults.set("reset=1")
                return super().monotonic()

        report = sync(settings, clock=Dying())
        assert report.exit_code == 1
        whole = "SELECT count(*) FROM {} WHERE _oa_detail_version = _oa_version"
        loaded = sum(query(settings, whole.format(t))[0][0] for t in ("datasets", "reports"))
        assert loaded == sum(t.details_fetched for t in report.tallies.values()) > 0
        before = set(answered.details)
        server.emulator.faults.set("off")
        answered.reset()
        run_sync(settings)
        assert len(answered.details) == 30 - loaded
        assert before
