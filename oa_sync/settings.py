"""Every setting: by a flag, else the environment, `.dlt/secrets.toml`, `.dlt/config.toml`, its default.

The result is one frozen `Settings`, which is checked wherever it is made; nothing else in the package reads
the environment for its own settings. dlt's own configuration (destination credentials and the like) is left
to dlt.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args
from typing import Literal as L  # noqa: N817
from urllib.parse import urlsplit

from oa_sync.addresses import is_loopback
from oa_sync.errors import ConfigurationError
from oa_sync.settings_files import brought_along, folder_of, key_in_file, toml_values

logger = logging.getLogger(__name__)

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
    "api_key_file": "OPENANALYST_API_KEY_FILE",
    "base_url": "OPENANALYST_BASE_URL",
    "dialect": "OA_SYNC_DIALECT",
    "plan": "OA_SYNC_PLAN",
    "rpm": "OA_SYNC_RPM",
    "rpd": "OA_SYNC_RPD",
    "quota_day": "OA_SYNC_QUOTA_DAY",
    "reserve": "OA_SYNC_RESERVE",
    "home": "OA_SYNC_HOME",
    "quota_url": "OA_SYNC_QUOTA_URL",
    "allow_env": "OA_SYNC_ALLOW_ENV",
    "full_scan_days": "OA_SYNC_FULL_SCAN_DAYS",
    "grace_seconds": "OA_SYNC_GRACE_SECONDS",
    "workspace": "OA_SYNC_WORKSPACE",
    "destination": "OA_SYNC_DESTINATION",
    "database": "OA_SYNC_DATABASE",
    "bucket_url": "OA_SYNC_BUCKET_URL",
    "dataset_name": "OA_SYNC_DATASET_NAME",
    "max_columns": "OA_SYNC_MAX_COLUMNS",
    "max_tables": "OA_SYNC_MAX_TABLES",
}

_OTHER_VARIABLES = ("OA_SYNC_DOWNLOAD_HOSTS",)
"""Variables that are no settings of a sync, and may be set beside them."""


def default_home() -> Path:
    """The home of this machine's user, where nobody names another: its quota ledger is the shared one."""
    import platformdirs

    return Path(platformdirs.user_data_dir("oa-sync", appauthor=False))


