"""What identifies a row survives being read back: any JSON scalar, any declared type, any destination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from oa_sync.settings import Settings
from oa_sync.tables import resource_tables
from oa_sync.workspace.report import SyncReport
from tests.destinations.places import DuckDB, Place, Row
from tests.support.json_api import Answer, Server, json_api
from tests.support.syncing import run_sync

HUGE = 12345678901234567890123
AT = "2026-01-01T00:00:00"


@dataclass(frozen=True)
class Case:
    """A resource: what its definition says of keys, the keys of its rows, and whether it has a detail."""

    name: str
    keys: list[Any]
    fields: tuple[str, ...] = ("id",)
    types: Mapping[str, str] = field(default_factory=dict)
    more: str = ""
    detail: bool = False

    def row(self, place: int, value: Any) -> Row:
        key = self.keys[place]
        values = key if isinstance(key, tuple) else (key,)
        return {**dict(zip(self.fields, values, strict=True)), "v": value}

    def definition(self) -> str:
        columns = ", ".join(f"{name}: {{data_type: {kind}}}" for name, kind in self.types.items())
        detail = f"detail: {{path: '{self.name}/{{id}}'}}, " if self.detail else ""
        children = f"children: {{steps: {{table: {self.name}_steps}}}}, " if self.detail else ""
        return (
            f"  - {{name: {self.name}, primary_key: [{', '.join(self.fields)}], {detail}{children}"
            f"columns: {{{columns}}}, {self.more} endpoint: {{path: {self.name}}}}}"
        )


CASES = [
    Case("days", ["2026-01-01", "2026-01-02", "2026-01-03"], types={"id": "date"}),
    Case("instants", [f"{AT}Z", f"{AT}+00:00", f"{AT}.120Z"], types={"id": "timestamp"}),
    Case("decimals", ["1.0", "1.00", 2], types={"id": "decimal"}),
    Case("truths", [True, False, "maybe"], types={"id": "bool"}),
    Case("doubles", [1, 1.0, 2.5], types={"id": "double"}),
    Case("documents", [1, "k", 2.5], types={"id": "json"}),
    Case("numerals", [1, "k", HUGE], types={"id": "bigint"}),
    Case("texts", [1, "k", "\x1e1"], types={"id": "text"}),
    Case("mixed", [1, "k", "2"], detail=True),
    Case("scalars", [2.5, True, "x"]),
    Case("huge", [HUGE, HUGE + 1, -HUGE], detail=True),
    Case("marked", [5, "\x1e5", "\x1f"]),
    Case("odd", ["a\0b", "é", "e\u0301"]),
    Case("cursors", [f"{AT}Z", f"{AT}.5Z", f"{AT}.50Z"], fields=("updated_at",)),
    Case(
        "sales",
        [("a", "2026-01-01"), ("a", "2026-01-02"), ("b", "2026-01-01")],
        fields=("shop", "day"),
        types={"day": "date"},
        more="history: true,",
    ),
    Case(
        "again",
        [("1", f"{AT}Z"), ("2", f"{AT}.5Z"), ("3", f"{AT}Z")],
        fields=("id", "created_at"),
        more="history: true,",
        detail=True,
    ),
    Case("parts", [("a", "b\x1fc"), ("a\x1fb", "c"), ("a", 1)], fields=("id", "part")),
]


class Source:
    """The rows of each case by place, served as a list and as details with two steps."""

    def __init__(self, cases: Sequence[Case] = CASES) -> None:
        self.cases = {case.name: case for case in cases}
        self.rows = {case.name: dict(enumerate("abc")) for case in cases}

    def routes(self) -> Mapping[str, Answer]:
        return _Routes(self)

    def answer(self, name: str, key: str | None) -> Any:
        case = self.cases[name]
        found = [case.row(place, value) for place, value in self.rows[name].items()]
        if key is None:
            return found
        row = next(row for row in found if str(row["id"]) == key)
        return {**row, "steps": [{"of": row["v"]}, {"of": row["v"]}]}


class _Routes(dict[str, Answer]):
    def __init__(self, source: Source) -> None:
        self._source = source

    def get(self, path: str, default: Any = None) -> Any:
        _, name, *key = path.split("/")
        return lambda _: self._source.answer(name, unquote(key[0]) if key else None)


@contextmanager
def serving(place: Place, source: Source) -> Iterator[tuple[Server, Settings]]:
    with json_api(source.routes()) as server:
        file = place.folder / "keys.yaml"
        file.write_text(
            "name: keys\nclient: {paginator: single_page}\nresource_defaults:\n"
            "  endpoint: {incremental: {cursor_path: updated_at}}\nresources:\n"
            + "\n".join(case.definition() for case in source.cases.values())
        )
        yield server, place.settings(server.base_url, source=str(file), api_key=None)


def counts(report: SyncReport) -> dict[str, tuple[int, ...]]:
    return {
        name: (tally.new, tally.changed, tally.deleted, tally.details_fetched)
        for name, tally in report.tallies.items()
    }


def check(place: Place, source: Source) -> None:
    """Each key stands once, alive or not as it is at the source, with its newest values and steps."""
    for case in source.cases.values():
        rows = place.read(case.name)
        living = sorted(row["v"] for row in rows if row["_oa_deleted_at"] is None)
        assert living == sorted(source.rows[case.name].values()), case.name
        assert len(rows) == 3, case.name
        if case.detail:
            steps = sorted(row["of"] for row in place.read(f"{case.name}_steps"))
            assert set(living) <= set(steps), case.name
            assert all(steps.count(value) == 2 for value in steps), case.name
        if "history" in case.more:
            open_rows = [r for r in place.read(f"{case.name}_history") if r["_oa_valid_to"] is None]
            assert sorted(row["v"] for row in open_rows) == living, case.name


def test_every_key_is_known_again(place: Place) -> None:
    source = Source()
    with serving(place, source) as (_, settings):
        details = {case.name: 3 if case.detail else 0 for case in CASES}
        first = run_sync(settings)
        assert counts(first) == {name: (3, 0, 0, n) for name, n in details.items()}
        check(place, source)
        assert counts(run_sync(settings)) == {case.name: (0, 0, 0, 0) for case in CASES}
        for rows in source.rows.values():
            del rows[0]
            rows[1] = "changed"
        third = counts(run_sync(settings))
        assert third == {case.name: (0, 1, 1, 1 if case.detail else 0) for case in CASES}
        check(place, source)
        assert counts(run_sync(settings)) == {case.name: (0, 0, 0, 0) for case in CASES}
        check(place, source)


def test_a_table_that_was_made_without_the_text_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions made them: merged by the typed columns, and nothing beside."""
    days = Case("days", ["2026-01-01", "2026-01-02", "2026-01-03"], types={"id": "date"})
    times = [(str(n), f"{AT}.{n}00Z") for n in (1, 2, 3)]
    cases = [days, Case("times", list(times), fields=("id", "created_at"), detail=True)]
    none = {"days": (0, 0, 0, 0), "times": (0, 0, 0, 0)}
    source = Source(cases)
    with serving(place, source) as (_, settings):
        with monkeypatch.context() as earlier:
            earlier.setattr(resource_tables, "needs_key_text", lambda *_: False)
            assert counts(run_sync(settings)) == {"days": (3, 0, 0, 0), "times": (3, 0, 0, 3)}
        assert "_oa_key" not in place.read("days")[0]
        assert counts(run_sync(settings)) == none
        for rows in source.rows.values():
            del rows[0]
            rows[1] = "changed"
        cases[1].keys[2] = ("3", f"{AT}.3Z")
        third = counts(run_sync(settings))
        assert (third["days"], third["times"][0]) == ((0, 1, 1, 0), 1)
        check(place, source)
        assert counts(run_sync(settings)) == none
        check(place, source)


