"""A segment of the journal that never loads keeps nothing else out: it is set aside, told, and kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oa_sync.commands.status import status
from oa_sync.commands.sync import sync
from oa_sync.errors import DestinationError
from oa_sync.load.dlt.warehouse import Warehouse
from oa_sync.load.loader import MOST_FAILED
from oa_sync.settings import Settings
from oa_sync.shape.shaper import Shaper
from oa_sync.tables.batches import Batch
from tests.faults.processes import Point, sync_until
from tests.support.raw_api import RawApi, raw_api
from tests.support.syncing import query, settings_for

DEFINITION = """
name: nights
client: {paginator: single_page}
resources:
  - name: rows
    primary_key: id
    endpoint: {path: rows, data_selector: data}
"""


def listed(text: str, count: int = 8) -> bytes:
    rows = ", ".join(f'{{"id": {n}, "t": "{text}"}}' for n in range(count))
    return f'{{"data": [{rows}]}}'.encode()


def refuse_all(_: Warehouse, batches: Iterable[Batch]) -> dict[str, int]:
    for _ in batches:
        raise DestinationError("out of order")
    return {}


def refuse_old(shaper: Shaper, ndjson: bytes, extras: Any = None) -> Any:
    if b'"old"' in ndjson:
        raise OverflowError("never")
    return SHAPE(shaper, ndjson, extras)


SHAPE = Shaper.shape


def test_a_segment_that_fails_in_three_runs_is_set_aside_told_and_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "nights.yaml"
    source.write_text(DEFINITION)
    with raw_api(rows=listed("old")) as api:
        settings = settings_for(api.base_url, tmp_path, source=str(source), api_key=None)
        with monkeypatch.context() as patched:
            patched.setattr(Warehouse, "load", refuse_all)
            assert sync(settings).exit_code == 1
        monkeypatch.setattr(Shaper, "shape", refuse_old)
        api.replies["/rows"] = listed("new")
        for _ in range(MOST_FAILED - 1):
            assert sync(settings).exit_code == 1
            assert _asked(api) == 1, "what is fetched is loaded before anything is asked for"
            assert not status(settings).segments_set_aside

        report = sync(settings)
        assert report.exit_code == 1
        assert "--retry-set-aside" in str(report.error)
        assert query(settings, "SELECT count(*) FROM rows WHERE t = 'new'") == [(8,)]
        [kept] = status(settings).segments_set_aside
        assert b'"old"' in Path(kept).read_bytes()

        assert sync(settings).exit_code == 0, "it is told once; status goes on telling it"
        assert status(settings).segments_set_aside == [kept]

        monkeypatch.undo()
        report = sync(settings, retry_set_aside=True)
        assert report.exit_code == 0
        assert not status(settings).segments_set_aside
        assert query(settings, "SELECT count(*) FROM rows WHERE t = 'new'") == [(8,)]
        assert not list(tmp_path.rglob("*.oaj"))
        assert not list(tmp_path.rglob("*.failed"))


IN_A_LOAD = Point("dlt.pipeline.pipeline:Pipeline.load")
IN_THE_FIRST_LOAD = Point("dlt.pipeline.pipeline:Pipeline.load", nth=2)
"""Before it a first sync loads what its rows are read with."""


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[tuple[RawApi, Settings]]:
    source = tmp_path / "nights.yaml"
    source.write_text(DEFINITION)
    with raw_api(rows=listed("old")) as api:
        yield api, settings_for(api.base_url, tmp_path, source=str(source), api_key=None)


def test_a_segment_in_whose_load_three_runs_are_killed_is_set_aside_and_can_be_loaded(
    nights: tuple[RawApi, Settings],
) -> None:
    api, settings = nights
    for number in range(MOST_FAILED):
        sync_until(IN_A_LOAD if number else IN_THE_FIRST_LOAD, settings)
        assert not status(settings).segments_set_aside
    assert _asked(api) == 1

    api.replies["/rows"] = listed("new")
    report = sync(settings)
    assert report.exit_code == 1
    assert "killed" in str(report.error)
    assert "--retry-set-aside" in str(report.error)
    assert query(settings, "SELECT count(*) FROM rows WHERE t = 'new'") == [(8,)]
    [kept] = status(settings).segments_set_aside
    assert b'"old"' in Path(kept).read_bytes()

    assert sync(settings, retry_set_aside=True).exit_code == 0
    assert not status(settings).segments_set_aside
    assert query(settings, "SELECT count(*) FROM rows WHERE t = 'new'") == [(8,)]
    assert not list(settings.home.rglob("*.failed"))


def test_kills_elsewhere_are_not_the_segment_s_fault(
    nights: tuple[RawApi, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, settings = nights
    sync_until(IN_THE_FIRST_LOAD, settings)
    with monkeypatch.context() as patched:  # loads that end in order, as often as one likes
        patched.setattr(Warehouse, "probe", _refuse_probe)
        patched.setattr(Warehouse, "load", refuse_all)
        for _ in range(MOST_FAILED):
            assert sync(settings).exit_code == 1
    for _ in range(MOST_FAILED + 1):  # nights that end while rows are fetched
        sync_until(Point("oa_sync.load.loader:Loader.finish_pending"), settings)
    assert sync(settings).exit_code == 0
    assert not status(settings).segments_set_aside
    for _ in range(MOST_FAILED + 1):
        sync_until(Point("oa_sync.journal.segment_writer:SegmentWriter.finish"), settings)
    assert sync(settings).exit_code == 0
    assert not status(settings).segments_set_aside


def _refuse_probe(_: Warehouse) -> str:
    raise DestinationError("out of order")


def _asked(api: RawApi) -> int:
    return api.asked["/rows"]
