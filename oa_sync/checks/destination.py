"""Does the destination open, and may a table be made in it? Leaves nothing behind."""

from __future__ import annotations

import logging
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oa_sync.clock import Clock
from oa_sync.errors import ConfigurationError, DestinationError, OaSyncError
from oa_sync.ops.lock import sync_lock
from oa_sync.settings import Settings

if TYPE_CHECKING:
    import dlt

STRATEGY = "delete-insert"
"""How every merge of ours is done: the one that may be repeated after a crash without duplicates."""


def try_destination(settings: Settings, clock: Clock) -> str:
    """Open the destination, make a table and drop it again; says what was found.

    Raises:
        LockHeldError: a sync is writing there.
        ConfigurationError: it cannot be used as it is set.
        DestinationError: it cannot be reached or written.
    """
    what = f"workspace {settings.workspace!r} into {settings.destination}"
    with (
        sync_lock(settings.home / "locks", settings.fingerprint(), what, clock),
        tempfile.TemporaryDirectory(prefix="oa-sync-check-") as scratch,
    ):
        if settings.destination == "parquet":
            return _try_folder(settings, Path(scratch))
        return _try_database(settings, Path(scratch))


def _try_folder(settings: Settings, scratch: Path) -> str:
    from oa_sync.load.destination_errors import destination_errors
    from oa_sync.load.lake.store import Store

    store = Store(settings, scratch)
    name = f"{str(settings.bucket_url).rstrip('/')}/.oa_sync_check_{uuid.uuid4().hex}"
    filesystem, path = store.filesystem, store.filesystem._strip_protocol(name)
    with destination_errors(store.shown):
        filesystem.makedirs(filesystem._parent(path), exist_ok=True)
        filesystem.pipe_file(path, b"")
        filesystem.rm_file(path)
    return f"parquet in {store.shown}: may write and delete; each key once, by replacing files"


def _try_database(settings: Settings, scratch: Path) -> str:
    import dlt
    from dlt.common.configuration.exceptions import ConfigFieldMissingException
    from dlt.common.destination.exceptions import UnknownDestinationModule

    from oa_sync.load.destinations import dlt_destination
    from oa_sync.load.warehouse import quiet_dlt

    quiet_dlt()
    logging.getLogger("dlt").setLevel(logging.CRITICAL)
    is_new = settings.destination == "duckdb" and not settings.database.exists()
    try:
        pipeline = dlt.pipeline(
            "oa_sync_check",
            pipelines_dir=str(scratch),
            destination=dlt_destination(settings),
            dataset_name=settings.dataset_name,
        )
        supported = pipeline.destination.capabilities().supported_merge_strategies or []
        if STRATEGY not in supported:
            raise ConfigurationError(
                f"destination {settings.destination!r} cannot merge by {STRATEGY} (it knows"
                f" {', '.join(supported) or 'no merge'}); for files use --destination parquet"
            )
        existed = _make_and_drop(pipeline)
    except OaSyncError:
        raise
    except UnknownDestinationModule as error:
        raise ConfigurationError(
            f"destination {settings.destination!r}: dlt has none of this name; use duckdb, parquet,"
            " postgres, or a name from dlt's list of destinations"
        ) from error
    except ConfigFieldMissingException as error:
        raise ConfigurationError(
            f"destination {settings.destination}: {_how_to_set(settings)}"
        ) from error
    except Exception as error:
        raise _ours(settings, _deepest(error)) from error
    finally:
        if is_new:
            settings.database.unlink(missing_ok=True)
    place = str(settings.database) if settings.destination == "duckdb" else settings.destination
    state = "has tables" if existed else "new"
    return (
        f"{place}, schema {settings.dataset_name} ({state}): may make tables; merges by {STRATEGY}"
    )


def _make_and_drop(pipeline: dlt.Pipeline) -> bool:
    """Make a table and drop it, and the schema too if it was not there; whether it was."""
    with pipeline.sql_client() as client:
        existed = bool(client.has_dataset())
        if not existed:
            client.create_dataset()
        table = client.make_qualified_table_name(f"oa_sync_check_{uuid.uuid4().hex[:12]}")
        client.execute_sql(f"CREATE TABLE {table} (id INTEGER)")
        client.execute_sql(f"DROP TABLE {table}")
        if not existed:
            _drop_empty_schema(client)
    return existed


def _drop_empty_schema(client: Any) -> None:
    """Without CASCADE, unlike dlt's own: what somebody else made meanwhile stays."""
    client.execute_sql(f"DROP SCHEMA {client.fully_qualified_dataset_name()}")


def _how_to_set(settings: Settings) -> str:
    name = settings.destination
    return (
        f"its credentials are not set; use DESTINATION__{name.upper()}__CREDENTIALS or"
        f" [destination.{name}.credentials] in .dlt/secrets.toml"
    )


def _ours(settings: Settings, cause: BaseException) -> OaSyncError:
    name, text = settings.destination, " ".join(str(cause).split())[:500]
    if isinstance(cause, ImportError):
        return ConfigurationError(
            f"destination {name}: its driver is not installed ({text}); pip install 'dlt[{name}]'"
        )
    if name == "duckdb":
        return DestinationError(
            f"DuckDB file {settings.database}: {text}; free it, or choose another --database"
        )
    return DestinationError(f"destination {name}: {text}; check that it runs and its credentials")


def _deepest(error: BaseException) -> BaseException:
    seen = [error]
    while (cause := seen[-1].__cause__ or seen[-1].__context__) is not None and cause not in seen:
        seen.append(cause)
    return seen[-1]
