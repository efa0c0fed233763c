"""Settings that stand in files: `.dlt/secrets.toml` and `.dlt/config.toml`, and a key in a file of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from oa_sync.errors import ConfigurationError
from oa_sync.private import check_trusted

_LARGEST_KEY = 16_384
"""Bytes that a file with a key may have: a path that leads to something else is told, not read whole."""
_NAMES = ("config.toml", "secrets.toml")
_NO_DESTINATION = frozenset(
    {"sources", "runtime", "schema", "extract", "normalize", "load", "data_writer"}
)
"""Tables of dlt's that name no destination."""


def toml_values(cwd: Path) -> dict[str, tuple[Any, Path]]:
    """The values of the `[sources.openanalyst]` tables, each with its file: secrets over config, the `.dlt` of
    `cwd` over `~/.dlt`.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    merged: dict[str, tuple[Any, Path]] = {}
    for path in _toml_files(cwd):
        for name, value in _openanalyst_table(path).items():
            if not isinstance(value, dict):  # a table is dlt's: settings of one of its resources
                merged[name] = value, path
    return merged


def folder_of(cwd: Path) -> Path | None:
    """The `.dlt` that `cwd` brings along, as a cloned repository does; None where it is the user's own."""
    folder = cwd / ".dlt"
    try:
        return None if folder == Path.home() / ".dlt" else folder
    except RuntimeError:
        return folder


def brought_along(file: Path) -> bool:
    """Whether `file` came with its folder: not where it is a link that leads out of it, to the user's own perhaps."""
    return file.resolve().is_relative_to(file.parent.resolve())


def dlt_values(folder: Path) -> dict[str, Any]:
    """What the files of a `.dlt` say to dlt of destinations, by dotted name. Profiles have files of their own there
    (`dev.secrets.toml`), which dlt reads where the folder is one of its workspaces.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    found: dict[str, Any] = {}
    profiles = [path.name for name in _NAMES for path in folder.glob(f"*.{name}")]
    for name in (*_NAMES, *sorted(profiles)):
        tables = _document(folder / name).items()
        above = "" if name in _NAMES else f"{name}: "
        found |= _leaves({k: v for k, v in tables if k not in _NO_DESTINATION}, above)
    return found


def _leaves(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        inner = _leaves(value, f"{above}{name}.") if isinstance(value, dict) else None
        found |= {f"{above}{name}": value} if inner is None else inner
    return found


def _toml_files(cwd: Path) -> list[Path]:
    try:
        folders = [Path.home() / ".dlt", cwd / ".dlt"]
    except RuntimeError:  # a user without a home folder, as in some containers
        folders = [cwd / ".dlt"]
    return [folder / name for folder in folders for name in _NAMES]


def _openanalyst_table(path: Path) -> dict[str, Any]:
    section = _document(path).get("sources", {})
    section = section.get("openanalyst", {}) if isinstance(section, dict) else {}
    if not isinstance(section, dict):
        raise ConfigurationError(f"{path}: sources.openanalyst is not a table")
    return section


def _document(path: Path) -> dict[str, Any]:
    check_trusted(path, is_secret=path.name.endswith("secrets.toml"))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:  # dlt reads the same files, and would fail of them with other words
        raise ConfigurationError(
            f"{path}: cannot be read: {error.strerror}; let this user read it, or remove it"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None


def key_in_file(path: Path, origin: str) -> str:
    """The key that is all of the file at `path`, as secrets are mounted; a line break at its end is left out.
    `origin` names the setting.

    Raises:
        ConfigurationError: it cannot be read, is empty or no text, or others may write it. Shows nothing of it.
    """
    check_trusted(path, is_secret=True)
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_KEY + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{origin}: {path} cannot be read: {error.strerror}; name a file that this user may read"
        ) from None
    try:
        key = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        key = ""
    if len(data) > _LARGEST_KEY or not key.strip():
        raise ConfigurationError(
            f"{origin}: {path} is empty, larger than {_LARGEST_KEY:,} bytes or no text in UTF-8; it has to"
            " hold the key and nothing else"
        )
    return key
