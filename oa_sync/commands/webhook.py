"""The webhooks that are registered at the API: `POST`, `GET` and `DELETE /webhooks` of the cursor dialect.

The page dialect has no registry: there each run names its own `webhook_url`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from oa_sync.addresses import is_loopback
from oa_sync.client.paging import pages
from oa_sync.definitions.model import AutoPaginator, Endpoint
from oa_sync.errors import ApiError, ConfigurationError, InvalidResponseError, NotFoundError
from oa_sync.settings import Settings
from oa_sync.webhooks.signature import SECRET_VARIABLE
from oa_sync.workspace.connection import Connection, connect
from oa_sync.workspace.surroundings import Surroundings

RUN_ENDED = "agent.session.completed"
"""The one event about runs that the API's pages name."""

_PATH = "webhooks"
_SECRET = re.compile(r"secret|token|passw|credential|signing|signature|hmac|key$", re.IGNORECASE)
T = TypeVar("T")


def register_webhook(
    settings: Settings, url: str, events: Sequence[str], secret: str | None
) -> dict[str, Any]:
    """Ask the API to deliver `events` to `url`, signed with `secret` (None: with its own). Returns its
    answer, without the secret.

    Raises:
        ConfigurationError: the URL is not HTTPS, or this API has no registry.
        ApiError: it was refused. Or no answer came: then the message says that it may be registered.
    """
    check_callback_url(url)
    body: dict[str, Any] = {"url": url, "events": list(events)}
    if secret is not None:
        body["secret"] = secret

    async def register(connection: Connection) -> dict[str, Any]:
        try:
            response = await connection.client.request("POST", _PATH, json=body, idempotent=False)
        except ApiError as error:
            if secret is not None:
                error.args = (str(error).replace(secret, "***"),)
            raise
        hook = response.json()
        if not isinstance(hook, dict):
            raise InvalidResponseError(f"{response.what} answered with no object", status=None)
        return _without_secret(hook)

    return _asked(settings, register, () if secret is None else (SECRET_VARIABLE,), posts=True)


def registered_webhooks(settings: Settings) -> list[dict[str, Any]]:
    """What is registered, without secrets.

    Raises:
        ConfigurationError: this API has no registry.
        ApiError: the API could not be asked.
    """

    async def read(connection: Connection) -> list[dict[str, Any]]:
        definition = await connection.definition()
        paginator = definition.client.paginator or AutoPaginator()
        endpoint = Endpoint(path=_PATH, data_selector="data")
        listed = pages(connection.client, endpoint, paginator)
        return [_without_secret(row) async for page in listed for row in page.rows]

    return _asked(settings, read)


def delete_webhook(settings: Settings, webhook_id: str) -> None:
    """Remove the webhook with this id.

    Raises:
        ConfigurationError: there is none with this id, or this API has no registry.
        ApiError: the API could not be asked.
    """

    async def delete(connection: Connection) -> None:
        try:
            await connection.client.request("DELETE", f"{_PATH}/{quote(webhook_id, safe='')}")
        except NotFoundError:
            raise ConfigurationError(
                f"no webhook {webhook_id!r}; `oa-sync webhook list` shows those that are registered"
            ) from None

    _asked(settings, delete, posts=True)


def _asked(
    settings: Settings,
    ask: Callable[[Connection], Awaitable[T]],
    sent: Sequence[str] = (),
    *,
    posts: bool = False,
) -> T:
    """What `ask` returns; `sent` are variables of ours that it sends. `posts`: it changes the registry."""

    async def connected() -> T:
        async with connect(settings, Surroundings(), also_sent=sent, posts=posts) as connection:
            if await connection.api_dialect() != "cursor":
                raise ConfigurationError(
                    "the page dialect has no registry of webhooks: name the address with each run,"
                    " `oa-sync runs start --webhook-url URL`"
                )
            return await ask(connection)

    return asyncio.run(connected())


def _without_secret(hook: dict[str, Any]) -> dict[str, Any]:
    """`hook` without what signs or opens something: APIs call it `secret`, `signing_key`, `token` and otherwise."""
    return {
        name: _without_secret(value) if isinstance(value, dict) else value
        for name, value in hook.items()
        if not _SECRET.search(name)
    }


def check_callback_url(url: str) -> None:
    """Raise ConfigurationError unless `url` is an https:// address (http:// for loopback hosts)."""
    try:
        parts = urlsplit(url)
        host, scheme = parts.hostname or "", parts.scheme
    except ValueError:
        host = scheme = ""
    if not host or (scheme != "https" and not (scheme == "http" and is_loopback(host))):
        raise ConfigurationError(
            f"{url!r} is not an https:// address; the API delivers to no other"
        )
