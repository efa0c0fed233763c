"""Shares a budget that cannot pay for all pages of all lists (see `oa_sync.extract.lists.ration`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from oa_sync.definitions.model import Resource
from oa_sync.errors import (
    ApiError,
    BudgetExhausted,
    ConnectionFailedError,
    Interrupted,
    NotAuthorisedError,
    RateLimitedError,
    ServerError,
)
from oa_sync.extract.cost import ROWS_A_PAGE, backlog
from oa_sync.extract.lists.changes import Known
from oa_sync.extract.lists.ration import Ration, Reached, fair_part, kept_for_details
from oa_sync.extract.lists.scan import Scan
from oa_sync.extract.lists.turns import Turn, Turns, requests_for
from oa_sync.extract.tally import Tally, Warned

_MAY_PASS = (ServerError, ConnectionFailedError, NotAuthorisedError, RateLimitedError)

CODE = "budget_too_small"
"""Of the warning that a budget cannot do what it is meant to."""


class Budget(Protocol):
    """What the rations are cut from (see `oa_sync.workspace.connection.Connection`)."""

    def budget_left(self) -> int | None:
        """Requests that the sync may still send; None: only the pace limits it."""

    def reached(self, resource: Resource) -> Reached | None:
        """How far an earlier sync came in this list, which did not fit into its budget; None: to its end."""

    def note_reached(self, resource: Resource, reached: Reached | None) -> None:
        """Remember how far the list was read; None: to its end."""

    def turn(self, resource: Resource) -> Turn | None:
        """Where an earlier sync ended among the lists of parents; None: it read all of them."""

    def note_turn(self, resource: Resource, turn: Turn | None) -> None:
        """Remember which list of a parent comes next; None: all were read."""

    def enough_for(self, requests: int) -> str | None:
        """What would allow so many requests a day, in words: a plan, or a setting. None: a day has enough."""

    def known_missing(self, resource: Resource) -> bool:
        """Whether this optional list was missing lately, so that it need not be asked for again yet."""

    def recall(self, resource: Resource) -> Any:
        """What was learned of the order of a list that need not be read to its end; None: nothing."""


class Rationing:
    """The rations of one sync of `resources`, of which `known` is loaded."""

    def __init__(
        self,
        budget: Budget,
        resources: Sequence[Resource],
        known: Mapping[str, Mapping[str, Known]],
    ) -> None:
        self._budget, self._resources, self._known = budget, resources, known
        self._limited = budget.budget_left() is not None
        self._details: int | None = None
        if self._limited and any(resource.detail is not None for resource in resources):
            self._details = sum(backlog(one, known[one.name].values()) for one in resources)
        self._parts: dict[str, int] = {}

    def of(self, scan: Scan) -> Ration | None:
        """The ration of the list of `scan`, which is read next; None: it is not limited."""
        resource = scan.resource
        left = self._budget.budget_left() if self._limited else None
        if left is None or resource.parent is not None:
            return None
        place = self._resources.index(resource)
        return Ration(
            left,
            others=[self._expected(other) for other in self._resources[place + 1 :]],
            details=self._details,
            loaded=scan.living,
            before=self._budget.reached(resource),
        )

    def turns(self, scan: Scan, parents: Sequence[str]) -> Turns:
        """Which lists of the `parents` of `scan` are read now, and in which order."""
        resource = scan.resource
        before = self._budget.turn(resource)
        left = self._budget.budget_left() if self._limited else None
        if left is None:
            return Turns(parents, before, None)
        place = self._resources.index(resource)
        others = [self._expected(other) for other in self._resources[place + 1 :]]
        if requests_for(len(parents), before) + sum(others) <= left:
            return Turns(parents, before, None)
        kept = kept_for_details(left, self._details) if self._details is not None else 0
        return Turns(parents, before, fair_part(left - kept, others))

    def conclude_turns(self, scan: Scan, turns: Turns, tally: Tally) -> None:
        """Remember which list of a parent comes next, and tell of a part."""
        resource, parents = scan.resource, len(turns.order)
        turn = turns.reached(scan.pages)
        if turn is None:
            if scan.finished:
                self._budget.note_turn(resource, None)
            return
        if not (scan.is_part or _ended(scan)):
            return
        self._budget.note_turn(resource, turn)
        pages = requests_for(parents, turn)
        self._parts[resource.name] = pages
        others = sum(self._expected(other) for other in self._resources if other is not resource)
        if (advice := self._budget.enough_for(pages + others)) is None:
            return
        tally.warnings.append(
            Warned(
                CODE,
                f"the lists of {parents:,} rows of {resource.parent} take about {pages:,} requests, too many for this"
                f" budget: those of {turn.parents:,} were read, and the next sync goes on there. Read in parts, they"
                f" prove no deletion, and show a change only when their part is read; {advice}",
            )
        )

    def conclude(self, scan: Scan, ration: Ration | None, tally: Tally) -> None:
        """Remember how far `scan` came, and tell of a part."""
        resource = scan.resource
        reached = ration.reached() if ration is not None else None
        if scan.finished or reached is None:
            if scan.finished and resource.parent is None:
                self._budget.note_reached(resource, None)
            elif ration is not None and _may_have_expired(ration, scan):
                self._budget.note_reached(resource, ration.without_place())
            return
        assert ration is not None
        if not (ration.is_part or _ended(scan)):
            return
        if is_refused(scan.error):
            reached = replace(reached, onward=None)  # else it might fail at this place for ever
        reached = replace(reached, is_held_back=isinstance(scan.error, RateLimitedError))
        self._budget.note_reached(resource, reached)
        self._parts[resource.name] = reached.pages
        others = sum(self._expected(other) for other in self._resources if other is not resource)
        # A list whose length is not known takes more than it was given.
        pages = reached.pages if reached.is_length else max(reached.pages, reached.budget)
        if (advice := self._budget.enough_for(pages + others)) is None:
            return  # there is less left today than a day has
        goes_on = "the next sync goes on there" if reached.onward else "the next one begins anew"
        more = "" if reached.is_length else " or more"
        tally.warnings.append(
            Warned(
                CODE,
                f"the list has {reached.pages:,}{more} pages, too many for the {reached.budget:,} requests that were"
                f" left: {ration.pages:,} were read, and {goes_on}. Read in parts, it proves no deletion, and shows"
                f" a change only when its part is read; {advice}",
            )
        )

    @property
    def in_parts(self) -> BudgetExhausted | None:
        """Why the sync is partial though it may still send requests; None: it is not."""
        if not self._parts:
            return None
        names = ", ".join(self._parts)
        return BudgetExhausted(
            f"the lists have more pages than one sync may ask for, so they are read in parts ({names}); run again"
            " to go on. A warning says what would be enough"
        )

    def _expected(self, resource: Resource) -> int:
        """How many requests a list that is read later will take, as far as is known."""
        if resource.endpoint.optional and self._budget.known_missing(resource):
            return 0
        if resource.parent is not None or self._budget.recall(resource) is not None:
            return 1
        if (before := self._budget.reached(resource)) is not None:
            return before.pages
        living = sum(not row.deleted for row in self._known[resource.name].values())
        return max(1, -(-living // ROWS_A_PAGE))


def _ended(scan: Scan) -> bool:
    """Whether the budget, or what the server allows, ended while the list was read."""
    if isinstance(scan.error, RateLimitedError):
        return True
    return isinstance(scan.error, BudgetExhausted) and not isinstance(scan.error, Interrupted)


def _may_have_expired(ration: Ration, scan: Scan) -> bool:
    """Whether the cursor or link at which reading was to go on is one that the server fails at. It may do so for ever,
    so the next sync begins at the top. A place that is a number does not expire."""
    if ration.start is None or ration.pages or not isinstance(ration.start.at, str):
        return False
    return isinstance(scan.error, ServerError)


def is_lost(ration: Ration | None, scan: Scan) -> bool:
    """Whether the place where reading was to go on is not there any more."""
    if ration is None or ration.start is None or ration.pages:
        return False
    return is_refused(scan.error)


def is_refused(error: Exception | None) -> bool:
    """Whether an answer will be the same if it is asked for again."""
    return isinstance(error, ApiError) and not isinstance(error, _MAY_PASS)
