"""One odd value keeps nothing else out, on any destination: it is taken as well as it can be, or set aside."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import set_json_loads

from oa_sync.commands.status import status
from oa_sync.commands.sync import sync
from oa_sync.shape.json_text import decode
from oa_sync.workspace.report import SyncReport
from tests.destinations.places import Place
from tests.support.raw_api import RawApi, raw_api

LISTS = """
name: odd
client: {paginator: {type: page_number, page_param: page, base_page: 1, total_path: null, total_rows_path: total}}
resources:
  - name: rows
    primary_key: id
    endpoint: {path: rows, data_selector: data}
  - name: others
    primary_key: id
    endpoint: {path: others, data_selector: data, paginator: single_page}
"""
DETAILS = """
name: odd
client: {paginator: single_page}
resources:
  - name: rows
    primary_key: id
    endpoint: {path: rows, data_selector: data}
    detail: {path: "rows/{id}"}
"""
DEEP = b"[" * (sys.getrecursionlimit() + 100) + b"]" * (sys.getrecursionlimit() + 100)

TAKEN = {
    "half an emoji": (rb'"cut \ud83d"', "cut \ufffd"),
    "half an emoji in JSON": (rb'{"a b c 12345": ["\ude00"]}', '{"a b c 12345": ["\ufffd"]}'),
    "NaN": (b"NaN", None),
    "Infinity in JSON": (b"[1, -Infinity]", "[1, null]"),
    "no UTF-8": (b'"\xff!"', "\ufffd!"),
    "a control character": (b'"a\tb"', "a\tb"),
    "a key twice": (b'"x", "t": "y"', "y"),
    "300 lists deep": (b"[" * 300 + b"]" * 300, "[" * 300 + "]" * 300),
    "1,100 lists deep": (DEEP, DEEP.decode()),
    "beyond 64 bits": (b"12345678901234567890123", "12345678901234567890123"),
    "beyond the doubles": (b"1e400", "1e400"),
}

REPLACED = {"half an emoji", "half an emoji in JSON", "NaN", "Infinity in JSON", "no UTF-8"}


def definition(folder: Path, text: str) -> str:
    path = folder / "odd.yaml"
    path.write_text(text)
    return str(path)


def page(*rows: bytes, total: int) -> bytes:
    return b'{"data": [%s], "total": %d}' % (b", ".join(rows), total)


def run(place: Place, api: RawApi, text: str, *resources: str, **options: Any) -> SyncReport:
    settings = place.settings(api.base_url, source=definition(place.folder, text), api_key=None)
    return sync(settings, resources, **options)


def values(place: Place, table: str = "rows", column: str = "t") -> dict[Any, Any]:
    """A column of the living rows by key."""
    found = [row for row in place.read(table) if row["_oa_deleted_at"] is None]
    assert len(found) == len({row["id"] for row in found})
    return {row["id"]: row.get(column) for row in found}


@pytest.fixture(autouse=True)
def any_depth() -> Iterator[None]:
    """psycopg decodes JSON with the standard library, which ends at the depth of the stack."""
    set_json_loads(decode)
    yield
    set_json_loads(json.loads)


@pytest.fixture
def folder(place: Place) -> Path:
    place.folder.mkdir(parents=True, exist_ok=True)
    return place.folder


def _is_same(found: Any, value: Any) -> bool:
    if isinstance(value, str) and isinstance(found, list | dict | int | float):  # jsonb
        return True
    return bool(found == value) or (isinstance(found, str) and found.strip('"') == str(value))


REFUSED = {("sqlalchemy", "300 lists deep")}
"""dlt parses JSON for SQLite, and the library that writes it again stops at 254 levels: the row is set aside."""


@pytest.mark.parametrize("odd", TAKEN)
def test_an_odd_value_in_a_row_is_taken(odd: str, place: Place, folder: Path) -> None:
    text, value = TAKEN[odd]
    pages = {
        "rows?page=1": page(b'{"id": 1, "t": "a"}', b'{"id": 2, "t": "b"}', total=5),
        "rows?page=2": page(b'{"id": 3, "t": %s}' % text, b'{"id": 4, "t": "d"}', total=5),
        "rows?page=3": page(b'{"id": 5, "t": "e"}', total=5),
        "others": page(b'{"id": 1}', total=1),
    }
    with raw_api(**pages) as api:
        for night in (1, 2):
            report = run(place, api, LISTS)
            if (place.destination, odd) in REFUSED:
                assert (report.exit_code, set(values(place))) == (1, {1, 2, 4, 5})
                return
            assert (report.exit_code, report.error) == (0, None)
            told = [(one["code"], one["resource"]) for one in report.as_json()["warnings"]]
            assert told == ([("replaced", "rows")] if odd in REPLACED and night == 1 else [])
            assert all(
                "3, values that cannot be kept" in one["message"]
                for one in report.as_json()["warnings"]
            )
            found = values(place)
            assert set(found) == {1, 2, 3, 4, 5}
            assert [found[n] for n in (1, 2, 4, 5)] != [None] * 4
            if "beyond" not in odd and "deep" not in odd and "JSON" not in odd:
                assert _is_same(found[3], value), found[3]
        assert report.tallies["rows"].unchanged == 5
        assert report.requests.made == 4
        # It proves deletions like any other list.
        api.replies["/rows?page=1"] = page(
            b'{"id": 2, "t": "b"}', b'{"id": 3, "t": %s}' % text, total=4
        )
        api.replies["/rows?page=2"] = page(b'{"id": 4, "t": "d"}', b'{"id": 5, "t": "e"}', total=4)
        report = run(place, api, LISTS)
        assert report.exit_code == 0
        assert set(values(place)) == {2, 3, 4, 5}


@pytest.mark.parametrize("odd", TAKEN)
def test_an_odd_value_in_a_detail_is_taken(odd: str, place: Place, folder: Path) -> None:
    text, _ = TAKEN[odd]
    rows = {f"rows/{n}": b'{"id": %d, "t": %s}' % (n, text) for n in range(6)}
    listed = page(*(b'{"id": %d}' % n for n in range(6)), total=6)
    with raw_api(rows=listed, **rows) as api:
        report = run(place, api, DETAILS)
        if (place.destination, odd) in REFUSED:
            assert report.exit_code == 1
            return
        assert (report.exit_code, report.error) == (0, None)
        assert set(values(place)) == set(range(6))
        assert report.requests.made == 7
        report = run(place, api, DETAILS)
        assert (report.exit_code, report.requests.made) == (0, 1), "nothing is asked for again"


WITHOUT_KEY = {
    "null as id": b'{"id": null, "t": "x"}',
    "no id": b'{"t": "x"}',
    "a list as id": b'{"id": [1], "t": "x"}',
    "null": b"null",
    "a number": b"7",
    "text": rb'"\ud83d"',
    "a list": b"[1]",
}


@pytest.mark.parametrize("row", WITHOUT_KEY)
def test_a_row_without_key_is_set_aside_by_name(row: str, place: Place, folder: Path) -> None:
    refused = WITHOUT_KEY[row]
    pages = {
        "rows?page=1": page(b'{"id": 1, "t": "a"}', b'{"id": 2, "t": "b"}', total=5),
        "rows?page=2": page(refused, b'{"id": 4, "t": "d"}', total=5),
        "rows?page=3": page(b'{"id": 5, "t": "e"}', total=5),
        "others": page(b'{"id": 1}', total=1),
    }
    with raw_api(**pages) as api:
        report = run(place, api, LISTS)
        assert report.exit_code == 1
        assert report.error is not None
        assert report.error.code == "set_aside"
        assert "rows: page 2, row 1: a row " in str(report.error)
        assert set(values(place)) == {1, 2, 4, 5}
        assert set(values(place, "others")) == {1}
        told = report.as_json()["resources"]
        assert (told["rows"]["set_aside"], told["others"]["set_aside"]) == (1, 0)
        [row_of_sync] = place.read("syncs")
        assert row_of_sync["set_aside"] == 1

        settings = place.settings(api.base_url, source=str(folder / "odd.yaml"), api_key=None)
        [shown] = status(settings).as_json()["set_aside"]
        assert (shown["resource"], shown["where"], shown["key"]) == ("rows", "page 2, row 1", None)

        # A row that cannot be read may be any of those that are missing.
        api.replies["/rows?page=1"] = page(refused, b'{"id": 2, "t": "b"}', total=2)
        assert run(place, api, LISTS).exit_code == 1
        assert set(values(place)) == {1, 2, 4, 5}

        # Mended, it is loaded, and absence proves deletion again.
        api.replies["/rows?page=1"] = page(b'{"id": 3, "t": "c"}', b'{"id": 2, "t": "b"}', total=2)
        assert run(place, api, LISTS).exit_code == 0
        assert set(values(place)) == {2, 3}
        assert status(settings).set_aside == []


def test_a_composite_key_with_one_null_part(place: Place, folder: Path) -> None:
    text = LISTS.replace(
        "primary_key: id\n    endpoint: {path: rows",
        "primary_key: [id, shop]\n    endpoint: {path: rows",
    )
    rows = [b'{"id": 1, "shop": "a"}', b'{"id": 1, "shop": null}', b'{"id": 2, "shop": "a"}']
    with raw_api(**{"rows?page=1": page(*rows, total=3), "others": page(total=0)}) as api:
        report = run(place, api, text)
    assert report.exit_code == 1
    assert "rows: page 1, row 2: a row has no id + shop" in str(report.error)
    assert {(row["id"], row["shop"]) for row in place.read("rows")} == {(1, "a"), (2, "a")}


def test_a_list_in_which_no_row_has_the_key_is_a_fault_of_the_definition(
    place: Place, folder: Path
) -> None:
    with raw_api(
        **{"rows?page=1": page(b'{"n": 1}', b'{"n": 2}', total=2), "others": page(total=0)}
    ) as api:
        report = run(place, api, LISTS)
    assert report.exit_code == 1
    assert "set primary_key in the definition" in str(report.error)
    assert report.as_json()["resources"]["rows"]["set_aside"] == 0


@pytest.mark.parametrize("form", ["json", "typed"])
def test_odd_values_in_the_rows_of_a_report(form: str, place: Place, folder: Path) -> None:
    text = DETAILS.replace(
        '"rows/{id}"}',
        '"rows/{id}"}\n    children: {data: {table: report_rows, parent_key: report_id}}',
    )
    detail = b'{"id": 1, "data": [{"a": NaN}, {"a": 1.5, "t": "\\ud83d"}, {"a": 2.5, "t": "\xff"}]}'
    with raw_api(rows=page(b'{"id": 1}', total=1), **{"rows/1": detail}) as api:
        settings = place.settings(
            api.base_url, source=definition(folder, text), api_key=None, report_rows=form
        )
        assert sync(settings).exit_code == 0
    rows = sorted(place.read("report_rows"), key=lambda row: row["position"])
    if form == "json":
        rows = [row["row"] for row in rows]
        rows = [json.loads(row) if isinstance(row, str) else row for row in rows]
    assert [(row["a"], row.get("t")) for row in rows] == [
        (None, None),
        (1.5, "\ufffd"),
        (2.5, "\ufffd"),
    ]
