"""What a first answer must hold so that the end of its list is believed.

An absent field is no statement. A typo in a definition, a field that the server renamed, or an answer without
its paging object look like a list of one page. So where a definition names fields of paging, or earlier answers
of the list had some, and the first answer has none of them, its end is in doubt; `oa_sync.client.paging.ends`
says what settles that. Not expected are links and tokens that the last page leaves out by the rules of its kind
(OData, HAL, Google's and Amazon's APIs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oa_sync.client.paging.auto import tells_total, unused_next
from oa_sync.client.paging.ends import FullPages
from oa_sync.client.paging.envelope import is_row_count, scalars
from oa_sync.client.paging.links import header_link
from oa_sync.client.paging.listing import Answer
from oa_sync.client.paging.silence import may_be_left_out, paging_paths, without_total
from oa_sync.client.response import NO_CONTENT
from oa_sync.client.wording import printable
from oa_sync.definitions.model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    Paginator,
    SinglePagePaginator,
)
from oa_sync.definitions.paths import MISSING, format_path, select
from oa_sync.errors import IncompleteListError


@dataclass(frozen=True)
class Signs:
    """The fields of paging of one list. `before`: the paths that its first answers held earlier; `beside`: all
    plain values that stood beside the rows then (empty: not known). `remember` is called with both of this one.
    `full`: what is known of its full pages."""

    before: frozenset[str]
    beside: frozenset[str]
    remember: Callable[[list[str], list[str]], None]
    full: FullPages = field(default_factory=FullPages)

    def check(
        self, answer: Answer, paginator: Paginator, *, was_found: bool
    ) -> IncompleteListError | None:
        """Take in the first answer. `was_found`: its paginator was found out from it (`auto`). Returns the
        failure that it is if nothing else proves that the list ends with it; None: it says how the list goes on.

        Raises:
            IncompleteListError: the list goes on, or may, in another way than by `paginator`.
        """
        if answer.is_bare:
            if self.before and answer.response.status != NO_CONTENT:
                raise IncompleteListError(
                    f"{answer.what}: the answer is empty, and earlier ones of this list told how it goes on"
                    f" ({', '.join(sorted(self.before))}). Run again; if it stays so, tell the vendor"
                )
            return None
        _refuse_rows_elsewhere(answer, paginator)
        paths = paging_paths(paginator)
        before = self.before if was_found else self.before & set(paths.values())
        held = {
            path
            for path in before.union(paths.values())
            if select(answer.document, path) is not MISSING
        }
        named = {path for name, path in paths.items() if name in paginator.model_fields_set}
        wanted = {path for path in named | before if not may_be_left_out(path)}
        beside = _beside(answer)
        if wanted and not held:
            new = sorted(
                path for path, value in beside.items() if value and path not in self.beside
            )
            renamed = f"; new in it: {', '.join(new[:5])}" if new and self.beside else ""
            error = IncompleteListError(
                f"{answer.what}: the answer has none of the fields that tell how the list goes on"
                f" ({', '.join(sorted(wanted))}); {keys_of(answer)}{renamed}. {_advice(paginator)}"
            )
            if renamed:
                self.full.forget()
            if unused_next(answer, paginator) is not None:
                raise error
            return None if tells_total(answer) else error
        if isinstance(paginator, HeaderLinkPaginator | JsonLinkPaginator | CursorPaginator):
            self._check_others(answer, paginator, held)
        if held:
            self.remember(sorted(held), sorted(beside))
        return None

    def _check_others(self, answer: Answer, paginator: Paginator, held: set[str]) -> None:
        """A first page that is the last one by `paginator`, and not by another sign, proves no end."""
        if isinstance(paginator, HeaderLinkPaginator):
            goes_on = header_link(answer, paginator.links_next_key, paginator.header) is not None
        else:
            goes_on = any(select(answer.document, path, None) for path in held)
        if goes_on:
            return
        if (other := unused_next(answer, paginator)) is not None:
            raise IncompleteListError(
                f"{answer.what}: by its paginator {paginator.type} the list has one page, but {other}. Correct"
                " the paginator in the definition, or set single_page if this is the whole list"
            )


def _beside(answer: Answer) -> dict[str, object]:
    """The plain values beside the rows, by their paths. A truth value tells no place to go on at."""
    values = scalars(answer.document, answer.rows_path)
    return {format_path(keys): value is not True and value for keys, value in values}


def _refuse_rows_elsewhere(answer: Answer, paginator: Paginator) -> None:
    """Refuse a first page without rows that counts some: the list begins elsewhere, as with page 1 where page 0 was
    asked for, or is not shown. A count of rows at the paginator's own path is judged with the whole list.

    An empty list may have a page (Django, Laravel), and other counts beside its own of 0. No count is believed where
    the definition says so.
    """
    if answer.rows or not isinstance(
        paginator, PageNumberPaginator | OffsetPaginator | CursorPaginator
    ):
        return
    by_page = isinstance(paginator, PageNumberPaginator)
    rows_at, pages = paginator.total_path, None
    if isinstance(paginator, PageNumberPaginator):
        rows_at, pages = paginator.total_rows_path, answer.count(paginator.total_path)
    is_off = "total_path" in paginator.model_fields_set and paginator.total_path is None
    if isinstance(paginator, CursorPaginator):
        goes_on = bool(select(answer.document, paginator.cursor_path, None))
    else:
        goes_on = not paginator.stop_after_empty_page
    if is_off or goes_on or answer.count(rows_at) is not None:
        return
    values = scalars(answer.document, answer.rows_path)
    counted = [
        (format_path(keys), value)
        for keys, value in values
        if is_row_count(keys[-1]) and type(value) is int
    ]
    if any(value == 0 for _, value in counted) or ((pages or 0) < 2 and not counted):
        return
    told = f"{paginator.total_path} says that there are {pages} pages"
    if counted:
        told = f"{counted[0][0]} says that there are {counted[0][1]}"
    start = " (base_page: 1 if its pages are counted from 1)" if by_page else ""
    raise IncompleteListError(
        f"{answer.what}: the first page has no rows, but {told}. Correct the paginator in the definition{start};"
        f" or, if other rows are counted there: {without_total(paginator)}"
    )


def _advice(paginator: Paginator) -> str:
    """What to type, for messages."""
    match paginator:
        case CursorPaginator(size_param=None):
            known = "add `size_param` and `size` to the paginator, so that a page with fewer rows proves it"
        case JsonLinkPaginator():
            known = "set `paginator: auto`, which follows a link as soon as there is one"
        case SinglePagePaginator():
            known = "declare its paginator, with a page size or the path of its total"
        case _:
            known = "add the path of its total to the paginator"
    return (
        f"Correct the paginator in the definition; or, where the API leaves them out at the end of a list, {known};"
        " or set `paginator: single_page` if this list never has a second page"
    )


def keys_of(answer: Answer) -> str:
    """The keys of the answer, for messages."""
    if not isinstance(answer.document, dict):
        return "it is a plain list"
    keys = ", ".join(printable(key, 40) for key in list(answer.document)[:12])
    return f"its keys are {keys}"
