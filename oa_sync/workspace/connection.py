"""From the settings to an open client: definition, key, quota, dialect."""

from __future__ import annotations

import hashlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from oa_sync.client import ApiClient, RetryPolicy, credential
from oa_sync.client.dialect import PROBE_PATH, Detection, detect
from oa_sync.client.paging import ApiList, Onward, Page, Place
from oa_sync.client.paging.ends import FullPages
from oa_sync.client.paging.signs import Signs
from oa_sync.clock import Clock, instant_of
from oa_sync.definitions.model import (
    AutoPaginator,
    Definition,
    NoAuth,
    Paginator,
    Resource,
)
from oa_sync.errors import Interrupted
from oa_sync.extract.cost import Cost
from oa_sync.extract.lists.ration import Reached
from oa_sync.extract.lists.turns import Turn
from oa_sync.private import home_folder
from oa_sync.process_wide import hide
from oa_sync.quota import open_ledger
from oa_sync.quota.account import Forecast, QuotaAccount, QuotaStatus, daily_budget, forecast
from oa_sync.quota.limits import Limits, limits_of, smallest_plan
from oa_sync.quota.pacer import QuotaLimiter
from oa_sync.settings import Settings
from oa_sync.shape.naming import snake_case
from oa_sync.workspace.access import Access, allow, allow_quota, definition_of, find_access
from oa_sync.workspace.memory import Memory
from oa_sync.workspace.report import Requests
from oa_sync.workspace.stopping import StoppableClock, StoppableLimiter, Stopping
from oa_sync.workspace.surroundings import Surroundings

T = TypeVar("T")

ApiDialect = Literal["page", "cursor"]
DIALECTS: tuple[ApiDialect, ...] = ("page", "cursor")
PAGES_AT_ONCE = 4
ASK_AGAIN = timedelta(days=7)
"""After this time an optional list that was not there is asked for again."""
LIST_GONE_AFTER = timedelta(days=3)
"""For this time an optional list that was there and answers 404 is asked for by every sync."""


@dataclass(frozen=True, slots=True)
class OpenedList:
    """A list as the scan reads it: several pages at once, or one after the other."""

    api_list: ApiList

    @property
    def without_total(self) -> str:
        """Its paginator in the words of a definition, so that no total is believed."""
        return self.api_list.without_total

    def pages(self, *, ahead: bool) -> AsyncGenerator[Page, None]:
        """All pages in order."""
        return self.api_list.pages(PAGES_AT_ONCE if ahead else 1)

    async def across(self, left: Place, right: Place | None) -> Sequence[Page]:
        """What lies in the seam of two pages."""
        return await self.api_list.across(left, right)


