"""Details that the API refuses: they starve no others, and are asked for less and less often."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.faulty_list import Body, FaultyList, Told, faulty_list, things

NIGHTS = 40


@contextmanager
def refusing(folder: Path, answer: Any, *keys: str) -> Iterator[FaultyList]:
    """A list of 12 rows, of which `keys` have a detail that is answered by `answer`."""

    def detail(row: Body | None) -> Any:
        return answer if row is not None and row["id"] in keys else row

    with faulty_list(folder, FaultyList(things(12), has_detail=True, detail=detail)) as source:
        yield source


def nights(source: FaultyList, count: int) -> Iterator[list[str]]:
    """The details that each night asks for."""
    for _ in range(count):
        source.server.asked.clear()
        assert source.sync().exit_code == 1
        yield source.asked("/")
        source.clock.advance(86_400 + 5)


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_row_is_asked_for_less_and_less_often(status: int, tmp_path: Path) -> None:
    with refusing(tmp_path, Told({"error": "no"}, status), "t0003", "t0007") as source:
        asked = [len(paths) for paths in nights(source, NIGHTS)]
        assert asked[0] == 12
        on = [night for night, number in enumerate(asked) if number]
        gaps = [later - earlier for earlier, later in pairwise(on)]
        assert gaps == sorted(gaps), "never sooner than before"
        assert max(gaps) in (7, 8), "but each week"
        assert sum(asked[1:]) <= 2 * NIGHTS // 4
        report = source.sync()
        assert "t0003, t0007" in str(report.error)
        assert report.tallies["things"].backlog == 2
        assert source.living() == source.ids, "they are loaded as the list has them"


def test_a_failure_that_may_heal_is_asked_for_every_night(tmp_path: Path) -> None:
    with refusing(tmp_path, Told({"error": "away"}, 500), "t0003") as source:
        assert all("/things/t0003" in paths for paths in nights(source, 5))


def test_a_refused_row_that_changes_is_asked_for_at_once(tmp_path: Path) -> None:
    with refusing(tmp_path, Told({"error": "no"}, 400), "t0003") as source:
        for _ in nights(source, 6):
            pass
        source.rows[3]["changed"] = "2026-02-03T00:00:00Z"
        [asked] = nights(source, 1)
        assert asked == ["/things/t0003"]


def test_a_full_refresh_asks_for_what_was_refused(tmp_path: Path) -> None:
    with refusing(tmp_path, Told({"error": "no"}, 400), "t0003") as source:
        for _ in nights(source, 6):
            pass
        source.detail = lambda row: row
        source.server.asked.clear()
        assert source.sync(full_refresh=True).exit_code == 0
        assert "/things/t0003" in source.asked("/")
