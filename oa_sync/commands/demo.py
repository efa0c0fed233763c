"""The demo, without its screen: a folder of its own, an API on loopback, changes, read-back.

`oa-sync demo` prints it; `docs/demo_screen.py` paints it. Everything is real (HTTP, the quota ledger,
dlt, DuckDB) but the API, which is the emulator over the bundled sample workspace.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oa_sync.errors import ConfigurationError
from oa_sync.private import replace_file
from oa_sync.settings import Plan, Settings

if TYPE_CHECKING:
    from oa_sync.commands.sync import Progress
    from oa_sync.emulator.server import RunningEmulator
    from oa_sync.emulator.state import EmulatorState
    from oa_sync.workspace.report import SyncReport

DATABASE = "workspace.duckdb"
HOME = "home"
MARKER = ".oa-sync-demo"
_MADE_HERE = (DATABASE, f"{DATABASE}.wal", HOME)
_MARKER_TEXT = f"oa-sync demo made {DATABASE} and {HOME}/ here and replaces them each time.\n"
# Enough of the environment to run and to print; settings of the user's and of dlt's are not in it.
_KEPT = ("PATH", "TERM", "COLORTERM", "COLUMNS", "LINES", "LANG", "NO_COLOR", "TMPDIR", "TZ")
PLAN: Plan = "pro"


@dataclass(frozen=True, slots=True)
class SourceChange:
    """One change that was made at the source, in words."""

    resource: str
    name: str
    what: str


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What is in DuckDB. `rows`: by table; `values`: by what they are, as text."""

    rows: Mapping[str, int]
    values: Mapping[str, str]


class Demo:
    """A demo that is under way; see `running_demo`."""

    def __init__(self, settings: Settings, api: RunningEmulator) -> None:
        self._settings, self._api = settings, api

    @property
    def base_url(self) -> str:
        """Where the sample workspace is served."""
        return self._api.base_url

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self._settings.database

    def sync(self, progress: Progress) -> SyncReport:
        """Sync the sample workspace, as `oa-sync sync` would."""
        from oa_sync.commands.sync import sync

        self._api.state.counters.reset()
        return sync(self._settings, progress=progress)

    def requests_counted(self) -> int:
        """Requests that the server counted since the last sync began."""
        return self._api.state.counters.total

    def change_the_source(self) -> list[SourceChange]:
        """Edit two reports, delete one, add a dataset."""
        return _change(self._api.state)

    def read_back(self) -> ReadBack:
        """Ask DuckDB for the rows of every table and for what the changes are about."""
        return _read_back(self._settings.database)


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """Make `folder` ready and serve the sample workspace for the `with` block.

    Nothing outside `folder` is written, and neither settings nor the environment are read.

    Raises:
        ConfigurationError: `folder` holds files that no demo made, or cannot be written.
    """
    from oa_sync.emulator.options import EmulatorOptions
    from oa_sync.emulator.server import running

    folder = folder.absolute()
    _make_ready(folder)
    with (
        _own_environment(folder / HOME),
        running(options=EmulatorOptions(plan=PLAN, runs_list=True)) as api,
    ):
        settings = Settings(
            api_key="oa_test_demo",
            base_url=api.base_url,
            plan=PLAN,
            home=folder / HOME,
            database=folder / DATABASE,
        )
        yield Demo(settings, api)


def _make_ready(folder: Path) -> None:
    """Remove what the last demo made in `folder`, and mark it as a demo's."""
    marker = folder / MARKER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not marker.is_file() and any(folder.iterdir()):
            raise ConfigurationError(
                f"{folder} is not empty and no demo made it, so nothing in it is touched; name another"
                " folder with --dir"
            )
        replace_file(marker, _MARKER_TEXT.encode())
        for name in _MADE_HERE:
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (folder / HOME).mkdir(mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or folder}: {error.strerror}; name a folder that can be written with"
            " --dir"
        ) from error