class Connection:
    """An open client and what is known of the API behind it."""

    def __init__(
        self,
        settings: Settings,
        client: ApiClient,
        limiter: QuotaLimiter,
        account: QuotaAccount,
        memory: Memory,
        clock: Clock,
        stopping: Stopping,
        definition: Definition | None,
    ) -> None:
        self._clock, self._stopping = clock, stopping
        self._settings, self._limiter, self._memory = settings, limiter, memory
        self._account = account
        self._definition = definition
        self._loaded: dict[str, Definition] = {}
        self._detected: Detection | None = None
        self._budget = limiter.budget()
        self.client = client
        self.dialect: str = settings.dialect

    async def definition(self) -> Definition:
        """The definition in force. With dialect `auto` and nothing remembered of this API, one
        request finds out the dialect; the scan uses its page later.

        Raises:
            ApiError: the API could not be asked.
            DefinitionError: the file is wrong.
        """
        if self._definition is None:
            dialect = await self._find_dialect()
            self._definition = self._load(dialect)
            self.dialect = dialect
        return self._definition

    def possible_definitions(self) -> list[Definition]:
        """Those of which `definition` gives one, without a request: both dialects', where it is not known.

        Raises:
            DefinitionError: the file is wrong.
        """
        if self._definition is not None:
            return [self._definition]
        known = self._memory.get("dialect")
        possible = [dialect for dialect in DIALECTS if dialect == known] or DIALECTS
        return [self._load(dialect) for dialect in possible]

    def _load(self, dialect: ApiDialect) -> Definition:
        if dialect not in self._loaded:
            self._loaded[dialect] = definition_of(replace(self._settings, dialect=dialect))
        return self._loaded[dialect]

    async def api_dialect(self) -> ApiDialect:
        """The dialect of the endpoints that no definition describes: the one that is set, else the
        remembered one; else one request finds it out.

        Raises:
            ApiError: the API could not be asked.
        """
        if self.dialect not in ("page", "cursor"):
            self.dialect = await self._find_dialect()
        return "page" if self.dialect == "page" else "cursor"

    async def _find_dialect(self) -> ApiDialect:
        known = self._memory.get("dialect")
        if known in ("page", "cursor"):
            return "page" if known == "page" else "cursor"
        self._detected = await detect(self.client)
        self._memory.set("dialect", self._detected.dialect)
        return self._detected.dialect

    async def before_stop(self, work: Coroutine[Any, Any, T], *, sent: str) -> T:
        """The result of `work`, which sends a request that must not be sent twice. After a stop signal
        it still has some seconds for the answer.

        Raises:
            Interrupted: no answer came; the message says `sent` if a request was sent.
        """
        made = self.client.counts.made
        try:
            return await self._stopping.grant(work)
        except Interrupted:
            if self.client.counts.made == made:
                raise
            raise Interrupted(f"stopped before the answer came; {sent}") from None

    def open_list(
        self,
        resource: Resource,
        path: str | None,
        params: Mapping[str, Any],
        start: Onward | None = None,
    ) -> OpenedList:
        """The list of `resource`, from `start` on (None: from its top). `params` are added to the declared ones;
        `path` replaces the declared path where that has placeholders."""
        assert self._definition is not None
        endpoint = resource.endpoint
        first = None
        if self._detected is not None and endpoint.path == PROBE_PATH:
            first, self._detected = self._detected.first, None
        paginator = self._definition.paginator_for(resource)
        before, beside = self.fact("paging", resource), self.fact("beside", resource)

        def remember(held: list[str], beside: list[str]) -> None:
            self.set_fact("paging", resource, held)
            self.set_fact("beside", resource, beside)

        signs = Signs(
            frozenset(map(str, before)) if isinstance(before, list) else frozenset(),
            frozenset(map(str, beside)) if isinstance(beside, list) else frozenset(),
            remember,
            self._full_pages(resource, paginator),
        )
        return OpenedList(
            ApiList(
                self.client,
                endpoint,
                paginator,
                params,
                path=path,
                first=first if start is None else None,
                signs=signs,
                start=start,
            )
        )

    def _full_pages(self, resource: Resource, paginator: Paginator) -> FullPages:
        """What is remembered of the pages of a list, as long as it is asked for in the same way."""
        asked = f"{paginator.model_dump_json()} {sorted(resource.endpoint.plain.items())}"
        way = hashlib.sha256(asked.encode()).hexdigest()[:16]
        fact = self.fact("full_pages", resource)
        least, room = (fact["least"], fact["room"]) if _is_of(fact, way) else (None, None)

        def remember(least: int | None, room: int | None) -> None:
            self.set_fact("full_pages", resource, {"way": way, "least": least, "room": room})

        return FullPages(least, room, remember)

    def budget_left(self) -> int | None:
        """Requests that this command may still send; None: only the pace limits it."""
        return self._limiter.budget()

    def reached(self, resource: Resource) -> Reached | None:
        """How far an earlier sync came in this list, which did not fit into its budget; None: to its end."""
        assert self._definition is not None
        before = Reached.from_fact(self.fact("reached", resource))
        if before is None or before.onward is None:
            return before
        declared = self._definition.paginator_for(resource)
        if isinstance(declared, AutoPaginator) or before.onward.paginator == declared:
            return before
        return replace(before, onward=None)

    def enough_for(self, requests: int) -> str | None:
        """What would allow so many requests a day beside details, in words: a plan, or a setting. None: a day has
        enough, though perhaps not today."""
        settings = self._settings
        daily = daily_budget(self._account.limits, settings.reserve, settings.max_requests)
        if daily is None or daily > requests:
            return None
        if settings.max_requests is not None and settings.max_requests <= requests:
            return f"--max-requests above {requests:,} would be enough for its pages"
        plan = smallest_plan(requests + 1, settings.reserve)
        return f"the plan {plan} would be enough for its pages"

    def note_reached(self, resource: Resource, reached: Reached | None) -> None:
        """Remember how far the list was read; None: to its end. A place that holds the key is not kept."""
        fact = reached.as_fact() if reached is not None else None
        place = str(reached.onward.at) if reached is not None and reached.onward else ""
        if fact is not None and self.client.redact(place) != place:
            fact["onward"] = None
        self.set_fact("reached", resource, fact)

    def turn(self, resource: Resource) -> Turn | None:
        """Where an earlier sync ended among the lists of parents; None: it read all of them."""
        return Turn.from_fact(self.fact("turn", resource))

    def note_turn(self, resource: Resource, turn: Turn | None) -> None:
        """Remember which list of a parent comes next; None: all were read."""
        self.set_fact("turn", resource, turn.as_fact() if turn is not None else None)

    def recall(self, resource: Resource) -> Any:
        """What was remembered of the order of a list for this destination; None if nothing was."""
        return self.fact("order", resource)

    def remember(self, resource: Resource, fact: Any) -> None:
        """Remember `fact`, a JSON value, of the order of a list for this destination."""
        self.set_fact("order", resource, fact)

    def fact(self, kind: str, resource: Resource) -> Any:
        """What was remembered of a list for this destination; None if nothing was."""
        return self._memory.get(self._name_of(kind, resource))

    def set_fact(self, kind: str, resource: Resource, value: Any) -> None:
        """Remember `value`, a JSON value, of a list for this destination; None forgets."""
        self._memory.set(self._name_of(kind, resource), value)

    def _name_of(self, kind: str, resource: Resource) -> str:
        return f"{kind}:{self._settings.fingerprint()}:{resource.name}:{resource.endpoint.path}"

    def loaded_elsewhere(self) -> tuple[str, int] | None:
        """Where this workspace was loaded last by this home, if that is another place than this one, and
        about how many requests a first sync costs."""
        match self._memory.get("loaded"):
            case {"id": str(name), "place": str(place), "cost": int(cost)}:
                return None if name == self._settings.fingerprint() else (place, cost)
        return None

    def note_loaded(self, cost: int) -> None:
        """Remember that this workspace was loaded here, and what a first sync would cost now."""
        settings = self._settings
        fact = {"id": settings.fingerprint(), "place": settings.shown_place, "cost": cost}
        self._memory.set("loaded", fact)

    def known_missing(self, resource: Resource) -> bool:
        """Whether this optional list answered 404 within the last `ASK_AGAIN`."""
        missing = self._memory.get(f"missing:{resource.endpoint.path}")
        try:
            since = datetime.fromisoformat(missing)
        except (TypeError, ValueError):
            return False
        return since <= self._clock.now() < since + ASK_AGAIN

    def note_missing(self, resource: Resource) -> bool:
        """Remember that this optional list answers 404; the API may offer it one day. Whether that is believed:
        one that has answered before must answer 404 for `LIST_GONE_AFTER`."""
        path, now = resource.endpoint.path, self._clock.now()
        answered = self._memory.get(f"answered:{path}")
        if answered is not None:
            lost = instant_of(self._memory.get(f"lost:{path}"))
            if lost is None or now - lost < LIST_GONE_AFTER:
                self._memory.set(f"lost:{path}", (lost or now).isoformat())
                return False
            self._memory.set(f"answered:{path}", None)
        self._memory.set(f"missing:{path}", now.isoformat())
        return True

    def note_answered(self, resource: Resource) -> None:
        """Remember that this optional list is there."""
        self._memory.set(f"answered:{resource.endpoint.path}", True)
        self._memory.set(f"lost:{resource.endpoint.path}", None)

    def fill(self, requests: Requests) -> None:
        """Write the requests made so far, the budget and what is left into `requests`."""
        counts = self.client.counts
        requests.made, requests.retried = counts.made, counts.retried
        requests.rate_limited = counts.rate_limited
        requests.budget = self._budget
        requests.left_today = self._limiter.left_today()
        requests.resets_at = self._limiter.resets_at()

    def quota(self) -> QuotaStatus:
        """What is spent and left, by the ledger."""
        return self._account.status()

    def forecast(self, cost: Cost, now: datetime) -> Forecast:
        """When and how often to sync until `cost` is paid, as seen from `now`."""
        return forecast(
            self._account,
            reserve=self._settings.reserve,
            max_requests=self._settings.max_requests,
            once=cost.details,
            each_sync=cost.lists,
            now=now,
        )


