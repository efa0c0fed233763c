"""What was heard of agent runs since the last sync: by webhook, by `runs add`, by `runs start`.

It waits in two durable inboxes in home: the receiver writes one, `runs add` and `runs start` the other.
A sync drains both and acknowledges them after its load. If it is killed in between, the next sync gets
the same again and loads the same rows by key. Registering does not wait for a sync that is going on.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import orjson

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import OaSyncError
from oa_sync.extract.runs.known import Announcement, is_usable_id
from oa_sync.private import home_folder
from oa_sync.settings import Settings
from oa_sync.webhooks.inbox import Delivery, Inbox, inbox_folder
from oa_sync.webhooks.payload import run_event

logger = logging.getLogger(__name__)

_Reader = Callable[[Delivery], Announcement | None]


def registered_folder(settings: Settings) -> Path:
    """Where ids that people registered wait, for every destination of the workspace."""
    return inbox_folder(settings.home, settings.workspace).with_suffix(".registered")


def register(settings: Settings, clock: Clock, announcements: Iterable[Announcement]) -> int:
    """Tell the next sync of `announcements`: they are on disk when this returns. Returns how many.

    Raises:
        OaSyncError: they cannot be written; names the file.
    """
    bodies = [(_body(each), each.at) for each in announcements]
    if bodies:
        home_folder(settings.home)
        with contextlib.closing(Inbox(registered_folder(settings), clock)) as inbox:
            inbox.append_all(bodies)
    return len(bodies)


def waiting(settings: Settings, clock: Clock) -> list[Announcement]:
    """What the next sync will hear."""
    with announced(settings, clock) as heard:
        return heard.drain()


class Announced:
    """Both inboxes of one workspace. `drain`, load, then `acknowledge`."""

    def __init__(self, callbacks: Inbox | None, registered: Inbox | None) -> None:
        self._callbacks, self._registered = callbacks, registered
        self._drained: list[tuple[Inbox, list[str]]] = []

    def drain(self) -> list[Announcement]:
        """Everything that waits, in no order. What is about no run is left out, and acknowledged too."""
        self._drained = []
        return [
            *self._from(self._callbacks, _callback),
            *self._from(self._registered, _registration),
        ]

    def acknowledge(self) -> None:
        """What `drain` gave is loaded: it does not come again."""
        for inbox, ids in self._drained:
            inbox.acknowledge(ids)
        self._drained = []

    def _from(self, inbox: Inbox | None, read: _Reader) -> Iterator[Announcement]:
        if inbox is None:
            return
        ids: list[str] = []
        self._drained.append((inbox, ids))
        for delivery in inbox.drain():
            ids.append(delivery.id)
            announcement = read(delivery)
            if announcement is not None:
                yield announcement


@contextmanager
def announced(settings: Settings, clock: Clock) -> Iterator[Announced]:
    """The inboxes that exist, open for the `with` block; none is created."""
    folders = (inbox_folder(settings.home, settings.workspace), registered_folder(settings))
    with contextlib.ExitStack() as opened:
        callbacks, registered = (
            opened.enter_context(contextlib.closing(Inbox(folder, clock)))
            if (folder / "inbox.sqlite").exists()
            else None
            for folder in folders
        )
        yield Announced(callbacks, registered)


def _callback(delivery: Delivery) -> Announcement | None:
    event = run_event(delivery.body)
    if event is None or not is_usable_id(event.run_id):
        logger.info("a callback is about no agent run and is passed over")
        return None
    at = delivery.received_at
    return Announcement(event.run_id, at, "webhook", event.status, event.payload)


def _body(announcement: Announcement) -> bytes:
    try:
        return orjson.dumps(
            {
                "run_id": announcement.run_id,
                "at": announcement.at.isoformat(),
                "how": announcement.how,
                "status": announcement.status,
                "payload": announcement.payload,
                "body": announcement.body.decode() if announcement.body is not None else None,
            }
        )
    except (TypeError, UnicodeError) as error:
        raise OaSyncError(
            f"run id {announcement.run_id!r}: {error}; give the id as the API writes it"
        ) from None


def _registration(delivery: Delivery) -> Announcement | None:
    try:
        said = orjson.loads(delivery.body)
        return Announcement(
            said["run_id"],
            datetime.fromisoformat(said["at"]),
            said["how"],
            said["status"],
            said["payload"],
            said["body"].encode() if said["body"] is not None else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("a registration from %s is damaged", isoformat(delivery.received_at))
        return None
