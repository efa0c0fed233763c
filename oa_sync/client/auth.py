"""The secret of a client: checked once, attached to requests of the configured origin only."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import httpx

from oa_sync.client.origin import same_origin
from oa_sync.definitions.model import ApiKeyAuth, Auth, BearerAuth, HttpBasicAuth, NoAuth
from oa_sync.errors import ConfigurationError, RedirectRefusedError
from oa_sync.process_wide import without

_TOKEN = re.compile(r"[\x21-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """What is attached to a request. Its repr shows nothing."""

    header: tuple[str, str] | None = None
    param: tuple[str, str] | None = None
    secrets: tuple[str, ...] = field(default=())

    def sign(self, request: httpx.Request, base: httpx.URL) -> None:
        """Attach the secret to `request`.

        Raises:
            RedirectRefusedError: the request is not for the origin of `base`.
        """
        if not same_origin(request.url, base):
            raise RedirectRefusedError("a request for another host was stopped before it was sent")
        if self.header:
            request.headers[self.header[0]] = self.header[1]
        if self.param:
            request.url = request.url.copy_set_param(*self.param)

    def redact(self, text: str) -> str:
        """`text` with every secret replaced: servers do repeat keys in their error messages."""
        return without(text, self.secrets)

    def __repr__(self) -> str:
        return "Credential(***)"


def credential(auth: Auth, key: str | None = None, *, also: Iterable[str] = ()) -> Credential:
    """The credential for `auth`; `key` is the key of the settings, for a bearer without a token. `also` are values
    that are sent in other places (headers, parameters, paths) and are secrets too.

    Raises:
        ConfigurationError: no key, or one with characters that cannot be sent. Never shows it.
    """
    found = _credential(auth, key)
    return replace(found, secrets=tuple(dict.fromkeys((*found.secrets, *also))))


def _credential(auth: Auth, key: str | None) -> Credential:
    match auth:
        case BearerAuth():
            token = auth.token.get_secret_value() if auth.token else key or ""
            token = _token(token, "API key")
            return Credential(header=("Authorization", f"Bearer {token}"), secrets=(token,))
        case ApiKeyAuth():
            token = _token(auth.api_key.get_secret_value(), "client.auth.api_key")
            if auth.location == "header":
                return Credential(header=(auth.name, token), secrets=(token,))
            return Credential(param=(auth.name, token), secrets=(token,))
        case HttpBasicAuth():
            return _basic(auth.username, auth.password.get_secret_value())
        case NoAuth():
            return Credential()


def _token(text: str, name: str) -> str:
    token = text.strip()
    if not token:
        raise ConfigurationError(f"{name}: missing; set OPENANALYST_API_KEY (or client.auth)")
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"{name}: it holds a blank, a line break, a control character or one outside ASCII,"
            " which no key has; copy it again, whole and alone"
        )
    return token


def _basic(username: str, password: str) -> Credential:
    if _CONTROL.search(username) or _CONTROL.search(password) or ":" in username:
        raise ConfigurationError(
            "client.auth (http_basic): a control character, or a colon in the username"
            " (RFC 7617 allows neither); copy both again"
        )
    encoded = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    secrets = tuple(secret for secret in (encoded, password) if secret)
    return Credential(header=("Authorization", f"Basic {encoded}"), secrets=secrets)