@asynccontextmanager
async def connect(
    settings: Settings,
    around: Surroundings,
    stopping: Stopping | None = None,
    *,
    also_sent: Sequence[str] = (),
    posts: bool = False,
) -> AsyncIterator[Connection]:
    """Open client and ledger for the `with` block. After a stop of `stopping`, nothing more is sent.
    `also_sent`: variables of ours that requests will hold. `posts`: more than GET is sent, though the definition
    does not say so.

    Raises:
        ConfigurationError: no key, a wrong definition, a secret that was not granted for this host, a ledger that
            cannot be opened.
    """
    access, clock = find_access(settings), around.clock
    allow(access, also_sent, posts=posts)
    secrets = (settings.api_key or "", *access.secrets)
    hide((*secrets, *map(snake_case, secrets)))  # a field that is called so becomes a column
    with _open_account(settings, access, clock) as account:
        limiter = QuotaLimiter(
            account.ledger,
            account.number,
            account.limits,
            clock,
            reserve=settings.reserve,
            max_requests=settings.max_requests,
        )
        try:
            stopping = stopping or Stopping()
            async with ApiClient(
                access.base,
                credential(access.config.auth, settings.api_key, also=access.secrets),
                StoppableLimiter(limiter, stopping),
                StoppableClock(clock, stopping),
                headers=access.config.headers,
                retry=RetryPolicy(random=around.random),
                transport=around.transport,
            ) as client:
                name = _name(access.base, settings.workspace)
                memory = Memory(settings.home / "memory" / name, around.disk)
                yield Connection(
                    settings,
                    client,
                    limiter,
                    account,
                    memory,
                    clock,
                    stopping,
                    access.definition,
                )
        finally:
            limiter.close()