@contextmanager
def _own_environment(home: Path) -> Iterator[None]:
    """Hide the user's environment and dlt settings: dlt takes any variable for its configuration and
    looks for files in the current folder and the user's home."""
    before = dict(os.environ)
    kept = {name: before[name] for name in _KEPT if name in before}
    try:
        os.environ.clear()
        os.environ.update(kept, HOME=str(home), DLT_PROJECT_DIR=str(home), DLT_DATA_DIR=str(home))
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# -- the changes ----------------------------------------------------------------------------------

_CORRECTED = 18.5
_NEW_ROW = {"symbol": "AAPL", "date": "Apr 1 2010", "price": 261.09}
_NEW_DATASET: dict[str, Any] = {
    "name": "penguins",
    "type": "csv",
    "status": "connected",
    "description": "Size measurements of three penguin species at Palmer Station, Antarctica.",
    "columns": [
        {"name": "species", "type": "string", "description": None},
        {"name": "island", "type": "string", "description": None},
        {"name": "body_mass_g", "type": "integer", "description": None},
    ],
}


def _change(source: EmulatorState) -> list[SourceChange]:
    cars, stocks, girls = (_report(source, name) for name in ("Cars", "Stocks", "Girls"))
    first, *others = cars["data"]
    source.update(
        "reports", cars["id"], {"data": [{**first, "Miles_per_Gallon": _CORRECTED}, *others]}
    )
    source.update(
        "reports",
        stocks["id"],
        {
            "data": [*stocks["data"], _NEW_ROW],
            "row_count": len(stocks["data"]) + 1,
            "certified_by": "Finance",
        },
    )
    source.delete("reports", girls["id"])
    source.insert("datasets", _NEW_DATASET)
    return [
        SourceChange(
            "reports",
            "Cars",
            f"first row: Miles_per_Gallon {first['Miles_per_Gallon']} becomes {_CORRECTED}",
        ),
        SourceChange(
            "reports",
            "Stocks",
            f"one more row ({_NEW_ROW['symbol']}, {_NEW_ROW['date']}), a new field certified_by",
        ),
        SourceChange("reports", "Girls", "deleted"),
        SourceChange("datasets", "penguins", "added"),
    ]


def _report(source: EmulatorState, name: str) -> dict[str, Any]:
    return next(row for row in source.rows("reports") if row["name"] == name)


# -- read-back ------------------------------------------------------------------------------------

_ABOUT_THE_CHANGES = {
    "Cars, first row, Miles_per_Gallon": """
        SELECT any_value(r.row ->> 'Miles_per_Gallon')
        FROM openanalyst.report_rows r JOIN openanalyst.reports p ON p.id = r.report_id
        WHERE p.name = 'Cars' AND r.position = 0""",
    "Stocks, rows": """
        SELECT count(*)
        FROM openanalyst.report_rows r JOIN openanalyst.reports p ON p.id = r.report_id
        WHERE p.name = 'Stocks'""",
    "Girls": """
        SELECT CASE WHEN _oa_deleted_at IS NULL THEN 'there'
               ELSE 'deleted ' || strftime(_oa_deleted_at AT TIME ZONE 'UTC', '%H:%M:%S') END
        FROM openanalyst.reports WHERE name = 'Girls'""",
    "penguins, columns": """
        SELECT nullif(count(*), 0)
        FROM openanalyst.dataset_columns c JOIN openanalyst.datasets d ON d.id = c.dataset_id
        WHERE d.name = 'penguins'""",
}


def _read_back(database: Path) -> ReadBack:
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'openanalyst'"
            " AND table_name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY 1"
        ).fetchall()
        rows = {
            name: _single(connection, f'SELECT count(*) FROM openanalyst."{name}"')
            for (name,) in tables
        }
        values = {what: _single(connection, sql) for what, sql in _ABOUT_THE_CHANGES.items()}
    return ReadBack(rows, {what: "–" if v is None else str(v) for what, v in values.items()})


def _single(connection: Any, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    return row[0] if row else None