@dataclass(frozen=True)
class Origin:
    """Who named which settings. What a file of the current folder names was perhaps written by somebody else, who
    shared the folder; so what it names has to be confirmed before a secret goes there.

    `folder` is the `.dlt` of the current folder, `from_folder` what it named and nobody else did.
    """

    flags: frozenset[str] = frozenset()
    folder: Path | None = None
    from_folder: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Settings:
    """What one command works with. Paths are absolute, numbers are numbers, whoever made it.

    `resolve` builds it from flags, the environment and files. Built directly it reads none of them: what is
    left out has its default.

    Raises:
        ConfigurationError: a value is not valid.
    """

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
    home: Path = field(default_factory=default_home)
    """The folder of ledger, journal, inbox and locks; the user's data folder of this platform."""
    quota_url: str | None = field(default=None, repr=False)
    workspace: str = "default"
    destination: str = "duckdb"
    database: Path = Path("oa_sync.duckdb")
    bucket_url: str | None = None
    dataset_name: str = "openanalyst"
    report_rows: ReportRowsForm = "json"
    max_columns: int = 1_000
    """Columns that a table gets from rows; 0: any number. The rest of a row is in its JSON column `value`."""
    max_tables: int = 100
    """Tables that a resource gets from rows; 0: any number. Further lists of objects are JSON."""
    source: str | None = None
    allow_env: tuple[str, ...] = ()
    """Variables of the environment that a definition may read, each as `NAME` or `NAME@HOST`."""
    origin: Origin = field(default=Origin(), compare=False, repr=False)

    def __post_init__(self) -> None:
        for setting in _settings():
            value = getattr(self, setting.name)
            if value is None and setting.name in _MAY_BE_NONE:
                continue
            value = _convert(setting.name, value, setting.name)
            object.__setattr__(self, setting.name, _placed(setting.name, value, None, setting.name))
        _check(self)

    def require_api_key(self) -> str:
        """The API key.

        Raises:
            ConfigurationError: none was set.
        """
        if not self.api_key:
            raise ConfigurationError(
                "no API key: set OPENANALYST_API_KEY (or a path in OPENANALYST_API_KEY_FILE), or api_key"
                " under [sources.openanalyst] in .dlt/secrets.toml"
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
    def shown_place(self) -> str:
        """`place` and the schema in it, for messages."""
        place = self.place if self.place == self.destination else f"{self.destination} {self.place}"
        return f"{place}, schema {self.dataset_name}"

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
        ConfigurationError: a value is not valid, or a name is not that of a setting; the message says where
            it came from.
    """
    environ = os.environ if environ is None else environ
    cwd = _current_folder() if cwd is None else cwd
    names = [setting.name for setting in _settings()]
    for name in flags:
        _must_be_known(name, names, "")
    _look_for_typing_errors(environ)
    files, folder = toml_values(cwd), folder_of(cwd)
    for name, (_, file) in files.items():
        _must_be_known(name, names, f"{file}: [sources.openanalyst] ")
    values: dict[str, Any] = {}
    from_folder = set()
    for name in names:
        variable = _ENVIRONMENT.get(name, "")
        in_file, file = files.get(name, (None, Path()))
        is_folders = file.parent == folder
        if is_folders and name == "allow_env":
            logger.warning("%s: allow_env is ignored: a folder cannot grant what is yours", file)
            in_file = None
        for origin, value, is_from_folder in (
            (_flag(name), flags.get(name), False),
            (variable, environ.get(variable) or _key_of_file(name, environ, cwd), False),
            (f"{file}: [sources.openanalyst] {name}", in_file, is_folders),
        ):
            if value is None:
                continue
            converted = _convert(name, value, origin)
            if name == "allow_env":  # each place adds to the others
                values[name] = (*values.get(name, ()), *converted)
                continue
            values[name] = _placed(name, converted, cwd, origin)
            if is_from_folder and (name != "api_key" or brought_along(file)):
                from_folder.add(name)
            break
    if "database" not in values:
        values["database"] = _absolute(cwd, Settings.database, "database")
    given = frozenset(name for name, value in flags.items() if value is not None)
    return Settings(**values, origin=Origin(given, folder, frozenset(from_folder)))


def _settings() -> list[Field[Any]]:
    """What a user can set."""
    return [setting for setting in fields(Settings) if setting.name != "origin"]


def _flag(name: str) -> str:
    return "--env" if name == "allow_env" else f"--{name.replace('_', '-')}"


def _key_of_file(name: str, environ: Mapping[str, str], cwd: Path) -> str | None:
    variable = _ENVIRONMENT["api_key_file"]
    if name != "api_key" or not environ.get(variable):
        return None
    return key_in_file(_absolute(cwd, Path(environ[variable]), variable), variable)


def _must_be_known(name: str, names: Iterable[str], where: str) -> None:
    if name not in (known := list(names)):
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
        raise ConfigurationError(f"{where}{name!r} is not a setting{hint}")


def _look_for_typing_errors(environ: Mapping[str, str]) -> None:
    """Refuse a variable that looks like a mistyped one of ours; tell of others that begin like ours.

    Other programs, or another version of this one, may have variables of such names, so those go on.
    """
    known = [*_ENVIRONMENT.values(), *_OTHER_VARIABLES]
    for name in environ:
        if name.startswith("OA_SYNC_") and name not in known and "__" not in name:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
            if near:
                raise ConfigurationError(f"{name} is not a setting; did you mean {near[0]}?")
            logger.warning("%s is set, but no setting has this name; it is ignored", name)


def _placed(name: str, value: Any, cwd: Path | None, origin: str) -> Any:
    """`value`, made absolute where it is a path in a file system; `cwd` None: the current folder."""
    if name in _PATHS:
        return _absolute(cwd, value, origin)
    if name == "bucket_url" and value and not _is_url(value):
        return str(_absolute(cwd, Path(value), origin))
    return value


def _is_url(text: str) -> bool:
    """Whether `text` begins like a URL; a drive of Windows does not."""
    return re.match(r"[a-z][a-z0-9+.-]+:", text) is not None


def _absolute(cwd: Path | None, path: Path, origin: str) -> Path:
    try:
        path = path.expanduser()
    except RuntimeError:
        raise ConfigurationError(
            f"{origin}: {str(path)!r}: there is no such user, or no home folder is known; write the path"
            " out"
        ) from None
    if not path.is_absolute():
        path = (cwd or _current_folder()) / path
    _must_be_text(str(path), repr(str(path)), origin)
    return Path(os.path.normpath(path))


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigurationError(
            "the current folder was deleted; change to one that is there, then run again"
        ) from None


def _must_be_text(value: str, shown: str, origin: str) -> None:
    """Refuse what no file of ours, database or request can hold: Python keeps bytes that are not UTF-8 as
    characters that cannot be written again."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{origin}: {shown} is not UTF-8; choose another") from None


