"""APIs drawn from a seed: how each list is served, and so what a right definition says of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

WAYS = (
    *("page", "page", "offset", "cursor", "cursor", "json_link", "header_link", "next_header"),
    "single",
)
AUTO_WAYS = ("page", "cursor", "json_link", "header_link", "next_header", "single", "unknown")
KEYS = (
    *("int", "int", "text", "text", "uuid", "float", "huge", "date", "instant", "pair", "dotted"),
    *("odd name", "odd text", "case", "digits", "mixed", "bool", "none"),
)
IN_A_PATH = frozenset({"int", "text", "uuid", "huge", "dotted", "odd text", "digits", "float"})
"""Keys of rows by which another list may be asked for."""
VERSIONS = ("iso", "iso", "iso", "offset", "date", "epoch", "epoch ms", "sequence", None)
ENVELOPES = (
    *("", "data", "items", "results", "value", "data", "widgets", "a.b.c", "_embedded.things"),
    "JSON:API",
)
USUAL = frozenset({"", "data", "items", "results", "value", "widgets"})
"""Envelopes that are found without a `data_selector`."""
ODD = ("surrogate", "NaN", "huge", "deep", "null key", "control", "mixed types", "twice")
LINKS = ("absolute", "relative", "query", "list")
HEADERS = ("plain", "no quotes", "prev first", "two relations", "odd case")
UNKNOWN = ("offset", "next offset", "X-Next-Cursor", "X-Total-Count", "Content-Range", "more")
AUTO_NAMES = {
    "page": ("page,total_pages", "current_page,last_page", "page,total"),
    "cursor": ("next_cursor,cursor", "nextPageToken,pageToken", "next_page_token,page_token"),
    "json_link": ("next", "next_url", "links.next", "@odata.nextLink"),
    "header_link": HEADERS,
    "next_header": ("Next-Page", "X-Next-Page"),
    "single": ("",),
    "unknown": UNKNOWN,
}


@dataclass(frozen=True)
class Paging:
    """How a list is cut into pages. `size`: rows of a page where nothing is asked for, and the most."""

    way: str
    is_auto: bool
    size: int
    asked: int | None
    ignores_size: bool
    base: int
    total: str
    counts_pages: bool
    has_more: bool
    end: str
    """What stands for the next page on the last one: null, absent, empty, false."""
    beyond: str
    """What a page behind the last one is: empty, same (the last one again), 404."""
    place: tuple[str, ...]
    form: str
    dangles: bool
    """A last page that is full points to an empty one."""

    @property
    def page_size(self) -> int:
        """Rows of a full page by this definition."""
        return self.size if self.ignores_size or not self.asked else min(self.size, self.asked)

    def __str__(self) -> str:
        if self.way == "single":
            return "auto: single" if self.is_auto else "single"
        asked = "" if self.asked is None else f", {self.asked} asked"
        asked += " (ignored)" if self.ignores_size else ""
        parts = [
            f"{'auto: ' if self.is_auto else ''}{self.way} ({self.form}) of {self.size}{asked}"
        ]
        parts += [f"from {self.base}"] if self.way == "page" else []
        parts += [f"total {self.total}{' (pages)' if self.counts_pages else ''}"]
        parts += ["has_more"] if self.has_more else []
        parts += [f"end {self.end}", f"beyond {self.beyond}", f"in {'.'.join(self.place) or 'top'}"]
        parts += ["dangling"] if self.dangles else []
        return ", ".join(parts)


@dataclass(frozen=True)
class ListPlan:
    """One list of the API."""

    name: str
    rows: int
    paging: Paging
    key: str
    envelope: str
    declares_envelope: bool
    version: str | None
    version_path: tuple[str, ...]
    order: str
    detail: str | None
    """Where the object stands in the answer to a request for one row: bare, data, selected."""
    detail_key: str
    """What the detail has for the key: the same, other (of its own), absent."""
    shows_little: bool
    """The list shows little more than the key; the rest has the detail."""
    cuts_objects: bool
    """The list shows a part of the objects in a row; the rest has the detail."""
    depth: int
    """How deep lists are nested in a row."""
    children_in: str
    """Where these lists are: list (and detail), or detail alone."""
    names_parent_key: bool
    parent: str | None
    parent_in_path: bool
    odd: str | None
    history: bool
    optional: bool
    is_there: bool
    method: str
    noise: bool
    """Something in the envelope is another in every answer."""

    @property
    def is_jsonapi(self) -> bool:
        return self.envelope == "JSON:API"

    @property
    def inside(self) -> tuple[str, ...]:
        """Where the fields of a row stand in it."""
        return ("attributes",) if self.is_jsonapi else ()

    @property
    def rows_path(self) -> tuple[str, ...]:
        """Where the rows stand in an answer."""
        if self.is_jsonapi:
            return ("data",)
        return tuple(self.envelope.split(".")) if self.envelope else ()

    @property
    def key_paths(self) -> tuple[tuple[str, ...], ...]:
        """Where the parts of the key stand in a row."""
        match self.key:
            case "none":
                return ()
            case "pair":
                return (("shop",), ("id",))
            case "dotted":
                return (("ref", "id"),)
            case "odd name":
                return (("@key.id",),)
        return (("id",),)

    @property
    def version_at(self) -> tuple[str, ...] | None:
        """Where a row tells its version."""
        return None if self.version is None else (*self.inside, *self.version_path)

    def __str__(self) -> str:
        where = self.envelope or "a bare list"
        found_out = "" if self.declares_envelope else " (found out)"
        kinds = [
            f"{self.rows} rows, key {self.key}, in {where}{found_out}",
            f"version {self.version}, {self.order}",
        ]
        if self.detail:
            little = ", little in the list" * self.shows_little
            less = ", less in objects" * self.cuts_objects
            kinds.append(f"detail {self.detail}, key {self.detail_key}{little}{less}")
        if self.depth:
            kinds.append(f"children {self.depth} deep in the {self.children_in}")
        kinds += [f"of each {self.parent}"] if self.parent else []
        kinds += [f"odd: {self.odd}"] if self.odd else []
        kinds += [
            word
            for word, is_so in (
                ("history", self.history),
                ("optional", self.optional),
                ("not there", not self.is_there),
                (self.method, self.method != "GET"),
                ("noise", self.noise),
            )
            if is_so
        ]
        return f"{self.name}: {'; '.join(kinds)}; {self.paging}"


@dataclass(frozen=True)
class Api:
    """What a seed draws. `loss`: how much is deleted before the third sync: few, many, all."""

    seed: int
    lists: tuple[ListPlan, ...]
    loss: str
    base_path: str
    destination: str

    def __str__(self) -> str:
        head = f"seed {self.seed}: {self.destination}, below {self.base_path!r}, {self.loss} go"
        return "\n".join([head, *(f"  {plan}" for plan in self.lists)])


# -- drawing ------------------------------------------------------------------------------------


def drawn(seed: int) -> Api:
    """The API of a seed: always the same."""
    chance = random.Random(f"foreign {seed}")
    lists = [_list("things", None, chance)]
    first = lists[0]
    if first.key in IN_A_PATH and chance.random() < 0.3:
        lists.append(_list("notes", first, chance))
    elif chance.random() < 0.2:
        lists.append(_list("user_groups", None, chance))
    if chance.random() < 0.1:
        extra = replace(_list("extras", None, chance), optional=True, is_there=False)
        lists.append(extra)
    return Api(
        seed,
        tuple(lists),
        loss=chance.choices(("few", "many", "all"), (12, 2, 1))[0],
        base_path=chance.choice(("", "/v1", "/api/v2")),
        destination=chance.choices(("duckdb", "parquet"), (5, 1))[0],
    )


def _list(name: str, parent: ListPlan | None, chance: random.Random) -> ListPlan:
    key = chance.choice(KEYS)
    envelope = chance.choice(ENVELOPES)
    if envelope == "JSON:API" and key not in ("int", "text", "uuid", "odd text", "case"):
        key = "text"
    paging = _paging(chance, envelope)
    rows = _rows(chance, paging)
    if key == "bool":
        rows = min(rows, 2)
    if parent is not None:
        rows = min(rows, 14)
    has_detail = key not in ("none", "bool") and chance.random() < 0.55
    depth = chance.choice((0, 0, 1, 1, 2)) if key != "none" else 0
    in_detail = has_detail and (chance.random() < 0.6 or envelope == "JSON:API")
    return ListPlan(
        name=name,
        rows=rows,
        paging=paging,
        key=key,
        envelope=envelope,
        declares_envelope=envelope not in USUAL or chance.random() < 0.6,
        version=chance.choice(VERSIONS),
        version_path=chance.choice((("changed",), ("updated_at",), ("meta", "changed"))),
        order=chance.choice(("stored", "newest", "oldest", "shuffled")),
        detail=chance.choice(("bare", "data", "selected")) if has_detail else None,
        detail_key=chance.choices(("same", "other", "absent"), (6, 1, 1))[0],
        shows_little=has_detail and chance.random() < 0.4,
        cuts_objects=has_detail and chance.random() < 0.4,
        depth=depth,
        children_in="detail" if in_detail else "list",
        names_parent_key=chance.random() < 0.6,
        parent=parent.name if parent else None,
        parent_in_path=parent is not None and chance.random() < 0.7,
        odd=chance.choice(ODD) if chance.random() < 0.3 and key != "none" else None,
        history=key != "none" and chance.random() < 0.15,
        optional=chance.random() < 0.08,
        is_there=True,
        method="POST" if chance.random() < 0.06 else "GET",
        noise=envelope != "" and chance.random() < 0.3,
    )


def _rows(chance: random.Random, paging: Paging) -> int:
    size = min(paging.page_size, 12)
    return chance.choice(
        (0, 1, size, 2 * size, chance.randrange(45), chance.randrange(45), 3 * size + 1)
    )


def _paging(chance: random.Random, envelope: str) -> Paging:
    is_auto = chance.random() < 0.3
    way = chance.choice(AUTO_WAYS if is_auto else WAYS)
    form = chance.choice(AUTO_NAMES[way]) if is_auto else _form(way, chance)
    if not envelope and way in ("cursor", "json_link") + (("page",) if is_auto else ()):
        way, form = "header_link", chance.choice(HEADERS)  # a bare list has no place for more
    if not envelope and form in ("offset", "next offset", "more"):
        form = "X-Total-Count"
    if form == "@odata.nextLink":
        place: tuple[str, ...] = ()
    elif is_auto:
        place = chance.choice(((), ("meta",), ("pagination",)))
    else:
        place = chance.choice(((), ("meta",), ("pagination",), ("response", "paging")))
    has_size = not is_auto and way in ("page", "offset", "cursor")
    asked = chance.choice((None, 3, 10, 100)) if has_size else None
    if way == "offset":
        asked = asked or 10
    total = "none"
    if way in ("page", "offset", "cursor") and envelope and chance.random() < 0.65:
        total = chance.choices(
            ("true", "text", "low", "high", "zero", "stale"), (12, 2, 1, 1, 1, 1)
        )[0]
    if is_auto:
        total = "true" if way == "page" else "none"
    counts_pages = way == "page" and not is_auto and chance.random() < 0.3
    if counts_pages and total in ("low", "stale"):
        total = "true"  # a number of pages that is too low ends a list (docs/scans.md)
    has_more = bool(envelope) and way in ("page", "offset", "cursor") and not is_auto
    return Paging(
        way=way,
        is_auto=is_auto,
        size=1_000 if way == "single" else chance.choice((2, 3, 5, 7, 10)),
        asked=asked,
        ignores_size=asked is not None and chance.random() < 0.2,
        base=chance.choice((0, 1)),
        total=total,
        counts_pages=counts_pages,
        has_more=has_more and chance.random() < 0.3,
        end=chance.choice(("null", "null", "absent", "empty", "false")),
        beyond=chance.choice(("empty", "empty", "same", "404")),
        place=place,
        form=form,
        dangles=way in ("cursor", "json_link", "header_link") and chance.random() < 0.2,
    )


def _form(way: str, chance: random.Random) -> str:
    match way:
        case "page":
            return chance.choice(("page", "p", "pageNumber"))
        case "cursor":
            return chance.choice(("text", "number"))
        case "json_link":
            return chance.choice(LINKS)
        case "header_link":
            return chance.choice(HEADERS)
    return way
