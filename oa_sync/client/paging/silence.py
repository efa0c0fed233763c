"""Answers that leave out all fields that tell how their list goes on."""

from __future__ import annotations

from oa_sync.client.paging.listing import Answer
from oa_sync.definitions.model import Paginator
from oa_sync.definitions.paths import MISSING, parse_path, select

_PATHS = ("has_more_path", "total_path", "total_rows_path", "cursor_path", "next_url_path")
_LEFT_OUT_AT_THE_END = frozenset(
    {
        *("@odata.nextlink", "odata.nextlink", "@nextlink", "nextlink"),
        *("nextpagetoken", "next_page_token", "nexttoken", "next_token"),
    }
)


def paging_paths(paginator: Paginator) -> dict[str, str]:
    """The paths at which `paginator` looks for what tells of the end, by the name of its word."""
    values = {name: getattr(paginator, name, None) for name in _PATHS}
    return {name: path for name, path in values.items() if isinstance(path, str)}


def may_be_left_out(path: str) -> bool:
    """Whether the last page leaves this field out by the rules of its kind."""
    keys = parse_path(path)
    return keys[-1].lower() in _LEFT_OUT_AT_THE_END or ("next" in keys[-2:] and "links" in keys[0])


def is_silent(answer: Answer, paginator: Paginator) -> bool:
    """Whether `answer` has none of the fields that `paginator` looks at, and one of them should be there."""
    paths = list(paging_paths(paginator).values())
    return any(not may_be_left_out(path) for path in paths) and all(
        select(answer.document, path) is MISSING for path in paths
    )
