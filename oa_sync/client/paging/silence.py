"""The fields that tell how a list goes on: where a paginator looks for them, and answers that leave them out.

In the middle of a list, an answer may once leave them out, or say that nothing is there: a replica that restarts, a
cache, a gateway. So a later page that ends the list is asked for once more where it, or a page before, says something
else (`LaterPages`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import yaml

from oa_sync.client.paging.doubts import flags_more
from oa_sync.client.paging.envelope import is_row_count, scalars
from oa_sync.client.paging.listing import Answer, NoSuchPageError
from oa_sync.definitions.model import OffsetPaginator, PageNumberPaginator, Paginator
from oa_sync.definitions.paths import MISSING, parse_path, select
from oa_sync.errors import IncompleteListError

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


class LaterPages:
    """The pages of one reading, held against those before. `goes_on`: whether an answer leads to another page;
    `ends_missing`: whether the list may end with a page that is not there; `seen`: rows before the first page."""

    def __init__(
        self,
        paginator: Paginator,
        goes_on: Callable[[Answer], bool],
        seen: int,
        *,
        ends_missing: bool = False,
    ) -> None:
        self._paginator, self._goes_on, self._seen = paginator, goes_on, seen
        self._ends_missing = ends_missing
        self._least: int | None = None
        self._says_more = False
        self._totals: dict[tuple[str, ...], int] = {}
        """The newest total at each path; 0 for what counts the rows of its page."""

    def note(self, answer: Answer) -> None:
        """Take in a page that is believed. Call it for each, in turn."""
        rows = len(answer.rows)
        self._seen += rows
        self._least = rows if self._least is None else min(self._least, rows)
        self._says_more = _flags_more(answer, self._paginator)
        self._totals |= {path: n if n > rows else 0 for path, n in _row_counts(answer).items()}

    async def settled(
        self, page: Awaitable[Answer], again: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """The next page. It is asked for once more, by `again`, where it ends the list against what else is said, or
        by not being there.

        Raises:
            NoSuchPageError: it is not there; where that ends the list, twice.
            IncompleteListError: it is empty twice, though a total said that there are more rows.
        """
        try:
            answer = await page
        except NoSuchPageError:
            if not self._ends_missing:
                raise
            return await again()
        if self._is_doubtful(answer):
            answer = await again()
            if self._is_contradicted(answer):
                raise IncompleteListError(
                    f"{answer.what}: there is nothing, though {self._seen:,} rows came and there are"
                    f" {max(self._totals.values()):,} by the total of a page before. Run again; if it stays so, tell"
                    " the vendor"
                )
        return answer

    def _is_doubtful(self, answer: Answer) -> bool:
        rows = len(answer.rows)
        if self._goes_on(answer):
            return False
        silent = is_silent(answer, self._paginator)
        if self._is_short_of_total(rows):
            return silent or not rows
        if not rows:
            return not answer.has_list or self._says_more or self._is_new_zero(answer)
        is_full = self._least is not None and rows >= self._least
        return silent and is_full and self._seen + rows not in self._totals.values()

    def _is_short_of_total(self, rows: int) -> bool:
        """Whether a total says that there are more than these `rows` and those before."""
        return any(total > self._seen + rows for total in self._totals.values())

    def _is_new_zero(self, answer: Answer) -> bool:
        """Whether a total of 0 stands where earlier pages told none."""
        return any(not n and path not in self._totals for path, n in _row_counts(answer).items())

    def _is_contradicted(self, answer: Answer) -> bool:
        """Whether the answer says that the list is empty, and a total that it is not. What counted the rows of
        earlier pages is 0 on any empty one."""
        zeros = (path for path, n in _row_counts(answer).items() if not n)
        says_so = not answer.has_list or any(self._totals.get(path) != 0 for path in zeros)
        return not answer.rows and says_so and self._is_short_of_total(0)


def _row_counts(answer: Answer) -> dict[tuple[str, ...], int]:
    """What the envelope counts by the names of totals."""
    values = scalars(answer.document, answer.rows_path)
    return {k: v for k, v in values if is_row_count(k[-1]) and type(v) is int}


def _flags_more(answer: Answer, paginator: Paginator) -> bool:
    """Whether a flag says that another page follows."""
    named = flags_more(answer.document, answer.rows_path)
    return named or answer.flag(getattr(paginator, "has_more_path", None)) is True
