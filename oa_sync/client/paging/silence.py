"""The fields that tell how a list goes on: where a paginator looks for them, and answers that leave them out."""

from __future__ import annotations

import yaml

from oa_sync.client.paging.listing import Answer
from oa_sync.definitions.model import OffsetPaginator, PageNumberPaginator, Paginator
from oa_sync.definitions.paths import MISSING, parse_path, select

_PATHS = ("has_more_path", "total_path", "total_rows_path", "cursor_path", "next_url_path")
_TOTALS = ("total_path", "total_rows_path")
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


def without_total(paginator: Paginator) -> str:
    """`paginator` in the words of a definition, so that no total is believed."""
    words = paginator.model_dump(exclude_unset=True)
    words = {"type": paginator.type} | {
        key: value for key, value in words.items() if key not in ("type", *_TOTALS)
    }
    if isinstance(paginator, PageNumberPaginator | OffsetPaginator):
        words["total_path"] = None
    return str(yaml.safe_dump(words, default_flow_style=True, sort_keys=False, width=1000)).strip()


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
