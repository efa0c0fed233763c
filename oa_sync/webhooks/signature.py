"""The signature of a callback: HMAC-SHA256 over the raw body, keyed with the webhook secret.

Documented: the header `X-OpenAnalyst-Signature` and the algorithm. Assumed: that the hex may stand bare or
behind `sha256=`. The signature covers the body only, no time and no delivery id, so a replayed body is
always valid; the inbox sees that it is a duplicate.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

from oa_sync.errors import ConfigurationError

SIGNATURE_HEADER = "X-OpenAnalyst-Signature"
SECRET_VARIABLE = "OPENANALYST_WEBHOOK_SECRET"
MAX_SECRETS = 2

_SIGNATURE = re.compile(r"(?:sha256=)?([0-9a-fA-F]{64})")


def parse_secrets(value: str | None) -> tuple[str, ...]:
    """The secrets in `value` of `OPENANALYST_WEBHOOK_SECRET`: one, or during a rotation two.

    Two are separated by a comma; their order has no meaning, and blanks around them are dropped.

    Raises:
        ConfigurationError: none, an empty one, or more than two. The message holds no secret.
    """
    if value is None or not value.strip():
        raise ConfigurationError(
            f"no webhook secret: set {SECRET_VARIABLE} to the secret that the API signs its callbacks"
            " with (to two, separated by a comma, while it is being rotated)"
        )
    secrets = tuple(secret.strip() for secret in value.split(","))
    if not all(secrets):
        raise ConfigurationError(
            f"{SECRET_VARIABLE}: there is nothing before or after a comma; give one secret, or two as"
            " NEW,OLD"
        )
    if len(secrets) > MAX_SECRETS:
        raise ConfigurationError(
            f"{SECRET_VARIABLE}: {len(secrets)} secrets, separated by commas; at most {MAX_SECRETS} are"
            " accepted at once, the new and the old one"
        )
    return secrets


def is_signature(header: str | None) -> bool:
    """Whether `header` has the form of a signature, whatever was signed with it."""
    return _SIGNATURE.fullmatch(header or "") is not None


def is_signed(body: bytes, header: str | None, secrets: Sequence[str]) -> bool:
    """Whether `header` is the signature of `body` under one of `secrets`.

    Every secret is tried, and compared in constant time, so that how long it takes tells nothing.
    """
    match = _SIGNATURE.fullmatch(header or "")
    if match is None:
        return False
    claimed = bytes.fromhex(match[1])
    # The environment gives bytes that are no UTF-8 as surrogates; this turns them into those bytes.
    keys = [secret.encode("utf-8", "surrogateescape") for secret in secrets]
    # hmac.digest() would be shorter, but releases the GIL for every body.
    macs = [hmac.new(key, body, hashlib.sha256).digest() for key in keys]
    matches = [hmac.compare_digest(mac, claimed) for mac in macs]
    return any(matches)
