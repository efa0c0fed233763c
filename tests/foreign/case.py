"""One case: an API, its definition, three syncs, and what was wrong after each."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from oa_sync.commands.sync import sync
from oa_sync.workspace.report import SyncReport
from tests.destinations.places import Place
from tests.foreign.oracle import deleted_in_error, differences
from tests.foreign.plan import Api, ListPlan, drawn
from tests.foreign.rows import Source
from tests.foreign.serving import Foreign
from tests.foreign.written import definition
from tests.support.clock import ManualClock
from tests.support.raw_api import answering

NIGHTS = ("first", "unchanged", "edited")
_DAY = 86_400
_NEXT_STEP = re.compile(
    r"\b(set|correct|declare|run|check|tell|have|give|look|put|take|next sync|mend)\b",
    re.IGNORECASE,
)


@dataclass
class Case:
    """What came of it. `alarms`: what must never be; `causes`: a word for each night, why it ended as it did."""

    api: Api
    written: dict[str, Any]
    alarms: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def is_healthy(self) -> bool:
        """Whether nothing here is a reason to fail."""
        return not any(doubts(plan) for plan in self.api.lists) and self.api.loss == "few"

    @property
    def completed(self) -> bool:
        """Whether each sync was complete."""
        return all(cause == "complete" for cause in self.causes)

    def __str__(self) -> str:
        text = yaml.safe_dump(self.written, sort_keys=False, allow_unicode=True)
        return "\n".join([str(self.api), text, *self.said, *self.alarms[:12]])


def doubts(plan: ListPlan) -> dict[str, frozenset[str]]:
    """Why syncs of a list may rightly fail, each with the codes of such failures."""
    paging, found = plan.paging, dict[str, frozenset[str]]()
    if paging.total in ("high", "stale"):
        found[f"total {paging.total}"] = frozenset(
            {"incomplete", "invalid_response", "mass_deletion"}
        )
    if plan.odd == "null key":
        found["a row without a key"] = frozenset({"set_aside", "mass_deletion", "invalid_response"})
    if paging.way == "unknown":
        found["auto cannot know"] = frozenset({"incomplete", "invalid_response"})
    is_short = plan.parent is not None or plan.rows <= paging.page_size + 4
    if paging.way in ("cursor", "json_link") and paging.end == "absent" and is_short:
        found["its silence proves no end"] = frozenset({"incomplete"})  # docs/scans.md
    ends_itself = paging.total not in ("none", "zero") or paging.has_more
    if paging.way in ("page", "offset") and paging.beyond == "same" and not ends_itself:
        found["the only page again"] = frozenset({"invalid_response"})
    return found


def play(seed: int, place: Place, api: Api | None = None) -> Case:
    """Draw the API of `seed` (or take `api`) and sync it three times into `place`."""
    api = api or drawn(seed)
    clock = ManualClock()
    source = Source(api, random.Random(f"rows {seed}"))
    source.fill(clock.now())
    server = Foreign(api, source)
    with answering(server.answer, clock.now) as server.origin:
        case = Case(api, definition(api, server.origin))
        file = place.folder / "foreign.yaml"
        file.write_text(json.dumps(case.written))
        settings = place.settings(server.origin, source=str(file), api_key=None)
        before = Counter[str]()
        for night in NIGHTS:
            if night == "edited":
                source.forget()
                source.edit(clock.now())
                clock.advance(3_600)
            server.lists.clear()
            server.details.clear()
            report = sync(settings, clock=clock)
            _look(case, night, report, server, place)
            if night == "unchanged" and case.completed and server.lists - before:
                case.alarms.append(f"unchanged: more list requests: {server.lists}, {before}")
            before = Counter(server.lists)
            clock.advance(_DAY)
            if report.error is not None and report.error.code == "mass_deletion":
                report = sync(settings, clock=clock, allow_mass_delete=True)
                _look(case, "let go", report, server, place)
                if report.status != "complete" and not any(map(doubts, api.lists)):
                    case.alarms.append("what was kept is not let go")
    return case


def _look(case: Case, night: str, report: SyncReport, server: Foreign, place: Place) -> None:
    """Compare, and note why the sync ended as it did."""
    api, source = case.api, server.source
    error = report.error
    case.said.append(
        f"{night}: {report.status}, lists {dict(server.lists)}, {server.details.total()} details"
        + (f": {error.code}: {error}" if error else "")
    )
    found = [f"{night}: {what}" for what in _wrong(api, source, report, place)]
    if night != "let go":
        found += [f"{night}: {what}" for what in _wasted(case, night, report, server)]
    case.alarms += found
    if night != "let go":
        case.causes.append(_cause(case, night, report))


def _wrong(api: Api, source: Source, report: SyncReport, place: Place) -> Iterator[str]:
    if report.status == "complete":
        yield from differences(api, source, place)
        return
    yield from deleted_in_error(api, source, place)
    error = report.error
    if report.status == "partial" or error is None:
        yield f"{report.status} without a reason"
        return
    if error.code in ("failed", "unexpected", "api"):
        yield f"a failure that nobody thought of: {error}"
    if not _NEXT_STEP.search(str(error)):
        yield f"a failure without a next step: {error}"
    if error.code == "set_aside":
        yield from differences(api, source, place, may_have_more=True)


def _wasted(case: Case, night: str, report: SyncReport, server: Foreign) -> Iterator[str]:
    """Details of rows that did not change. Where a list is in doubt, some are asked for."""
    settled = all(cause == "complete" for cause in case.causes) and night != "first"
    if not settled or case.api.loss != "few":
        return
    for plan in case.api.lists:
        rows = server.source.rows[plan.name]
        untouched = rows.keys() - server.source.touched[plan.name]
        if night == "unchanged":
            untouched = rows.keys()
        asked = [mark for name, mark in server.details if name == plan.name and mark in untouched]
        if asked:
            yield f"{plan.name}: {len(asked)} details for nothing"


def _cause(case: Case, night: str, report: SyncReport) -> str:
    if report.status == "complete":
        return "complete"
    assert report.error is not None
    code = report.error.code
    if code == "mass_deletion" and night == "edited" and case.api.loss != "few":
        return "many went"
    for plan in case.api.lists:
        for reason, codes in doubts(plan).items():
            if code in codes:
                return reason
    return f"healthy, {night}: {code}"