@contextmanager
def quota_account(settings: Settings, clock: Clock) -> Iterator[QuotaAccount]:
    """The account that `settings` spend from, for the `with` block; no client, no request.

    Raises:
        ConfigurationError: as `connect`; without a key the account is not known.
    """
    access = find_access(settings)
    if access.needs_key:
        settings.require_api_key()
    with _open_account(settings, access, clock, only_reading=True) as account:
        yield account


@contextmanager
def _open_account(
    settings: Settings, access: Access, clock: Clock, *, only_reading: bool = False
) -> Iterator[QuotaAccount]:
    allow_quota(settings)
    key = None if isinstance(access.config.auth, NoAuth) else settings.api_key
    limits = _limits(settings, access.definition)
    if not only_reading:
        home_folder(settings.home)
    ledger = open_ledger(settings.home, settings.quota_url, clock, only_reading=only_reading)
    try:
        yield QuotaAccount(ledger, ledger.account(key, access.base), limits)
    finally:
        ledger.close()


def _limits(settings: Settings, definition: Definition | None) -> Limits:
    """Flags and environment come first, then the definition's own limits, then the plan's."""
    rpm, rpd = settings.rpm, settings.rpd
    if definition is not None and definition.limits is not None:
        rpm = definition.limits.minute if rpm is None else rpm
        rpd = definition.limits.day if rpd is None else rpd
    return limits_of(settings.plan, rpm=rpm, rpd=rpd, day=settings.quota_day)


def _is_of(fact: Any, way: str) -> bool:
    """Whether `fact` is one of the pages of a list that is asked for in this way."""
    return isinstance(fact, dict) and fact.get("way") == way and {"least", "room"} <= fact.keys()


def _name(base: str, workspace: str) -> str:
    return hashlib.sha256(f"{base}\0{workspace}".encode()).hexdigest()[:16] + ".json"
