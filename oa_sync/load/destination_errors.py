"""Whatever a disk, a store or a library raises, as the one error that a sync expects of a destination."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from oa_sync.errors import DestinationError, OaSyncError


@contextlib.contextmanager
def destination_errors(doing: str) -> Iterator[None]:
    """Raise what is raised inside as a DestinationError that says `doing`; our own errors as they are."""
    try:
        yield
    except OaSyncError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:500]
        raise DestinationError(f"{doing}: {type(error).__name__}: {text}") from error
