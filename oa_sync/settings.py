"""Every setting: by a flag, else the environment, `.dlt/secrets.toml`, `.dlt/config.toml`, its default.

The result is one frozen `Settings`; nothing else in the package reads the environment for its own
settings. dlt's own configuration (destination credentials and the like) is left to dlt.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args
from typing import Literal as L  # noqa: N817
from urllib.parse import urlsplit

from oa_sync.errors import ConfigurationError

DEFAULT_BASE_URL = "https://api.openanalyst.com/v1"
Dialect = L["auto", "page", "cursor"]
Plan = L["free", "basic", "pro", "max", "starter", "enterprise"]
ReportRowsForm = L["json", "typed", "tables"]

IN_A_BUCKET = frozenset({"parquet", "delta", "iceberg"})
"""Destinations whose tables are files below `bucket_url`."""

MOST_DAYS = 3650
"""The longest `full_scan_days`, ten years: as good as never, and the date can still be computed."""

MOST_GRACE = 86_400
"""The longest `grace_seconds`: a day."""

# (field, environment variable); `api_key` has no flag, so that it never stands on a command line.
_ENVIRONMENT = {
    "api_key": "OPENANALYST_API_KEY",
    "base_url": "OPENANALYST_BASE_URL",
    "dialect": "OA_SYNC_DIALECT",
    "plan": "OA_SYNC_PLAN",
    "rpm": "OA_SYNC_RPM",
    "rpd": "OA_SYNC_RPD",
    "quota_day": "OA_SYNC_QUOTA_DAY",
    "reserve": "OA_SYNC_RESERVE",
    "home": "OA_SYNC_HOME",
    "quota_url": "OA_SYNC_QUOTA_URL",
    "full_scan_days": "OA_SYNC_FULL_SCAN_DAYS",
    "grace_seconds": "OA_SYNC_GRACE_SECONDS",
    "workspace": "OA_SYNC_WORKSPACE",
    "destination": "OA_SYNC_DESTINATION",
    "database": "OA_SYNC_DATABASE",
    "bucket_url": "OA_SYNC_BUCKET_URL",
    "dataset_name": "OA_SYNC_DATASET_NAME",
}


@dataclass(frozen=True)
class Settings:
    """What one command works with. Build it with `resolve`; paths are absolute, numbers are numbers."""

    api_key: str | None = field(default=None, repr=False)
    base_url: str = DEFAULT_BASE_URL
    dialect: Dialect = "auto"
    plan: Plan = "free"
    rpm: int | None = None
    """Requests a minute; 0 is unlimited, None is the plan's."""
    rpd: int | None = None
    """Requests a day; 0 is unlimited, None is the plan's."""
    quota_day: str = "rolling"
    """When the day's requests start anew: `rolling` (any 24 hours) or a time zone's midnight."""
    reserve: float = 0.1
    max_requests: int | None = None
    full_scan_days: float = 7
    """After so many days a list is read whole, even if a scan could stop early; 0: every time."""
    grace_seconds: float = 300
    """How long a Parquet file on a disk keeps the pages that were replaced, for readers; 0: not at all."""
    home: Path = Path("~/.local/share/oa-sync")
    quota_url: str | None = field(default=None, repr=False)
    workspace: str = "default"
    destination: str = "duckdb"
    database: Path = Path("oa_sync.duckdb")
    bucket_url: str | None = None
    dataset_name: str = "openanalyst"
    report_rows: ReportRowsForm = "json"
    source: str | None = None

    def require_api_key(self) -> str:
        """The API key.

        Raises:
            ConfigurationError: none was set.
        """
        if not self.api_key:
            raise ConfigurationError(
                "no API key: set OPENANALYST_API_KEY, or api_key under [sources.openanalyst] in"
                " .dlt/secrets.toml"
            )
        return self.api_key

    def fingerprint(self) -> str:
        """16 hex digits that name this workspace in this destination, for the lock and the journal.
        They hold no secret."""
        text = "\0".join((self.workspace, self.destination, self.place, self.dataset_name))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def place(self) -> str:
        """Where the destination is: the DuckDB file, the folder or bucket, else its name."""
        if self.destination == "duckdb":
            return str(self.database)
        return str(self.bucket_url) if self.destination in IN_A_BUCKET else self.destination

    @property
    def journal(self) -> Path:
        """The folder of the journal of this workspace and destination."""
        return self.home / "journal" / self.fingerprint()


