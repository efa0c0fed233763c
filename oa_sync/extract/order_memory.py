"""What is remembered of lists that show the latest change first, from one sync to the next."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from oa_sync.clock import Clock
from oa_sync.definitions.model import Resource
from oa_sync.extract.changes import Known
from oa_sync.extract.early_stop import EarlyStop, is_eligible
from oa_sync.extract.instants import instant_of
from oa_sync.extract.items import Item, Kind
from oa_sync.extract.scan import Scan

FULL_SCAN_DAYS = 7


class Store(Protocol):
    """Where facts are kept (see `oa_sync.connection.Connection`); they may get lost at any time."""

    def recall(self, resource: Resource) -> Any:
        """The fact kept for `resource` with this destination, a JSON value; None if there is none."""

    def remember(self, resource: Resource, fact: Any) -> None:
        """Keep `fact`; None forgets."""


@dataclass(frozen=True)
class LearnedOrder:
    """A list is in the order of its latest change, and the scan that began at `since` (server's time)
    left what `digest` stands for. It was read whole at `read_whole_at`, this machine's time, and its
    rows have the top-level keys `list_keys`."""

    since: datetime
    read_whole_at: datetime
    digest: str
    list_keys: tuple[str, ...]

    @classmethod
    def from_fact(cls, fact: Any) -> LearnedOrder | None:
        """Read back what `to_fact` wrote; None for anything else."""
        try:
            since, whole = instant_of(fact["since"]), instant_of(fact["read_whole_at"])
            digest, keys = str(fact["digest"]), tuple(map(str, fact["list_keys"]))
        except (TypeError, KeyError, AttributeError):
            return None
        return cls(since, whole, digest, keys) if since and whole else None

    def to_fact(self) -> dict[str, Any]:
        """A JSON value."""
        return {
            "since": self.since.isoformat(),
            "read_whole_at": self.read_whole_at.isoformat(),
            "digest": self.digest,
            "list_keys": list(self.list_keys),
        }


class OrderMemory:
    """Says for each list whether it may be read in part, and remembers what a scan taught.

    `full_scan_days`: after as many days a list is read whole, whatever is remembered.
    """

    def __init__(
        self, store: Store, clock: Clock, *, full_scan_days: float = FULL_SCAN_DAYS
    ) -> None:
        self._store, self._clock = store, clock
        self._full_scan_after = timedelta(days=full_scan_days)
        self._learned: dict[str, LearnedOrder] = {}
        self._written: defaultdict[str, dict[str, str | None]] = defaultdict(dict)

    def early_stop(self, scan: Scan) -> EarlyStop | None:
        """What may end `scan` before its last page; None: it has to read them all."""
        resource = scan.resource
        if scan.rows is not None or not is_eligible(resource):
            return None
        learned = LearnedOrder.from_fact(self._store.recall(resource))
        if learned is None:
            return None
        self._learned[resource.name] = learned
        now = self._clock.now()
        if not learned.read_whole_at <= now < learned.read_whole_at + self._full_scan_after:
            return None
        if learned.digest != digest_of(versions_of(scan.known)):
            return None
        scan.list_keys.update(learned.list_keys)
        return EarlyStop(scan.known, learned.since)

    def note(self, item: Item) -> None:
        """Take in what is going to be loaded."""
        gone = item.kind is Kind.GONE
        self._written[item.resource][item.key] = None if gone else item.version

    def conclude(self, scan: Scan) -> None:
        """Remember what `scan` taught, when all that came of it is noted."""
        resource, learned = scan.resource, self._learned.get(scan.resource.name)
        if not is_eligible(resource) or not scan.finished:
            return
        is_known = learned is not None and scan.order.is_falling
        if scan.rest_known and learned is not None and scan.since is not None:
            learned = replace(learned, since=scan.since)
        elif scan.whole and scan.since is not None and (scan.order.is_by_update or is_known):
            keys = tuple(sorted(scan.list_keys))
            learned = LearnedOrder(scan.since, self._clock.now(), "", keys)
        else:
            self._store.remember(resource, None)
            return
        versions = {**versions_of(scan.known), **self._written[resource.name]}
        self._store.remember(resource, replace(learned, digest=digest_of(versions)).to_fact())


def versions_of(known: Mapping[str, Known]) -> dict[str, str | None]:
    """The loaded version of each id, None for those that are deleted or have none."""
    return {key: None if row.deleted else row.version for key, row in known.items()}


def digest_of(versions: Mapping[str, str | None]) -> str:
    """A digest of the ids and versions, in any order; ids with None do not count."""
    total = 0
    for key, version in versions.items():
        if version is not None:
            text = f"{key}\0{version}".encode()
            total += int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
    return f"{total % 2**128:032x}"
