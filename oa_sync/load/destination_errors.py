"""Turns whatever a disk, a store or a library raises into the one error that a sync expects there."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from oa_sync.errors import DestinationError, OaSyncError, UnusableDestinationError

_SHOWN = 5


@contextlib.contextmanager
def destination_errors(doing: str) -> Iterator[None]:
    """Turn an error of the block into a DestinationError that starts with `doing`; ours pass unchanged."""
    try:
        yield
    except OaSyncError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:500]
        raise DestinationError(f"{doing}: {type(error).__name__}: {text}") from error


def require_ours(where: str, foreign: Collection[str]) -> None:
    """Raise UnusableDestinationError if there are `foreign` tables, which have names of ours."""
    if foreign:
        names = sorted(foreign)
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        raise UnusableDestinationError(
            f"{where} has tables that oa-sync did not make and whose names it needs:"
            f" {', '.join(names[:_SHOWN])}{more}; choose another --dataset-name, or rename them"
        )
