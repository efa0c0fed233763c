"""`oa-sync trust`: what a definition, or the `.dlt` of a folder, would send to which host, and allowing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from oa_sync.definitions.loader import DIALECTS, OPENANALYST
from oa_sync.errors import ConfigurationError
from oa_sync.quota.postgres_address import server_of
from oa_sync.settings import Settings
from oa_sync.workspace.access import (
    POSTS,
    Access,
    allow_own_key,
    find_access,
    grants_of,
    host_of,
)
from oa_sync.workspace.destination_access import named_places


@dataclass(frozen=True)
class Proposal:
    """What is to be allowed: a line for each thing, as a person reads it, and what remembers it."""

    lines: tuple[str, ...]
    accept: Callable[[], None]


def for_definition(settings: Settings, file: str) -> Proposal:
    """What the definition `file` would send. The host of the settings holds where it names none itself.

    Raises:
        DefinitionError: the file is wrong, or reads a variable that is not set.
        ConfigurationError: it would send the key of the settings to a host that is not theirs.
    """
    if file in (OPENANALYST, *DIALECTS):
        raise ConfigurationError(f"{file} is a built-in definition, which needs no grant")
    access = _access(settings, file)
    allow_own_key(access)
    return Proposal(_lines(access, file), lambda: _accept(access))


def for_folder(settings: Settings, folder: Path) -> Proposal:
    """What the `.dlt` in `folder` names: hosts, where rows go, and a definition with what that would send.
    `settings` are those of a sync in the folder around it.

    Raises:
        DefinitionError, ConfigurationError: as `for_definition`.
    """
    named = settings.origin.from_folder
    lines, hosts, access = [], [], None
    if "source" in named and settings.source not in (OPENANALYST, *DIALECTS):
        file = str(folder.parent / str(settings.source))
        access = _access(settings, file)
        allow_own_key(access)
        lines += [f"{folder} names the definition {settings.source}", *_lines(access, file)]
        hosts.append(access.host)
    elif "base_url" in named:
        hosts.append(host_of(settings.base_url))
        lines.append(f"{folder} sends OPENANALYST_API_KEY to {hosts[0]}")
    if "quota_url" in named and settings.quota_url is not None:
        hosts.append(server_of(settings.quota_url, "quota_url"))
        lines.append(f"{folder} counts the quota at {hosts[-1]}")
    for place in named_places(settings):
        hosts.append(place.name)
        lines.append(f"{folder.parent} says where rows go: {place.shown}")

    def accept() -> None:
        grants = grants_of(settings)
        grants.trust_folder(folder, hosts)
        if access is not None:
            _accept(access)

    return Proposal(tuple(lines) or (f"{folder} names no host and no definition",), accept)


def _access(settings: Settings, file: str) -> Access:
    if settings.dialect == "auto":
        settings = replace(settings, dialect="page")
    return find_access(replace(settings, source=file))


def _lines(access: Access, file: str) -> tuple[str, ...]:
    sends = tuple(f"{file} sends {name} to {host}" for name, host in access.sends())
    return sends or (f"{file} reads nothing of the environment; it asks {access.host}",)


def _accept(access: Access) -> None:
    assert access.file is not None, "a built-in was refused"
    names = [*access.variables, *([POSTS] * access.posts)]
    grants_of(access.settings).trust_file(access.file, names, access.host)
