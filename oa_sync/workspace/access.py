"""How the API is reached, and whether every secret that would be sent was granted for its host.

A definition may be somebody else's. So it only says what it needs; what it gets, the user grants: `--env NAME`,
`OA_SYNC_ALLOW_ENV`, or `oa-sync trust FILE`. A grant holds for one host. The key of the settings goes to the host of
the settings. A `.dlt` that the current folder brought along may be somebody else's too. Everything that sends a
request passes `allow` before.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx

from oa_sync.addresses import is_public
from oa_sync.client.origin import base_url, same_origin
from oa_sync.client.wording import printable
from oa_sync.definitions.environment import Variables
from oa_sync.definitions.loader import DIALECTS, OPENANALYST, load_definition
from oa_sync.definitions.model import BearerAuth, ClientConfig, Definition, NoAuth
from oa_sync.errors import ConfigurationError
from oa_sync.process_wide import SHORTEST_SECRET
from oa_sync.quota.postgres_address import server_of
from oa_sync.settings import DEFAULT_BASE_URL, Settings, default_home
from oa_sync.workspace.grants import Grants

KEY = "OPENANALYST_API_KEY"
"""How the key of the settings is called, wherever it was read."""
POSTS = "POST requests"
"""How grants call it that a file sends them; no variable has such a name."""
_HOST_TEXT = 200


@dataclass(frozen=True)
class Access:
    """How the API is reached, as settings and definition say. `definition` is None while the dialect is not known.

    `variables` are those of the environment that the definition reads, with their values.
    """

    settings: Settings
    definition: Definition | None
    config: ClientConfig
    base: str = field(repr=False)
    variables: Mapping[str, str] = field(repr=False)

    @property
    def needs_key(self) -> bool:
        """Whether the key of the settings is sent."""
        return isinstance(self.config.auth, BearerAuth) and self.config.auth.token is None

    @property
    def posts(self) -> bool:
        """Whether a sync sends requests that may change something at the API."""
        definition = self.definition
        return definition is not None and (
            bool(definition.queries)
            or any(resource.endpoint.method == "POST" for resource in definition.resources)
        )

    @property
    def file(self) -> Path | None:
        """The definition file; None for a built-in."""
        source = self.settings.source
        is_built_in = source in (None, OPENANALYST, *DIALECTS)
        return None if is_built_in else Path(str(source)).resolve()

    @property
    def host(self) -> str:
        """Host and port that requests go to, as grants name them."""
        return host_of(self.base)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that no message may show: all that were read, but for parts of the address itself, and for
        those that are too short to be secrets and would be found in any text."""
        values = self.variables.values()
        return tuple(v for v in values if len(v) >= SHORTEST_SECRET and v.lower() not in self.host)

    def masked(self, text: str, known: Sequence[str] = ()) -> str:
        """`text`, an address, with `${NAME}` in place of what variables not in `known` hold."""
        names = {v.lower(): n for n, v in self.variables.items() if v and n not in known}
        values = "|".join(re.escape(value) for value in sorted(names, key=len, reverse=True))
        if values:
            text = re.sub(
                values, lambda m: f"${{{names[m[0].lower()]}}}", text, flags=re.IGNORECASE
            )
        return printable(text, _HOST_TEXT)

    def sends(self) -> list[tuple[str, str]]:
        """What is sent, by its name, and the host that gets it, as it may be shown."""
        names = [*([KEY] if self.needs_key else []), *self.variables, *([POSTS] * self.posts)]
        host = self.masked(self.host, [name for name, _ in _grants(self.settings)])
        return [(name, host) for name in dict.fromkeys(names)]


def host_of(base: str) -> str:
    """Host and port of a URL, without a port that is its scheme's own."""
    return base_url(base).netloc.decode("ascii")


def find_access(settings: Settings, dialect: Literal["page", "cursor"] | None = None) -> Access:
    """How `settings` reach the API. Nothing is granted by this, and nothing sent.

    The definition's own base URL is asked, where it has one: its secrets are for that API, and the base URL of the
    settings is for the key of the settings.

    Raises:
        DefinitionError: the file is wrong.
        ConfigurationError: `--base-url` names another API than the file.
    """
    definition, variables = None, Variables(os.environ)
    if dialect or settings.dialect != "auto" or settings.source not in (None, OPENANALYST):
        chosen = dialect or ("cursor" if settings.dialect == "cursor" else "page")
        source = settings.source or OPENANALYST
        definition = load_definition(source, dialect=chosen, environ=variables)
    config = definition.client if definition else ClientConfig(auth=BearerAuth())
    own = _own_base_url(config)
    access = Access(settings, definition, config, own or settings.base_url, variables.read)
    is_flag = "base_url" in settings.origin.flags and own is not None
    if is_flag and settings.base_url.rstrip("/") != own:
        raise ConfigurationError(
            f"--base-url {settings.base_url}: {settings.source} names {access.masked(access.base)} itself;"
            " leave the flag out, or change the file (base_url: ${NAME} takes it from the environment)"
        )
    return access


