"""What readers see while loads run and after kills: every file readable, each key once, all of a parent."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lake_loads import load_round, round_of_batches
from tests.support.lake_model import Model, Row, canonical, seen_by_duckdb, seen_by_pyarrow

KEYS = {"reports": "id", "report_rows": "report_id"}
NO_KILL = 1 << 60


def _by_key(rows: list[Row], table: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[KEYS[table]], []).append(row)
    return groups


def _check_between(seen: list[Row], table: str, before: Model, after: Model) -> None:
    """Every key stands there as it was before or as it is after, whole, and nothing else does."""
    old, new = _by_key(before.rows(table), table), _by_key(after.rows(table), table)
    found = _by_key(seen, table)
    assert found.keys() <= old.keys() | new.keys()
    for key in old.keys() | new.keys():
        assert canonical(found.get(key, [])) in (old.get(key, []), new.get(key, [])), key


@pytest.fixture
def loader(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.lake_loads", str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _ask(process: subprocess.Popen[str], number: int, point: int) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{number} {point}\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_a_kill_at_any_moment_leaves_each_key_once_and_repeating_heals(
    tmp_path: Path, loader: subprocess.Popen[str]
) -> None:
    chance = random.Random(6)
    model, root = Model(), str(tmp_path / "lake")
    calls = int(_ask(loader, 0, NO_KILL).removeprefix("done "))
    model.load(round_of_batches(0))
    for number in range(1, 13):
        before = Model()
        before.tables = {name: dict(groups) for name, groups in model.tables.items()}
        batches = round_of_batches(number)
        model.load(batches)
        if _ask(loader, number, chance.randrange(calls)) == "killed\n":
            for table in KEYS:
                for seen in (seen_by_duckdb(root, table), seen_by_pyarrow(root, table)):
                    _check_between(seen, table, before, model)
        calls = int(_ask(loader, number, NO_KILL).removeprefix("done "))
        for table in KEYS:
            assert seen_by_duckdb(root, table) == model.rows(table)
    assert not list((tmp_path / "lake/data/.oa_sync").glob("*.tmp"))


def test_a_reader_beside_loads_never_sees_a_key_twice_or_not_at_all(tmp_path: Path) -> None:
    root = str(tmp_path / "lake")
    rounds = range(1, 13)
    load_round(tmp_path, 0)
    versions: dict[str, dict[str, list[list[Row]]]] = {table: {} for table in KEYS}
    model = Model()
    for number in (0, *rounds):
        model.load(round_of_batches(number))
        for table, known in versions.items():
            groups = _by_key(model.rows(table), table)
            for key in {*known, *groups}:
                known.setdefault(key, [] if number == 0 else [[]]).append(groups.get(key, []))
    stop, faults, reads = threading.Event(), [], []

    def read() -> None:
        while not stop.is_set():
            for table, known in versions.items():
                for see in (seen_by_duckdb, seen_by_pyarrow):
                    try:
                        found = _by_key(see(root, table), table)
                        wrong = [
                            (key, found.get(key))
                            for key in {*known, *found}
                            if canonical(found.get(key, [])) not in known.get(key, [])
                        ]
                        assert not wrong, (table, wrong[:3])
                    except Exception as error:  # any failure of a reader is what must not be
                        faults.append(f"{see.__name__} {type(error).__name__}: {error}")
                    reads.append(table)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in rounds:
            load_round(tmp_path, number)
        while (
            len(reads) < 8
        ):  # a reader that a busy machine kept waiting; once more changes nothing
            load_round(tmp_path, rounds[-1])
    finally:
        stop.set()
        reader.join()
    assert faults == []
