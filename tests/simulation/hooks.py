"""Callbacks of the API, and who takes them: the signature and the inbox of `webhook serve`, without its HTTP."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import random
from collections.abc import Iterator
from pathlib import Path

from oa_sync.clock import Clock
from oa_sync.webhooks.inbox import Inbox, inbox_folder
from oa_sync.webhooks.signature import is_signed
from tests.simulation.oracles import Alarm, Seen
from tests.simulation.worlds import TERMINAL

SECRET = "whsec_simulated_0123456789"
FORGED = b'{"event": "run.updated", "run_id": "k001", "status": "forged"}'
_STATUSES = {"queued", "running", *TERMINAL}


class Receiver:
    """Takes what is signed into the inbox of the workspace `workspace` under `home`. The API delivers at least
    once, in no order; others send what they like."""

    def __init__(self, home: Path, workspace: str, clock: Clock) -> None:
        self._folder, self._clock = inbox_folder(home, workspace), clock
        self._late: list[bytes] = []

    def deliver(self, bodies: list[bytes], chance: random.Random) -> None:
        """Deliver `bodies`: most at once, some twice, some late, and one that nobody signed."""
        if not bodies and not self._late:
            return
        waiting, self._late = [*bodies, *self._late], []
        chance.shuffle(waiting)
        with contextlib.closing(Inbox(self._folder, self._clock)) as inbox:
            self._take(inbox, FORGED, "sha256=" + "0" * 64)
            for body in waiting:
                how = chance.random()
                if how < 0.8:
                    self._take(inbox, body, signature(body))
                if how > 0.7:
                    self._late.append(body)

    def _take(self, inbox: Inbox, body: bytes, signed: str) -> None:
        if is_signed(body, signed, (SECRET,)):
            inbox.append(body, self._clock.now())


def signature(body: bytes) -> str:
    """What the API signs `body` with."""
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def alarms_of_events(seen: Seen) -> Iterator[Alarm]:
    """Statuses that nobody told, and runs whose status has no event."""
    complete = seen.report is not None and seen.report.status == "complete"
    for plan in seen.world.lists:
        if not plan.has_status:
            continue
        events = seen.rows.get(f"{plan.name}_events", ())
        told = {event["status"] for event in events}
        if told - _STATUSES:
            yield Alarm("a status that nobody told", f"{plan.name}: {sorted(told - _STATUSES)}")
        if not complete or any(name == plan.name for name, _ in seen.touched):
            continue
        having = {
            (tuple(str(event[f"{plan.name}_{name}"]) for name in plan.key_fields), event["status"])
            for event in events
        }
        for key, row in seen.before[plan.name].items():
            if (tuple(map(str, key)), row["status"]) not in having:
                yield Alarm("complete, without the event of a status", f"{plan.name} {key}")
