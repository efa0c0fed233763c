"""The two suites, how hard hypothesis tries, and the PostgreSQL that all tests share."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Postgres, shared_postgres, sharing

# -- what is not in `make test` -------------------------------------------------------------------

REST: Mapping[str, tuple[str, ...]] = {
    # Every destination. Nearly every other test loads DuckDB; one that is quick stands for the others.
    "destinations/test_conformance.py": ("[memory]", "[parquet]", "[postgres]", "deviations_name"),
    "destinations/test_any_key.py": ("these", "memory", "discards"),
    "destinations/test_copy.py": ("in_use", "nothing_loaded", "into_parquet"),
    "destinations/test_empty_tables.py": (
        "[duckdb-typed",
        "[postgres-key",
        "row[parquet]",
        "view",
        "[False-typed",
    ),
    "destinations/test_history.py": ("[postgres]", "nothing_changed", "in_its_definition"),
    "destinations/test_keys.py": ("again[duckdb]", "digits[postgres]", "on[parquet]", "beyond"),
    "destinations/test_marks.py": ("api[duckdb]", "[json]", "[postgres-False]", "[duckdb-True]"),
    "destinations/test_matrix.py": ("[postgres]", "by_the_next[parquet]"),
    "destinations/test_odd_values.py": ("[duckdb-half an emoji]", "[duckdb-null]", "[duckdb]"),
    "destinations/test_probe.py::test_a_": ("[duckdb]", "[parquet]", "[postgres]"),
    "destinations/test_upgrade.py": ("unchanged[duckdb]", "followed[parquet]"),
    "load/test_lake.py::test_three_syncs": ("[folder]", "[memory]", "[renaming]"),
    "load/test_lake.py::test_what_is_loaded": ("[folder]",),
    "deletions/test_empty_answers.py::test_no": ("[list-null-page]", "[detail-204-link]"),
    "deletions/test_sweep.py": ("[empty-edits-duckdb]", "[the total falls-killed-parquet]"),
    # Faults: one or two of each kind stay.
    "faults/test_contract.py": ("[columns]", "[5-1.5-6]", "first_sync", "table_is_not", "fields0"),
    "faults/test_disk.py": ("[0]", "[40]", "home_that_cannot", "another_version", "appended"),
    "faults/test_drift.py::test_a_change": ("[a new", "[int to text", "[object to list", "[far"),
    "faults/test_drift.py::test_a_kill": ("[5-abc]",),
    "faults/test_faulty_server.py::test_an_api_that_dies": (),
    "faults/test_faulty_server.py::test_one_bad": ("[page-1]", "[cursor-1]"),
    "faults/test_faulty_server.py::test_one_poisoned": ("-text]",),
    "faults/test_faulty_server.py::test_redirects": ("[redirect",),
    "faults/test_first_look.py": ("schema", "not_even", "view", "-duckdb]", "second_sync"),
    "faults/test_full_disk.py": (
        "[home-duckdb-100000]",
        "[destination-duckdb",
        "value",
        "libraries",
        "sqlite",
    ),
    "faults/test_hostile.py": ("['..']", "['a?b=c']", "['nul"),
    "faults/test_kill_points.py": (
        "fetching_loses_and_doubles_nothing[after Journal.append]",
        "fetching_loses_and_doubles_nothing[before Journal.rotate]",
        "no_detail[after DuckDbCopyJob.run]",
        "no_detail[before SqlJobClientBase.complete_load]",
        "no_detail[after Journal.done]",
        "twice[after Journal.append (50)]",
    ),
    "faults/test_kills.py": (),
    "faults/test_poison.py": ("takes_nothing",),
    "faults/test_secrets.py": (
        "[401-5]",
        "[before Pipeline.load]",
        "[json]",
        "refuses",
        "passwords",
    ),
    "faults/test_seams.py": ("[RecursionError]", "[javascript", "spool", "starve", "makes_no_url"),
    "faults/test_signals.py": ("what_was_fetched[15]", "does_not_answer"),
    "faults/test_storm.py": (),
    "faults/test_unfinished.py": ("what_was_listed", "between_the_kill"),
    "load/test_lake_faults.py": ("reader_beside",),
    "queries/test_declared.py::test_a_kill": ("[after Warehouse.load (3)-True]",),
    # Much data, many nights, many processes.
    "foreign/test_foreign.py::test_no_foreign": (),
    "foreign/test_foreign.py::test_a_foreign_api_is_mirrored_into": (),
    "load/test_memory.py": (),
    "load/test_warehouse.py": ("read_the_file", "held_open"),
    "pipelines": ("nightly_syncs", "good_runs", "could_not_start"),
    "queries/test_declared.py::test_an_in": ("[page]", "of_nothing", "T10:30:00Z]"),
    "queries/test_exports.py::test_an_export_is": ("[csv]",),
    "queries/test_large.py": (),
    "quota/test_restarts.py::test_a_commit": ("[reserve-",),
    "quota/test_processes.py": ("exactly_the_days_limit[sqlite]", "leaves_its_request"),
    "runs/test_discovery.py::test_ids_are_added": (),
    "runs/test_following.py": ("several_nights", "a_change[page]", "parquet", "stale", "the_plan"),
    "security/test_hostile_sender.py::test_signed_callbacks": ("[idle]", "[30 MB]"),
    "security/test_hostile_sender.py::test_the_command_takes": (),
    "security/test_hostile_sender.py::test_a_connection_that": ("[chunked]",),
    "security/test_hostile_text.py::test_no_command": (
        "[status-piped]",
        "[webhook list-piped]",
        "[webhook register-json]",
        "[runs list-terminal]",
        "[validate-terminal]",
    ),
    "security/test_local_user.py::test_no_writer": (),
    "security/test_local_user.py::test_home_is_for_its": ("[runs add]", "[export]"),
    "shape/test_cut.py::test_a_long_list": (),
    "sync/test_budget.py::test_the_days_that_are_left": (),
    "sync/test_budget.py::test_with_more_changes": (),
    "sync/test_fewest_requests.py": ("[cursor]", "without_a_time"),
    "sync/test_holdout.py": ("[{}-page]",),
    "sync/test_mirror.py::test_a_sync_mirrors": ("[as documented-",),
    "sync/test_moving_pages.py": ("[0]", "[1]", "[page-stored]", "answers_by_id"),
    "sync/test_postgres_restarts.py::test_a_restart": ("[1]",),
    "sync/test_two_processes.py": ("one_more[sqlite]",),
    "test_benchmarks.py::test_an_unchanged_sync": (),
    "test_benchmarks.py::test_every_rival": (),
    "test_demo.py::test_demo_runs_again": (),
    "test_demo.py::test_progress": (),
    "test_suites.py::test_the_shared": (),
    "deletions/test_nothing_in_the_middle.py::test_it_is": (
        "[link-total-null, total 0]",
        "[cursor with a flag-flag-empty, total 0]",
        "[auto-neither-204]",
        "[page-neither-no list, total 0]",
        "[offset-flag-empty, total 0, no more]",
    ),
    "deletions/test_nothing_in_the_middle.py::test_where_it": (
        "[link-empty, total 0]",
        "[page-204]",
    ),
    "deletions/test_nothing_in_the_middle.py::test_a_list_that_truly": (
        "[cursor-204]",
        "[offset-null, total 0]",
    ),
    # What needs a program of a Debian package: faketime, openssl.
    "sync/test_days.py": ("nightly",),
    "webhooks/test_serve.py::test_key_with_a_password": (),
    "webhooks/test_serve.py::test_tls_by_files": (),
}
"""Where a node id begins in `make test-rest` (below `tests/`), and parts of the ids that stay in `make test`.

