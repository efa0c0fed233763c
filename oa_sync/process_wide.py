"""What this process has one of, such as the level of a logger: changed while it is needed, then put back.

oa-sync runs inside other programs too. Several of its threads may need the same change at once: the first one
makes it, and the last one puts the value back that was there before.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote, quote_plus

_lock = threading.Lock()
_held: dict[Hashable, tuple[int, Any]] = {}
"""For each thing that is changed now: by how many, and its value before."""


@contextmanager
def held_at(
    thing: Hashable, value: Any, read: Callable[[], Any], write: Callable[[Any], None]
) -> Iterator[None]:
    """Let `thing` have `value` for the `with` block; `read` and `write` get and set it."""
    with _lock:
        holders, before = _held.get(thing) or (0, read())
        _held[thing] = holders + 1, before
        if not holders:
            write(value)
    try:
        yield
    finally:
        with _lock:
            holders, before = _held.pop(thing)
            if holders > 1:
                _held[thing] = holders - 1, before
            else:
                write(before)


@contextmanager
def log_levels(level: int, *names: str) -> Iterator[None]:
    """Let the loggers of these names tell nothing below `level` for the `with` block."""
    with ExitStack() as stack:
        for name in names:
            log = logging.getLogger(name)
            stack.enter_context(
                held_at(("log level", name), level, lambda log=log: log.level, log.setLevel)  # type: ignore[misc]
            )
        yield


# -- secrets ----------------------------------------------------------------------------------------------

SHORTEST_SECRET = 6
"""Characters. Shorter values are no secrets, and would be found in any text."""

_hidden: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """Let no message of ours and no line of the log show one of `secrets`, from now on: a failure may be told after
    all is closed."""
    _hidden.update(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)


def hidden() -> frozenset[str]:
    """What no message may show."""
    return frozenset(_hidden)


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` with `***` in place of each of `secrets`: as it is, as JSON writes it, and as URLs do."""
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def shown(value: Any) -> Any:
    """`value`, a JSON value that is on its way to a person, without what no message may show."""
    if isinstance(value, str):
        return without(value, hidden())
    if isinstance(value, dict):
        return {shown(name): shown(inner) for name, inner in value.items()}
    return [shown(inner) for inner in value] if isinstance(value, list | tuple) else value


def _forms(secret: str) -> tuple[str, ...]:
    """`secret` as it is, in JSON, and in a path and a query (RFC 3986, section 3.3, and HTML's form encoding)."""
    in_path = (quote(secret, safe=safe) for safe in ("", "/", "/:@!$&'()*+,;="))
    return secret, json.dumps(secret)[1:-1], quote_plus(secret), *in_path