_CHOICES: dict[str, tuple[str, ...]] = {
    "dialect": get_args(Dialect),
    "plan": get_args(Plan),
    "report_rows": get_args(ReportRowsForm),
}
_INTEGERS = {"rpm", "rpd", "max_requests", "max_columns", "max_tables"}
_AMOUNTS = {"full_scan_days": ("days", MOST_DAYS), "grace_seconds": ("seconds", MOST_GRACE)}
_PATHS = {"home", "database"}
_SECRETS = {"api_key", "quota_url"}
_GRANT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(@(\[[0-9A-Fa-f:.]+\]|[^\s@/:\[\]]+)(:[0-9]+)?)?")
_MAY_BE_NONE = {"api_key", "rpm", "rpd", "max_requests", "quota_url", "bucket_url", "source"}


def _convert(name: str, value: Any, origin: str) -> Any:
    if name in _CHOICES:
        if not isinstance(value, str) or value not in _CHOICES[name]:
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
        share = _number(value)
        if not 0.0 <= share < 1.0:
            raise ConfigurationError(f"{origin}: {value!r} is not a share from 0 to below 1")
        return share
    if name in _AMOUNTS:
        unit, most = _AMOUNTS[name]
        amount = _number(value)
        if not 0.0 <= amount <= most:
            raise ConfigurationError(
                f"{origin}: {value!r} is not a number of {unit} from 0 to {most}"
            )
        return amount
    if name == "allow_env":
        return tuple(_grants(value, origin))
    if name in _PATHS and isinstance(value, os.PathLike):
        value = os.fspath(value)
    shown = "the value" if name in _SECRETS else repr(value)
    if not isinstance(value, str):
        what = "a path" if name in _PATHS else "a text"
        raise ConfigurationError(f"{origin}: {shown} is not {what}")
    _must_be_text(value, shown, origin)
    if name != "api_key" and any(ord(char) < 32 for char in value):
        raise ConfigurationError(f"{origin}: the value holds a control character")
    if name in _PATHS and not value:
        raise ConfigurationError(f"{origin}: the path is empty; leave it out for the default")
    return Path(value) if name in _PATHS else value


def _grants(value: Any, origin: str) -> Iterator[str]:
    """Each of the grants in a text with commas, or in a list."""
    for text in value.split(",") if isinstance(value, str) else value:
        grant = text.strip() if isinstance(text, str) else ""
        if grant and not _GRANT.fullmatch(grant):
            grant = ""
        elif not grant and isinstance(text, str):
            continue
        if not grant:
            raise ConfigurationError(
                f"{origin}: {text!r} grants nothing; write NAME, or NAME@HOST, of a variable of the environment"
            )
        yield grant


def _number(value: Any) -> float:
    """`value` as a number; -1 for anything that is none."""
    try:
        return -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return -1.0


def _check(settings: Settings) -> None:
    try:
        parts = urlsplit(settings.base_url)
        parts.port  # noqa: B018 - raises when it is none
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ConfigurationError(
            f"base URL {settings.base_url!r} is not an https:// address, such as {DEFAULT_BASE_URL}"
        )
    if parts.username or parts.password:
        raise ConfigurationError("base URL: credentials do not belong into the URL")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
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
    bucket = settings.bucket_url or ""
    if _is_url(bucket) and "://" not in bucket:
        scheme, _, rest = bucket.partition(":")
        step = (
            "write the folder alone" if scheme == "file" else f"write {scheme}://{rest.lstrip('/')}"
        )
        raise ConfigurationError(f"--bucket-url: {bucket!r} is neither a folder nor a URL; {step}")
    if settings.destination in IN_A_BUCKET and not settings.bucket_url:
        raise ConfigurationError(
            f"destination {settings.destination} needs a folder or bucket: --bucket-url DIR, or"
            " OA_SYNC_BUCKET_URL"
        )
