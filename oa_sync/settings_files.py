"""Settings that stand in files: `.dlt/secrets.toml` and `.dlt/config.toml`, and a key in a file of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from oa_sync.errors import ConfigurationError
from oa_sync.private import check_trusted

_LARGEST_KEY = 16_384
"""Bytes that a file with a key may have: a path that leads to something else is told, not read whole."""


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


def _toml_files(cwd: Path) -> list[Path]:
    try:
        folders = [Path.home() / ".dlt", cwd / ".dlt"]
    except RuntimeError:  # a user without a home folder, as in some containers
        folders = [cwd / ".dlt"]
    return [folder / name for folder in folders for name in ("config.toml", "secrets.toml")]


def _openanalyst_table(path: Path) -> dict[str, Any]:
    check_trusted(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:  # dlt reads the same files, and would fail of them with other words
        raise ConfigurationError(
            f"{path}: cannot be read: {error.strerror}; let this user read it, or remove it"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None
    section = data.get("sources", {})
    section = section.get("openanalyst", {}) if isinstance(section, dict) else {}
    if not isinstance(section, dict):
        raise ConfigurationError(f"{path}: sources.openanalyst is not a table")
    return section


def key_in_file(path: Path, origin: str) -> str:
    """The key that is all of the file at `path`, as secrets are mounted; a line break at its end is left out.
    `origin` names the setting.

    Raises:
        ConfigurationError: it cannot be read, is empty or no text, or others may write it. Shows nothing of it.
    """
    check_trusted(path)
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
