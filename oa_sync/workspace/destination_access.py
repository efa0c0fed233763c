"""Whether the folder that is worked in may say where rows go.

dlt and pyiceberg read files of the current folder, and complete them from the environment: a host from a cloned
folder and the password of the user make one address. libpq adds `PGPASSWORD` to it. So what such files say of a
destination is confirmed once, as a host for the key is. Everything that opens a destination passes
`allow_destination` before.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from oa_sync.errors import ConfigurationError
from oa_sync.settings import Settings
from oa_sync.settings_files import dlt_values
from oa_sync.workspace.access import grants_of

_OURS = frozenset({"postgres", "parquet", "delta", "iceberg"})
"""Destinations that take an address and credentials of what dlt's files say, and no SQL or code."""
_CATALOGS = ".pyiceberg.yaml"
_OF_USER = re.compile(r"(DESTINATION__|CREDENTIALS(__|$)|PGPASS|PYICEBERG_)")
_OF_CLOUDS = re.compile(r"(AWS|AZURE|GOOGLE)_.*(KEY|TOKEN|SECRET|CREDENTIALS)")
"""Variables that dlt and the drivers send to a destination, or sign requests to it with."""
_ADDRESS = frozenset(
    {"account", "bucket_url", "database", "endpoint_url", "host", "port", "server_hostname"}
)
"""What may be shown of credentials; of a URL, its host."""


@dataclass(frozen=True)
class Named:
    """One thing that the current folder says of destinations, as grants remember it: when any of it changes, it is
    asked for again. `shown` holds no secret."""

    kind: Literal["dlt", "bucket", "catalogs"]
    name: str
    shown: str


def named_places(settings: Settings) -> list[Named]:
    """What the current folder says of where rows go, for whichever destination.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    folder, found = settings.origin.folder, list[Named]()
    if folder is None:
        return found
    if said := dlt_values(folder):
        found.append(Named("dlt", _digest(said), _shown(said)))
    bucket = str(settings.bucket_url)
    if "bucket_url" in settings.origin.from_folder and "://" in bucket:
        found.append(Named("bucket", _digest(bucket), _shown({"bucket_url": bucket})))
    file = folder.parent / _CATALOGS
    if content := _content(file):
        found.append(Named("catalogs", _digest(content.hex()), str(file)))
    return found


def allow_destination(settings: Settings) -> None:
    """Pass if the user, not the current folder, said where the destination is, or confirmed it. A folder with its
    own key may say it, as long as nothing of the user's is added, and dlt runs none of what it says. To a DuckDB file
    nothing is sent, and nothing that is said of it is read.

    Raises:
        ConfigurationError: it has to be confirmed.
    """
    destination, origin = settings.destination, settings.origin
    if destination == "duckdb" or origin.folder is None:
        return
    is_ours = destination in _OURS
    if "api_key" in origin.from_folder and is_ours and not _adds_something(destination):
        return
    grants = grants_of(settings)
    said = [
        named.shown
        for named in named_places(settings)
        if (named.kind != "catalogs" or destination == "iceberg")
        and not grants.trusts_folder(origin.folder, named.name)
    ]
    if said:
        raise ConfigurationError(
            f"{origin.folder.parent} says where the rows of destination {destination} go"
            f" ({', '.join(said)}); nothing was sent there. If that is right: oa-sync trust {origin.folder}"
        )


def _adds_something(destination: str) -> bool:
    """Whether the environment, or dlt's files of the user, have something that is sent there too."""
    import dlt

    kinds = (_OF_USER,) if destination == "postgres" else (_OF_USER, _OF_CLOUDS)
    if any(kind.match(name) for kind in kinds for name in os.environ):
        return True
    return bool(dlt_values(Path(dlt.current.run_context().global_dir)))


def _digest(said: object) -> str:
    text = orjson.dumps(said, default=str, option=orjson.OPT_SORT_KEYS)
    return f"destination {hashlib.blake2b(text, digest_size=16).hexdigest()}"


def _content(file: Path) -> bytes | None:
    """What pyiceberg reads of the current folder; None where that is the user's home."""
    try:
        return None if file == Path.home() / _CATALOGS else file.read_bytes()
    except (FileNotFoundError, NotADirectoryError, RuntimeError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from None


def _shown(said: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}{_address(name, value)}" for name, value in sorted(said.items()))


def _address(name: str, value: Any) -> str:
    """The part of `value` that names a place, behind a blank; empty where it may be a secret."""
    if isinstance(value, str) and "://" in value:
        try:
            host = urlsplit(value).netloc.rpartition("@")[2]
        except ValueError:
            host = ""
        return f" {host}" if host else ""
    return f" {value}" if name.rpartition(".")[2] in _ADDRESS else ""
