"""What a list showed, id by id: new, changed, unchanged or gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from oa_sync.clock import instant_of
from oa_sync.definitions.model import Resource
from oa_sync.errors import ApiError, BudgetExhausted, InvalidResponseError
from oa_sync.extract.lists.changes import (
    Change,
    Known,
    Listed,
    compare,
    content_hash,
    identity,
    listed,
    may_hide_a_change,
    needs_detail,
)
from oa_sync.extract.lists.listing import ListPage
from oa_sync.extract.lists.mass import is_mass
from oa_sync.extract.lists.order import Order
from oa_sync.extract.lists.second_look import Shown
from oa_sync.extract.set_aside import SetAside
from oa_sync.journal.list_keys import MOST, keys_of_row, without_inner

REFUSED_ROWS = 20
"""So many rows without a readable key, and none with one, are no odd rows."""

_SAME_KEY = (
    "the same answer has another row with this key and other content; if both are right, primary_key in the"
    " definition needs a further field"
)


@dataclass(slots=True)
class Pending:
    """A listed row that has to be written, or whose detail has to be asked for, or both."""

    listed: Listed
    change: Change
    known: Known | None
    raw: bytes
    wants_detail: bool


@dataclass
class Scan:
    """The outcome of reading one list, or the lists of all parents.

    `finished`: read to the end. `proven`: every id that stayed was seen, so that an id that was not
    seen is gone (see `oa_sync.extract.lists.evidence`). `rest_known`: loaded ids that were not read are
    proven to be there and unchanged (see `oa_sync.extract.lists.early_stop`). `since`: the server's time
    when reading began. `total`: the rows of the list by its newest page, None with several lists.
    `parents_proven`: no row is absent because its parent was missed; None: the details of absent parents tell.
    `pages`: how many were read. `is_bare`: an answer had no body and was taken for an empty list, which proves
    nothing. `error`: what ended the reading early.
    """

    resource: Resource
    known: Mapping[str, Known]
    seen: set[str] = field(default_factory=set)
    list_keys: set[str] = field(default_factory=set)
    pending: dict[str, Pending] = field(default_factory=dict)
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    rest_known: int = 0
    parents_proven: bool | None = True
    total: int | None = None
    pages: int = 0
    is_bare: bool = False
    finished: bool = False
    is_part: bool = False
    """Whether reading ended because its share of the budget did."""
    proven: bool = True
    since: datetime | None = None
    error: ApiError | BudgetExhausted | None = None
    rows: dict[str, dict[str, Any]] | None = None
    """All decoded rows by key, where another resource is asked for by them; None: not kept."""
    copies: int = 0
    """Rows that the list shows beside the distinct ones."""
    of_parent: dict[str, int] = field(default_factory=dict)
    """How many rows the list of each parent showed, by the parent's key."""
    lists_missing: set[str] = field(default_factory=set)
    """The parents that are listed, and whose list answered 404."""
    handed_on: dict[str, Known] = field(default_factory=dict)
    """What will be loaded of the rows that `take_full` took, by key."""
    may_be_cut: bool = False
    """The list ends with a full page, as one does that is cut, though it has a total or proves itself complete; the
    details of absent rows can tell."""
    pages_shown: list[Shown] = field(default_factory=list)
    """The pages in turn, of a list whose rows have a detail."""
    set_aside: dict[str, SetAside] = field(default_factory=dict)
    """The rows without a readable key, by a stand-in for it. They are in `seen` too."""
    same_key: dict[tuple[str, str], SetAside] = field(default_factory=dict)
    """The rows that one answer shows beside another row of the same key, by key and content."""
    parents_are_asked_for: bool = False
    """The details of absent parents are asked for, and tell before the rows of this list are decided about."""
    read_before: datetime | None = None
    """The server's time when the list was read by the newest sync that was complete; None: it is not known."""

    def __post_init__(self) -> None:
        self.order = Order(self.resource)
        self._equal_rows: Counter[str] = Counter()
        self._counted: dict[str, Change] = {}
        self._looks_inside = self.resource.detail is not None

    @property
    def shows_more(self) -> bool:
        """Whether the list shows more rows than its own total says."""
        return self.finished and self.total is not None and len(self.seen) > self.total

    @property
    def fits_total(self) -> bool:
        """Whether the list shows as many rows as its total says."""
        return self.total in (len(self.seen), len(self.seen) + self.copies)

    @property
    def is_complete(self) -> bool:
        """Whether absence from `seen` proves deletion."""
        return bool(self.finished and self.proven and self.parents_proven and not self.rest_known)

    @property
    def living(self) -> int:
        """How many loaded ids are not known to be deleted."""
        return sum(not row.deleted for row in self.known.values())

    @property
    def is_mass_absent(self) -> bool:
        """Whether more ids are absent than deletions are believed to explain. Rows without a key have another
        id when they change, and a guessed key may be wrong, so of such rows only the number counts."""
        if not self.finished or self.rest_known or self.resource.write_disposition == "append":
            return False
        absent, living = self.absent(), self.living
        has_key = bool(identity(self.resource))
        sure = sum(has_key and not self.known[key].is_key_guessed for key in absent)
        fewer = max(0, living - len(self.seen))
        return is_mass(sure + min(len(absent) - sure, fewer), living)

    @property
    def is_in_doubt(self) -> bool:
        """Whether absence from `seen` proves nothing before details of absent rows are asked for."""
        return self.may_be_cut or self.is_mass_absent

    def absent(self) -> list[str]:
        """The loaded, living ids that were not seen."""
        return [key for key in self.known if self.is_loaded(key) and key not in self.seen]

    def gone(self) -> list[str]:
        """The loaded ids that the API no longer has; empty unless the scan is complete."""
        appends = self.resource.write_disposition == "append"
        return self.absent() if self.is_complete and not appends else []

    def is_loaded(self, key: str) -> bool:
        """Whether this id is loaded and was not known to be deleted."""
        known = self.known.get(key)
        return known is not None and not known.deleted

    def may_be_restored(self, row: Listed) -> bool:
        """Whether a row that is not in the mirror may have come with an old time: it was there before, or others
        that are loaded have a later time."""
        if row.key in self.known:
            return True
        instant = instant_of(row.version)
        return instant is not None and self._newest is not None and instant < self._newest

    @cached_property
    def _newest(self) -> datetime | None:
        """The latest time of a loaded row."""
        instants = (instant_of(row.version) for row in self.known.values())
        return max(filter(None, instants), default=None)

    def add(self, page: ListPage) -> list[Listed]:
        """Take in one page. A row seen on an earlier page is replaced by its later state."""
        self.pages += 1
        if page.total is not None and self.resource.parent is None:
            self.total = page.total
        entries = self._entries(page)
        raws: list[bytes] = []
        here: set[str] = set()
        for number, entry in enumerate(entries):
            if entry.key in here:
                continue
            here.add(entry.key)
            if entry.key in self.set_aside:
                self.seen.add(entry.key)
                continue
            if entry.key in self.seen:
                self._uncount(entry.key)
            self.seen.add(entry.key)
            loaded = self.known.get(entry.key)
            change = compare(entry, loaded)
            self._count(change)
            if (earlier := self.handed_on.get(entry.key)) is not None:
                self._counted[entry.key] = change
                loaded, change = earlier, compare(entry, earlier)
            wants_detail = self._wants_detail(entry, loaded)
            if change is not Change.UNCHANGED or wants_detail:
                raws = raws or page.raw_rows()
                self.pending[entry.key] = Pending(entry, change, loaded, raws[number], wants_detail)
        return entries

    def take_in(self, more: Scan) -> None:
        """Take in the lists of further parents."""
        self.seen |= more.seen
        self.list_keys |= more.list_keys
        self.pending |= more.pending
        self.of_parent |= more.of_parent
        self.lists_missing |= more.lists_missing
        self.set_aside |= more.set_aside
        if self.rows is not None:
            self.rows |= more.rows or {}
        self.finished = self.finished and more.finished
        self.proven = self.proven and more.proven

    def _wants_detail(self, entry: Listed, loaded: Known | None) -> bool:
        if needs_detail(self.resource, entry, loaded):
            return True
        if entry.full or loaded is None:
            return False
        return may_hide_a_change(entry, loaded, self.read_before)

    def take_full(self) -> list[Pending]:
        """Take out the pending rows that are full and wait for no detail.

        They are no longer pending. A row that comes again with other content is pending once more,
        compared with what was taken here.
        """
        taken = [row for row in self.pending.values() if row.listed.full and not row.wants_detail]
        for row in taken:
            entry = row.listed
            del self.pending[entry.key]
            self._counted.setdefault(entry.key, row.change)
            self.handed_on[entry.key] = Known(
                entry.version, entry.row_hash, entry.version, deleted=False
            )
        return taken

    def leave_rest(self, count: int) -> None:
        """The `count` loaded ids that were not read are proven to be unchanged."""
        self.rest_known = count
        self.unchanged += count

    def _entries(self, page: ListPage) -> list[Listed]:
        """The rows of `page`, each reduced at once, so that one decoded row is held at a time. A row that comes
        again is a copy of the first; if its content is another, it is set aside."""
        entries: list[Listed] = []
        firsts: dict[str, Listed] = {}
        keys: set[str] = set()
        rows: dict[str, dict[str, Any]] = {}
        refused: dict[str, SetAside] = {}
        for number, row in enumerate(page.rows, 1):
            try:
                entry = self._listed(row)
            except InvalidResponseError as error:
                entries.append(self._refused(row, number, error, refused))
                if number == len(page.rows) == len(refused) and self._is_at_fault(page, refused):
                    raise
                continue
            first = firsts.setdefault(entry.key, entry)
            entries.append(first)
            if first.row_hash != entry.row_hash:
                place = f"page {self.pages}, row {number}"
                self.same_key[entry.key, entry.row_hash] = SetAside(place, entry.key, _SAME_KEY)
                continue
            keys.update(keys_of_row(row, inside=self._looks_inside))
            if self.rows is not None:
                rows[entry.key] = row
        # Only now, after all rows were read: a page without any key is rejected as a whole.
        self.set_aside |= refused
        self.list_keys |= keys
        if len(self.list_keys) > MOST:
            self.list_keys, self._looks_inside = without_inner(self.list_keys), False
        if self.rows is not None:
            self.rows |= rows
        return entries

    def _is_at_fault(self, page: ListPage, refused: Mapping[str, SetAside]) -> bool:
        """Whether the definition is wrong rather than the rows of `page`, which are all `refused`: no row so far has
        a readable key, and these are many, or all there are."""
        if len(self.seen) > len(self.set_aside):
            return False
        is_all = page.place.is_last and self.resource.parent is None
        return is_all or len(self.set_aside) + len(refused) >= REFUSED_ROWS

    def _refused(
        self, row: Any, number: int, error: InvalidResponseError, refused: dict[str, SetAside]
    ) -> Listed:
        """A stand-in for a row without a readable key, which is in the list all the same."""
        row_hash = content_hash(row)
        equal = sum(key.startswith(f"\0{row_hash}") for key in refused)
        key = f"\0{row_hash}-{equal}"
        refused[key] = SetAside(f"page {self.pages}, row {number}", None, _reason(error))
        return Listed(key, (key,), version=row_hash, row_hash=row_hash, full=True)

    def _listed(self, row: Any) -> Listed:
        """`row` reduced; equal rows of a list without key are told apart by their number."""
        entry = listed(self.resource, row)
        if identity(self.resource):
            return entry
        self._equal_rows[entry.row_hash] += 1
        number = self._equal_rows[entry.row_hash]
        if number == 1:
            return entry
        key = f"{entry.row_hash}-{number}"
        return replace(entry, key=key, key_values=(key,), row_hash=key, version=key)

    def _count(self, change: Change, by: int = 1) -> None:
        if change is Change.NEW:
            self.new += by
        elif change is Change.CHANGED:
            self.changed += by
        else:
            self.unchanged += by

    def _uncount(self, key: str) -> None:
        before = self.pending.pop(key, None)
        change = before.change if before else Change.UNCHANGED
        self._count(self._counted.get(key, change), by=-1)


def _reason(error: InvalidResponseError) -> str:
    """Why a row cannot be taken, without the resource in front and the advice behind it."""
    return str(error).partition(": ")[2].partition("; set ")[0]
