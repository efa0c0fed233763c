"""Deletions decided over scans that a test makes up: rows are letters, and a sync is a `Case`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from oa_sync.client import ApiClient
from oa_sync.definitions.model import Resource
from oa_sync.errors import OaSyncError
from oa_sync.extract.deletions import Deletions, Verdict
from oa_sync.extract.details.tasks import DetailTask
from oa_sync.extract.lists.changes import Change, Known
from oa_sync.extract.lists.scan import Scan
from oa_sync.extract.tally import Tally, Warned
from oa_sync.journal.items import Item, Kind
from tests.client.scripted import ScriptedServer
from tests.extract.fetching import resource, task
from tests.support.clock import ManualClock

HOUR = timedelta(hours=1)
THINGS = resource("things")
PLAIN = resource("plain", detail=None)
RUNS = resource("runs", status={"path": "status", "terminal": ["done"]})
LOADED = Known("v", "h", "v", deleted=False)
DELETED = Known("v", "h", "v", deleted=True)


class Remembered:
    """Facts that stay from one sync to the next, as JSON."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}

    def fact(self, kind: str, resource: Resource) -> Any:
        text = self.texts.get((kind, resource.name))
        return None if text is None else json.loads(text)

    def set_fact(self, kind: str, resource: Resource, value: Any) -> None:
        if value is None:
            self.texts.pop((kind, resource.name), None)
        else:
            self.texts[kind, resource.name] = json.dumps(value)


def scan_of(of: Resource, loaded: Iterable[str], seen: Iterable[str] = "", **state: Any) -> Scan:
    """A scan that was read to its end and proves what it does not show, with `loaded` rows before it. Capitals
    are rows that are known to be deleted."""
    known = {key.lower(): DELETED if key.isupper() else LOADED for key in loaded}
    return Scan(of, known, set(seen), **{"finished": True, "proven": True, **state})


class Case:
    """One sync's deletions. `server` has what was asked for."""

    def __init__(
        self,
        runner: asyncio.Runner,
        server: ScriptedServer,
        client: ApiClient,
        clock: ManualClock,
        facts: Remembered,
        *,
        allow: bool,
    ) -> None:
        self._runner, self.server, self.clock, self.facts = runner, server, clock, facts
        self.tallies = {
            one: Tally(new=5) for one in ("things", "plain", "runs", "parents", "parts", "bolts")
        }
        self.deletions = Deletions(client, clock, facts, self.tallies, allow=allow)

    # -- what the deletions are told ----------------------------------------------------------------

    def listed(self, scan: Scan) -> list[str]:
        return self._keys(self.deletions.listed(scan))

    def answered(self, *keys: str, of: Resource = THINGS) -> None:
        for key in keys:
            self.deletions.answered(task(key, of, known=LOADED))

    def not_found(
        self,
        key: str,
        of: Resource = THINGS,
        *,
        known: Known | None = LOADED,
        change: Change = Change.UNCHANGED,
    ) -> tuple[Verdict, list[str]]:
        verdict, items = self.deletions.not_found(task(key, of, known=known, change=change))
        return verdict, self._keys(items)

    def decide(self, scan: Scan, *, cut: bool = False) -> list[str]:
        return self._keys(self._runner.run(self.deletions.decide(scan, cut=cut)))

    def left_meanwhile(self, one: DetailTask) -> list[str] | None:
        items = self._runner.run(self.deletions.left_meanwhile(one))
        return None if items is None else self._keys(items)

    def concluded(self, scan: Scan, *, cut: bool = False) -> list[str]:
        """The rows that go by a list of which no detail was asked for."""
        return [*self.listed(scan), *self.decide(scan, cut=cut)]

    def _keys(self, items: list[Item]) -> list[str]:
        for item in items:
            assert (item.kind, item.replaces) == (Kind.GONE, True)
            assert item.observed_at == self.clock.now()
        return [item.key for item in items]

    # -- what came of it ----------------------------------------------------------------------------

    def errors(self, of: Resource = THINGS) -> list[OaSyncError]:
        return self.tallies[of.name].errors

    def warnings(self, of: Resource = THINGS) -> list[Warned]:
        return self.tallies[of.name].warnings

    def deleted(self, of: Resource = THINGS) -> int:
        return self.tallies[of.name].deleted

    @property
    def asked(self) -> list[str]:
        """The keys whose detail was asked for here."""
        return [seen.path.rsplit("/", 1)[-1] for seen in self.server.seen]
