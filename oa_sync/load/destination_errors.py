"""Turns whatever a disk, a store or a library raises into the one error that a sync expects there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oa_sync.errors import DestinationError, OaSyncError


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