def _own_base_url(config: ClientConfig) -> str | None:
    """The base URL that a definition brings along. That of the built-in ones is the default of the settings, and so
    gives way to what is set; but not where the definition brings a secret of its own to it."""
    is_bare = isinstance(config.auth, BearerAuth) and config.auth.token is None
    has_own_secret = not is_bare and not isinstance(config.auth, NoAuth)
    is_default = config.base_url == DEFAULT_BASE_URL and not has_own_secret
    return None if is_default else config.base_url


def definition_of(settings: Settings) -> Definition:
    """The definition of the dialect in use (`page`, where that is not known), for what sends nothing.

    Raises:
        DefinitionError: the file is wrong.
    """
    definition = find_access(
        settings, "cursor" if settings.dialect == "cursor" else "page"
    ).definition
    assert definition is not None, "a definition is loaded for a dialect"
    return definition


def allow(access: Access, also: Sequence[str] = (), *, posts: bool = False) -> None:
    """Pass if the user granted everything that is sent, for the host that gets it, and remember that host.

    `also`: variables of ours that are sent without a definition naming them. `posts`: more than GET is sent, though
    the definition does not say so.

    Raises:
        ConfigurationError: something was not granted; says what, where it would go, and what to type.
    """
    settings, host = access.settings, access.host
    grants = grants_of(settings)
    if access.needs_key:
        settings.require_api_key()
    allow_own_key(access)
    names = (*access.variables, *also)
    found = (_fault(name, access, grants, is_ours=name in also) for name in names)
    faults = [*_unconfirmed(access, grants, also), *filter(None, found)]
    # Only then: a host is looked up, and its name may hold a variable.
    if not faults and (posts or access.posts):
        faults += _posts_around(access, grants)
    if faults:
        raise ConfigurationError("\n".join([*faults, "nothing was sent"]))
    pinned = (name for name in access.variables if name != KEY and not _is_outright(name, access))
    grants.pin(pinned, host)
    _remember(access, grants)


def allow_quota(settings: Settings) -> None:
    """Pass if the user, not a `.dlt` of the current folder, named the database of the quota, or confirmed it. One
    with a password of its own takes no other.

    Raises:
        ConfigurationError: it has to be confirmed.
    """
    origin, url = settings.origin, settings.quota_url
    if url is None or "quota_url" not in origin.from_folder or urlsplit(url).password:
        return
    host = server_of(url, "quota_url")
    if not grants_of(settings).trusts_folder(origin.folder, host):
        raise ConfigurationError(
            f"{origin.folder} names {host} for the quota; nothing was sent. If that is right: oa-sync trust"
            f" {origin.folder}, or OA_SYNC_QUOTA_URL"
        )


def grants_of(settings: Settings) -> Grants:
    """The grants of this user: in home, but not in one that the current folder chose, which could bring its own."""
    is_folders = "home" in settings.origin.from_folder
    return Grants(default_home() if is_folders else settings.home)


def allow_own_key(access: Access) -> None:
    """Pass if the key of the settings is not sent, or to their own host.

    Raises:
        ConfigurationError: the definition would take it to another.
    """
    own, base = httpx.URL(access.settings.base_url), base_url(access.base)
    if access.needs_key and not same_origin(own, base):
        raise ConfigurationError(
            f"{access.settings.source} would send the key of the settings ({KEY}) to"
            f" {access.masked(access.host)}; it goes to {host_of(str(own))} only, and nothing was sent. Give"
            " the file a token of its own (client.auth.token: ${NAME}); or, if the key is for that host:"
            f" OPENANALYST_BASE_URL={access.masked(access.base)}"
        )


def _grants(settings: Settings) -> list[tuple[str, str | None]]:
    """The name and, where it says one, the host of every grant on the command line and in the environment."""
    pairs = (grant.partition("@") for grant in settings.allow_env)
    return [(name, host.lower() or None) for name, _, host in pairs]