TURNING = """
name: turning
client: {paginator: single_page}
resources:
  - name: things
    primary_key: id
    history: true
    endpoint: {path: things, incremental: {cursor_path: updated_at}}
    detail: {path: "things/{id}"}
    children: {steps: {table: thing_steps, parent_key: thing_id}}
  - {name: plain, primary_key: id, endpoint: {path: plain}}
"""


class Turning(dict[str, Answer]):
    """An API whose ids become texts; `rows` holds its rows, each detail has two steps more."""

    def __init__(self, *rows: Row) -> None:
        self.rows = list(rows)

    def get(self, path: str, default: Any = None) -> Any:
        _, name, *key = path.split("/")
        if not key:
            return lambda _: [
                {k: v for k, v in row.items() if name == "plain" or k != "x"} for row in self.rows
            ]
        row = next(row for row in self.rows if str(row["id"]) == unquote(key[0]))
        return lambda _: {**row, "steps": [{"n": 1}, {"n": 2}]}


def test_whole_numbers_become_texts_of_the_same_digits(place: Place) -> None:
    api = Turning(
        *({"id": n, "v": "t", "x": n, "updated_at": f"{AT}Z"} for n in (1, 2, HUGE // 10**6))
    )
    file = place.folder / "turning.yaml"
    file.write_text(TURNING)
    with json_api(api) as server:
        settings = place.settings(server.base_url, source=str(file), api_key=None)
        assert counts(run_sync(settings)) == {"things": (3, 0, 0, 3), "plain": (3, 0, 0, 0)}

        api.rows[:] = [{"id": "k", "v": "s", "updated_at": f"{AT}Z"}, {**api.rows[1], "id": "2"}]
        del api.rows[1]["x"]
        report = run_sync(settings)
        assert counts(report) == {"things": (1, 1, 2, 1), "plain": (1, 1, 2, 0)}
        changes = [(c["table"], c["column"], c["before"], c["after"]) for c in report.drift]
        assert ("plain", "id", "bigint", "text") in changes
        assert counts(run_sync(settings)) == {"things": (0, 0, 0, 0), "plain": (0, 0, 0, 0)}

        api.rows[:] = [
            {**row, "v": "u", "id": n} for n, row in zip((HUGE, 2), api.rows, strict=True)
        ]
        assert counts(run_sync(settings)) == {"things": (1, 1, 1, 1), "plain": (1, 1, 1, 0)}
        assert counts(run_sync(settings)) == {"things": (0, 0, 0, 0), "plain": (0, 0, 0, 0)}
    for table in ("things", "plain"):
        rows = place.read(table)
        living = {row["id"]: row["v"] for row in rows if row["_oa_deleted_at"] is None}
        assert living == {str(HUGE): "u", "2": "u"}, table
        assert len(rows) == 5, table
    steps = Counter(str(row["thing_id"]) for row in place.read("thing_steps"))
    assert {str(HUGE), "2"} <= set(steps) and set(steps.values()) == {2}
    versions = [r for r in place.read("things_history") if r["_oa_valid_to"] is None]
    assert sorted(row["id"] for row in versions) == sorted([str(HUGE), "2"])


def test_a_changed_value_beyond_64_bits_is_seen(tmp_path: Path) -> None:
    place = DuckDB(tmp_path)
    api = Turning({"id": 1, "x": HUGE})
    file = tmp_path / "turning.yaml"
    file.write_text(TURNING)
    with json_api(api) as server:
        settings = place.settings(server.base_url, source=str(file), api_key=None)
        run_sync(settings, "plain")
        api.rows[0] = {"id": 1, "x": HUGE + 1}
        assert counts(run_sync(settings, "plain")) == {"plain": (0, 1, 0, 0)}
    [row] = place.read("plain")
    assert row["x"] == str(HUGE + 1)