A single test may also carry `@pytest.mark.rest`. What took long, and what is one more of its kind, goes here.
"""


_STALE = pytest.StashKey[set[object]]()


@pytest.hookimpl(tryfirst=True)  # before `-m` is looked at
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    meant = set()
    for item in items:
        for start, stays in REST.items():
            if item.nodeid.startswith(f"tests/{start}"):
                kept = [part for part in stays if part in item.nodeid]
                meant.update([start, *((start, part) for part in kept)])
                if not kept:
                    item.add_marker("rest")
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:  # all of them
        written = {*REST, *((start, part) for start, stays in REST.items() for part in stays)}
        config.stash[_STALE] = written - meant


@pytest.fixture
def stale_in_rest(pytestconfig: pytest.Config) -> set[object]:
    """What `REST` names and is not there; looked for where all tests were collected."""
    return pytestconfig.stash.get(_STALE, set())


# -- hypothesis: `make test` tries the same few examples each time, `make test-rest` many, by chance -----

# No deadline and no judgement of slow examples, or of many that were left out: a busy machine is no fault, nor is
# bad luck. A failure by chance can be had
# again by the line `@reproduce_failure(...)` that it prints.
_CALM = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    print_blob=True,
)
settings.register_profile("default", _CALM, max_examples=50, derandomize=True)
settings.register_profile("thorough", _CALM, max_examples=200)
settings.load_profile("default")


# -- one PostgreSQL -------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        # Started in the background by a shell. What a test starts would ignore Ctrl-C too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):  # not a worker of xdist: it outlives them all
        shared = ExitStack()
        shared.enter_context(sharing())
        config.add_cleanup(shared.close)


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The server of this run; a test makes itself a database."""
    return shared_postgres()