def resolve(
    flags: Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """Merge `flags` (None: not given), the environment and the `.dlt` files into `Settings`.

    Raises:
        ConfigurationError: a value is not valid; the message says where it came from.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    files = _toml_settings(cwd)
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        name = setting.name
        for origin, value in (
            (f"--{name.replace('_', '-')}", flags.get(name)),
            (_ENVIRONMENT.get(name, ""), environ.get(_ENVIRONMENT.get(name, "")) or None),
            (f".dlt: [sources.openanalyst] {name}", files.get(name)),
        ):
            if value is not None:
                values[name] = _convert(name, value, origin)
                break
    values["home"] = _absolute(cwd, values.get("home") or _default_home())
    values["database"] = _absolute(cwd, values.get("database", Settings.database))
    settings = Settings(**values)
    _check(settings)
    return settings


def _default_home() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("oa-sync", appauthor=False))


def _absolute(cwd: Path, path: Path) -> Path:
    return Path(os.path.normpath(cwd / path.expanduser()))


def _toml_settings(cwd: Path) -> dict[str, Any]:
    """The `[sources.openanalyst]` tables of secrets over config, project folder over `~/.dlt`."""
    merged: dict[str, Any] = {}
    for folder in (Path.home() / ".dlt", cwd / ".dlt"):
        for name in ("config.toml", "secrets.toml"):
            path = folder / name
            try:
                data = tomllib.loads(path.read_text(encoding="utf-8"))
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{path}: not valid TOML: {error}") from None
            section = data.get("sources", {})
            section = section.get("openanalyst", {}) if isinstance(section, dict) else {}
            if isinstance(section, dict):
                merged.update(section)
    return merged


_CHOICES: dict[str, tuple[str, ...]] = {
    "dialect": get_args(Dialect),
    "plan": get_args(Plan),
    "report_rows": get_args(ReportRowsForm),
}
_INTEGERS = {"rpm", "rpd", "max_requests"}
_AMOUNTS = {"full_scan_days": ("days", MOST_DAYS), "grace_seconds": ("seconds", MOST_GRACE)}
_PATHS = {"home", "database"}


def _convert(name: str, value: Any, origin: str) -> Any:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise ConfigurationError(
                f"{origin}: {value!r} is not one of {', '.join(_CHOICES[name])}"
            )
        return value
    if name in _INTEGERS:
        try:
            number = int(str(value))
        except ValueError:
            number = -1
        if number < 0:
            raise ConfigurationError(f"{origin}: {value!r} is not a whole number from 0 up")
        return number
    if name == "reserve":
        try:
            share = float(value)
        except (TypeError, ValueError):
            share = -1.0
        if not 0.0 <= share < 1.0:
            raise ConfigurationError(f"{origin}: {value!r} is not a share from 0 to below 1")
        return share
    if name in _AMOUNTS:
        unit, most = _AMOUNTS[name]
        try:
            amount = float(value)
        except (TypeError, ValueError):
            amount = -1.0
        if not 0.0 <= amount <= most:
            raise ConfigurationError(
                f"{origin}: {value!r} is not a number of {unit} from 0 to {most}"
            )
        return amount
    if name in _PATHS:
        return Path(str(value))
    text = str(value)
    if name != "api_key" and any(ord(char) < 32 for char in text):
        raise ConfigurationError(f"{origin}: the value holds a control character")
    return text


def _check(settings: Settings) -> None:
    parts = urlsplit(settings.base_url)
    loopback = parts.hostname in {"localhost", "::1"} or (parts.hostname or "").startswith("127.")
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ConfigurationError(
            f"base URL {settings.base_url!r} is not an https:// address, such as {DEFAULT_BASE_URL}"
        )
    if parts.username or parts.password:
        raise ConfigurationError("base URL: credentials do not belong into the URL")
    if parts.scheme == "http" and not loopback:
        raise ConfigurationError(
            f"base URL {settings.base_url!r}: plain http:// would send the API key in clear; use"
            " https:// (http:// is for loopback hosts only)"
        )
    if not settings.workspace.strip():
        raise ConfigurationError("the workspace label is empty; leave it out for 'default'")
    if not settings.dataset_name.isidentifier():
        raise ConfigurationError(
            f"dataset name {settings.dataset_name!r} is not a plain identifier (letters, digits, _)"
        )
    catalog = settings.database.stem.lower()
    if settings.destination == "duckdb" and catalog == settings.dataset_name.lower():
        raise ConfigurationError(
            f"database {settings.database.name!r}: DuckDB names the catalog after the file, and could"
            f" not tell it from the schema {settings.dataset_name!r}; choose another --database or"
            " --dataset-name"
        )
    if settings.destination in IN_A_BUCKET and not settings.bucket_url:
        raise ConfigurationError(
            f"destination {settings.destination} needs a folder or bucket: --bucket-url DIR, or"
            " OA_SYNC_BUCKET_URL"
        )