def _is_outright(name: str, access: Access) -> bool:
    """Whether the user granted the variable for this host by name; a host without a port is all of its ports."""
    hosts = (access.host, _without_port(access.host))
    return any(
        granted == name and host in hosts for granted, host in _grants(access.settings) if host
    )


def _without_port(host: str) -> str:
    return re.sub(r":\d+$", "", host)


def _fault(name: str, access: Access, grants: Grants, *, is_ours: bool) -> str | None:
    """Why the variable `name` must not be sent; None if it may. `is_ours`: this program sends it, not the file."""
    settings, host = access.settings, access.host
    if _is_outright(name, access) or grants.trusts(access.file, name, host):
        return None
    given = [named for granted, named in _grants(settings) if granted == name]
    shown = access.masked(host, [granted for granted, _ in _grants(settings)])
    file = settings.source or "the definition"
    would, right = f"{file} would send it to {shown}", f"if that is right: --env {name}@{shown}"
    if not given and not is_ours:
        return (
            f"{file} reads {name} and would send it to {shown}; if that is right: --env {name} (or"
            f" OA_SYNC_ALLOW_ENV={name}), or oa-sync trust {file}"
        )
    if None not in given and not is_ours:
        return f"{name} is granted for {', '.join(map(str, given))}, and {would}; {right}"
    if name == KEY or is_ours:  # for the host of the settings, whatever that is today
        own = host_of(settings.base_url)
        return None if own == host else f"{name} is for {own}, and {would}; {right}"
    first = grants.first_host(name)
    if first in (None, host):
        return None
    return f"{name} was first sent to {first}, and {would}; {right}"


def _unconfirmed(access: Access, grants: Grants, also: Sequence[str]) -> Iterator[str]:
    """What the `.dlt` of the current folder names and the user never did."""
    settings, host, origin = access.settings, access.host, access.settings.origin
    is_folders_file = "source" in origin.from_folder and access.file is not None
    if is_folders_file and not grants.knows_file(access.file, host):
        yield (
            f"{origin.folder} names the definition {settings.source}, which asks {access.masked(host)} and"
            f" was never used here; if that is right: --source {settings.source}, or oa-sync trust"
            f" {origin.folder}"
        )
    if "base_url" not in origin.from_folder:
        return
    outright = {name for name, named in _grants(settings) if named}
    is_asked = _own_base_url(access.config) is None and not outright.issuperset(access.variables)
    is_key_sent = access.needs_key and "api_key" not in origin.from_folder
    if not (is_key_sent or is_asked or also):
        return  # nothing of the user's goes there, or the key came with it
    if not (grants.trusts_folder(origin.folder, host) or grants.knows_host(settings.api_key, host)):
        yield (
            f"{origin.folder} names {access.masked(host)}, where this key was never sent; if that is right:"
            f" --base-url {settings.base_url}, or oa-sync trust {origin.folder}"
        )


def _posts_around(access: Access, grants: Grants) -> Iterator[str]:
    """That a file would have this machine change something at an address of its own network, which the internet does
    not reach and which often asks for no key, without the user having named that host."""
    settings, host = access.settings, access.host
    hosts = {named for _, named in _grants(settings)}
    if "base_url" not in settings.origin.from_folder:
        hosts.add(host_of(settings.base_url))
    is_named = host in hosts or _without_port(host) in hosts
    if access.file is None or is_named or grants.trusts(access.file, POSTS, host):
        return
    if not is_public(httpx.URL(access.base).host):
        trust = f"oa-sync trust {settings.source}, or " if access.posts else ""
        yield (
            f"{settings.source} names {access.masked(host)}, which is this machine or in a network around it,"
            f" and {POSTS} would be sent there; if that is right: {trust}"
            f"OPENANALYST_BASE_URL={access.masked(access.base)}"
        )


def _remember(access: Access, grants: Grants) -> None:
    """Remember what the user named, so that a folder may name it later. Without it the user is only asked again."""
    settings, origin = access.settings, access.settings.origin
    with contextlib.suppress(ConfigurationError):
        if access.needs_key and settings.api_key and "base_url" not in origin.from_folder:
            grants.note_host(settings.api_key, access.host)
        if access.file is not None and "source" in origin.flags:
            grants.note_file(access.file, access.host)
