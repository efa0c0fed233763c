"""PostgreSQL goes away and comes back: nothing is booked twice, nobody waits for ever."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oa_sync.clock import Clock
from oa_sync.errors import OaSyncError
from oa_sync.quota.limits import Limits
from oa_sync.quota.postgres_ledger import PostgresLedger
from oa_sync.quota.restarts import WAITS
from tests.support.clock import ManualClock, Waiting
from tests.support.cutting import cutting
from tests.support.postgres import OwnPostgres, running_postgres

FREE = Limits(30, 500)


@pytest.fixture
def server() -> Iterator[OwnPostgres]:
    # Not below pytest's own folder, which the server's user may not enter where the tests run as root.
    with (
        tempfile.TemporaryDirectory(prefix="oa-sync-tests-") as folder,
        running_postgres(Path(folder) / "data") as started,
    ):
        yield started


def test_a_restart_is_waited_for_and_its_end_ends_the_waiting(server: OwnPostgres) -> None:
    url = server.create_database("quota")
    clock = Waiting(4, server.start)
    with closing(PostgresLedger(url, patience=clock)) as ledger:
        ledger.reserve(1, FREE)
        server.stop()
        assert ledger.reserve(1, FREE).allowed
        assert clock.sleeps == list(WAITS[:4])
        assert ledger.usage(1, FREE).used_day == 2


def test_a_server_that_stays_away_ends_the_waiting_within_its_bounds(server: OwnPostgres) -> None:
    clock = ManualClock()
    ledger = PostgresLedger(server.create_database("quota"), patience=clock)
    server.stop()
    with pytest.raises(OaSyncError, match=r"the quota ledger failed \(.*then run again"):
        ledger.reserve(1, FREE)
    assert clock.sleeps == list(WAITS)
    assert sum(WAITS) == 35
    server.start()


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("what", ["reserve", "release", "block"])
def test_a_commit_that_is_not_answered_is_done_once(
    postgres_url: str, arrives: bool, what: str
) -> None:
    with cutting(postgres_url) as cut:
        # The server takes its time to notice that the connection was cut.
        ledger = PostgresLedger(cut.url, patience=Clock())
        slots = ledger.reserve(1, FREE, 3).slots
        cut.passes_on, cut.word = arrives, b"COMMIT"
        match what:
            case "reserve":
                assert [slot.number for slot in ledger.reserve(1, FREE, 2).slots] == [4, 5]
            case "release":
                ledger.release(1, FREE, slots[:1])
            case _:
                ledger.block(1, FREE, 60)
        assert cut.word is None, "the connection was cut"
        used = ledger.usage(1, FREE).used_day
        assert used == {"reserve": 5, "release": 2}.get(what, 3)
        ledger.close()
