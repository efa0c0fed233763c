"""The ways in which lists are paged: what a definition says of each, and what the server does."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Query = Mapping[str, str]
Said = dict[str, Any]


@dataclass(frozen=True)
class Cut:
    """A page of a list: the rows `start` to `stop` of those that stand at `positions`, which only grow."""

    start: int
    size: int
    positions: Sequence[int]
    url: str
    """Of the list, without a query."""

    @property
    def stop(self) -> int:
        """The row behind the page."""
        return self.start + self.size

    @property
    def more(self) -> bool:
        """Whether rows follow."""
        return self.stop < len(self.positions)

    @property
    def number(self) -> int:
        """Of the page, from 0 on."""
        return self.start // self.size

    @property
    def pages(self) -> int:
        """How many there are."""
        return -(-len(self.positions) // self.size)

    @property
    def link(self) -> str | None:
        """The URL of the next page."""
        return f"{self.url}?from={self.stop}" if self.more else None


@dataclass(frozen=True)
class Way:
    """`declared` takes the size that is asked for and the path of the total; `start` takes what was asked and
    where the rows stand; `told` is what the answer says beside the rows."""

    declared: Callable[[int, str | None], Said]
    start: Callable[[Query, int, Sequence[int]], int] = lambda query, size, positions: 0
    told: Callable[[Cut], Said] = lambda cut: {}
    headers: Callable[[Cut], dict[str, str]] = lambda cut: {}


def _numbered(first: int) -> Callable[[Query, int, Sequence[int]], int]:
    return lambda query, size, positions: (int(query.get("page", first)) - first) * size


def _from(query: Query, size: int, positions: Sequence[int]) -> int:
    return int(query.get("from", 0))


def _after_row(query: Query, size: int, positions: Sequence[int]) -> int:
    """A cursor that names the last row, whatever came or went above it."""
    return bisect_right(positions, int(query["after"].removeprefix("r"))) if "after" in query else 0


def _header(cut: Cut) -> dict[str, str]:
    return {"link": f'<{cut.link}>; rel="next"'} if cut.link else {}


def _counted(size: int, total: str | None) -> Said:
    return {
        "type": "page_number",
        "base_page": 1,
        "size_param": "size",
        "size": size,
        "total_path": None,
        "total_rows_path": total,
    }


def _by_cursor(size: int, total: str | None) -> Said:
    return {
        "type": "cursor",
        "cursor_path": "next",
        "cursor_param": "after",
        "size_param": "size",
        "size": size,
        "total_path": total,
    }


def _auto(size: int, total: str | None) -> Said:
    return {"type": "auto"}


WAYS: dict[str, Way] = {
    "page": Way(_counted, _numbered(1)),
    "offset": Way(
        lambda size, total: {"type": "offset", "limit": size, "total_path": total},
        lambda query, size, positions: int(query.get("offset", 0)),
    ),
    # An offset in disguise.
    "cursor": Way(
        _by_cursor,
        lambda query, size, positions: int(query.get("after", "c0").removeprefix("c")),
        lambda cut: {"next": f"c{cut.stop}" if cut.more else None},
    ),
    "next_link": Way(
        lambda size, total: {"type": "json_link", "next_url_path": "next"},
        _from,
        lambda cut: {"next": cut.link},
    ),
    "header_link": Way(lambda size, total: {"type": "header_link"}, _from, headers=_header),
    "single": Way(lambda size, total: {"type": "single_page"}),
    "page from 0": Way(
        lambda size, total: {
            **_counted(size, total),
            "base_page": 0,
            "total_path": None if total else "pages",
        },
        _numbered(0),
        lambda cut: {"pages": cut.pages},
    ),
    "page, has more": Way(
        lambda size, total: {**_counted(size, total), "has_more_path": "more"},
        _numbered(1),
        lambda cut: {"more": cut.more},
    ),
    "cursor of a row": Way(
        _by_cursor,
        _after_row,
        lambda cut: {"next": f"r{cut.positions[cut.stop - 1]}" if cut.more else None},
    ),
    "auto: page": Way(
        _auto,
        _numbered(1),
        lambda cut: {"page": cut.number + 1, "total_pages": cut.pages},
    ),
    "auto: cursor": Way(
        _auto,
        lambda query, size, positions: int(query.get("cursor", "c0").removeprefix("c")),
        lambda cut: {"next_cursor": f"c{cut.stop}" if cut.more else None},
    ),
    "auto: next_link": Way(_auto, _from, lambda cut: {"links": {"next": cut.link}}),
    "auto: header_link": Way(_auto, _from, headers=_header),
    "auto: single": Way(_auto),
}

FIRST = ("page", "offset", "cursor", "next_link", "header_link", "single")
"""In the order in which the first seeds drew them."""

WHOLE = ("single", "auto: single")
"""One page holds the list."""

OTHERS = tuple(name for name in WAYS if name not in FIRST)
