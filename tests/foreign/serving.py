"""The server of a drawn API: true answers in the form that its plan says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from oa_sync.definitions.paths import spelled
from tests.foreign.plan import Api, ListPlan, Paging
from tests.foreign.rows import Source, shown

Told = tuple[int, Mapping[str, str], bytes]
Query = dict[str, str]


@dataclass
class Foreign:
    """`lists` and `details` count the requests since they were cleared: by list, and by list and mark."""

    api: Api
    source: Source
    origin: str = ""
    lists: Counter[str] = field(default_factory=Counter)
    details: Counter[tuple[str, str]] = field(default_factory=Counter)
    _answers: int = 0
    _first_totals: dict[str, int] = field(default_factory=dict)

    def answer(self, target: str) -> Told:
        """What is answered to a path with its query."""
        self._answers += 1
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        parts = [unquote(part) for part in url.path.removeprefix(self.api.base_path).split("/")[1:]]
        for plan in self.api.lists:
            if parts[0] == f"{plan.name}-one":
                return self._one(plan, parts[1:])
            inner = plan.parent is not None and plan.parent_in_path
            if parts == [plan.name] and not inner:
                return self._list(plan, query.get("of"), url.path, query)
            if inner and len(parts) == 3 and (parts[0], parts[2]) == (plan.parent, plan.name):
                return self._list(plan, parts[1], url.path, query)
        return _NONE

    def _one(self, plan: ListPlan, key: Sequence[str]) -> Told:
        for record in self.source.rows[plan.name].values():
            if [spelled(part) for part in record.key] == list(key):
                self.details[plan.name, record.mark] += 1
                row = shown(plan, record, in_detail=True)
                return self._told(_enveloped(plan, _with_own_key(plan, row)))
        self.details[plan.name, f"gone {key}"] += 1
        return _NONE

    def _list(self, plan: ListPlan, of: str | None, path: str, query: Query) -> Told:
        self.lists[plan.name] += 1
        if not plan.is_there:
            return _NONE
        records = self.source.listed(plan)
        if plan.parent is not None:
            parents = self.source.rows[plan.parent].values()
            number = next((row.number for row in parents if spelled(row.key[0]) == of), None)
            if number is None:
                return _NONE
            records = self.source.listed(plan, number)
        total = self._first_totals.setdefault(f"{plan.name} {of}", len(records))
        if plan.paging.form in ("absolute", "plain"):
            path = self.origin + path
        page = Page(plan.paging, len(records), query, path, total)
        if page.is_beyond and plan.paging.beyond == "404":
            return _NONE
        rows = [shown(plan, row, in_detail=False) for row in records[page.start : page.stop]]
        document: Any = rows
        if plan.rows_path:
            document = _inside(plan.rows_path, rows)
            _merge(document, _inside(plan.paging.place, page.told()))
        if plan.noise:
            document["took"] = self._answers
            document.setdefault("meta", {})["generated"] = f"answer {self._answers}"
        return self._told(document, page.headers())

    def _told(self, document: Any, headers: Mapping[str, str] | None = None) -> Told:
        text = json.dumps(document).replace('"odd": "twice"', '"odd": 1, "odd": "twice"')
        return 200, headers or {}, text.encode()


_NONE: Told = (404, {}, b'{"error": {"code": "not_found", "message": "there is none"}}')


def _with_own_key(plan: ListPlan, row: dict[str, Any]) -> dict[str, Any]:
    """The object of a detail, with what it has for its key."""
    for name, *inside in plan.key_paths:
        if plan.detail_key == "absent":
            del row[name]
        elif plan.detail_key == "other":
            row[name] = _inside(inside, "own")
    return row


def _enveloped(plan: ListPlan, row: dict[str, Any]) -> Any:
    if plan.detail == "selected":
        return {"result": {"item": row, "took": 3}}
    return {"data": row} if plan.detail == "data" or plan.is_jsonapi else row


def _inside(path: Sequence[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _merge(document: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            _merge(document[key], value)
        else:
            document[key] = value


@dataclass
class Page:
    """One page of a list of `count` rows, as it was asked for."""

    paging: Paging
    count: int
    query: Query
    path: str
    first_count: int
    """Rows when the list was read for the first time."""

    def __post_init__(self) -> None:
        paging, query = self.paging, self.query
        asked = query.get("size") or query.get("limit")
        self.size = paging.size
        if asked and not paging.ignores_size:
            self.size = min(paging.size, int(asked))
        names = paging.form.split(",")
        starts: dict[str, Callable[[], int]] = {
            "page": lambda: self._by_number("page" if paging.is_auto else paging.form),
            "offset": lambda: int(query.get("offset", 0)),
            "cursor": lambda: self._token(query.get(names[1] if paging.is_auto else "after")),
        }
        self.start = starts.get(paging.way, lambda: int(query.get("from", 0)))()
        if paging.form == "X-Next-Page":
            self.start = (int(query.get("page", 1)) - 1) * self.size
        self.is_beyond = self.start > 0 and self.start >= self.count and not paging.dangles
        if self.is_beyond and paging.beyond == "same":
            self.start = max(0, -(-self.count // self.size) - 1) * self.size
        self.stop = self.start + self.size

    def _by_number(self, name: str) -> int:
        return (int(self.query.get(name, self.paging.base)) - self.paging.base) * self.size

    def _token(self, token: str | None) -> int:
        return int(token.removeprefix("c")) if token else 0

    @property
    def more(self) -> bool:
        """Whether the answer says that a page follows."""
        if self.paging.dangles and self.stop == self.count and self.start < self.count:
            return True
        return self.stop < self.count

    @property
    def next_url(self) -> str:
        """Of the page that follows."""
        kept = {k: v for k, v in self.query.items() if k != "from"}
        tail = f"?{urlencode({**kept, 'from': self.stop})}"
        return tail if self.paging.form == "query" else self.path + tail

    def _total(self) -> Any:
        pages = -(-self.count // self.size)
        true = pages if self.paging.counts_pages else self.count
        match self.paging.total:
            case "text":
                return str(true)
            case "high":
                return true + (1 if self.paging.counts_pages else 3)
            case "low":
                return min(true, self.paging.page_size + 1)
            case "zero":
                return 0
            case "stale":
                first = -(-self.first_count // self.size)
                return first if self.paging.counts_pages else self.first_count
        return true

    def _or_end(self, value: Any, name: str) -> dict[str, Any]:
        """`value` where a page follows, else what stands for none."""
        if self.more:
            return {name: value}
        ends = {"null": None, "empty": "", "false": False}
        return {} if self.paging.end == "absent" else {name: ends[self.paging.end]}

    def told(self) -> dict[str, Any]:
        """The fields of paging in the body."""
        paging = self.paging
        if paging.is_auto:
            return self._told_for_auto()
        fields: dict[str, Any] = {"total": self._total()} if paging.total != "none" else {}
        if paging.has_more:
            fields["more"] = self.more
        match paging.way:
            case "cursor":
                text = f"c{self.stop}" if paging.form == "text" else self.stop
                fields |= self._or_end(text, "next")
            case "json_link" if paging.form == "list":
                links = [{"rel": "self", "href": self.path}]
                links += [{"rel": "next", "href": self.next_url}] if self.more else []
                fields["links"] = links
            case "json_link":
                fields |= self._or_end(self.next_url, "next")
        return fields

    def _told_for_auto(self) -> dict[str, Any]:
        names = self.paging.form.split(",")
        match self.paging.way:
            case "page":
                total = self.count if names[1] == "total" else -(-self.count // self.size)
                return {names[0]: self.start // self.size + self.paging.base, names[1]: total}
            case "cursor":
                return self._or_end(f"c{self.stop}", names[0])
            case "json_link" if self.paging.form == "links.next":
                return {"links": self._or_end(self.next_url, "next")}
            case "json_link":
                return self._or_end(self.next_url, self.paging.form)
        match self.paging.form:
            case "offset":
                return {"offset": self.start, "limit": self.size, "total": self.count}
            case "next offset":
                return self._or_end(self.stop, "nextOffset")
            case "more":
                return {"more": self.more}
        return {}

    def headers(self) -> dict[str, str]:
        """The headers that tell of paging."""
        url = self.next_url
        match self.paging.way, self.paging.form:
            case "header_link", _:
                forms = {
                    "plain": f'<{url}>; rel="next"',
                    "no quotes": f"<{url}>; rel=next",
                    "prev first": f'<{self.path}>; rel="prev", <{url}>; rel="next"',
                    "two relations": f'<{url}>; title="a, b; c"; rel="next last"',
                    "odd case": f'<{url}>; REL="Next"',
                }
                return {"Link": forms.get(self.paging.form, forms["plain"])} if self.more else {}
            case _, "X-Next-Page":
                return {"X-Next-Page": str(self.stop // self.size + 1) if self.more else ""}
            case "next_header", _:
                return {"Next-Page": url} if self.more else {}
            case "unknown", "X-Next-Cursor":
                return {"X-Next-Cursor": f"c{self.stop}"} if self.more else {}
            case "unknown", "X-Total-Count":
                return {"X-Total-Count": str(self.count)}
            case "unknown", "Content-Range":
                last = max(self.start, min(self.stop, self.count) - 1)
                return {"Content-Range": f"items {self.start}-{last}/{self.count}"}
        return {}
