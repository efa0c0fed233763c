"""What a first answer must hold so that the end of its list is believed.

An absent field is no statement. A typo in a definition, a field that the server renamed, or an answer without
its paging object look like a list of one page. So where a definition names fields of paging, or earlier answers
of the list had some, and the first answer has none of them, the list has failed. Not expected are links and
tokens that the last page leaves out by the rules of its kind (OData, HAL, Google's and Amazon's APIs).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oa_sync.client.paging.auto import unused_next
from oa_sync.client.paging.links import header_link
from oa_sync.client.paging.listing import Answer
from oa_sync.client.response import NO_CONTENT
from oa_sync.client.wording import printable
from oa_sync.definitions.model import (
    CursorPaginator,
    HeaderLinkPaginator,
    JsonLinkPaginator,
    Paginator,
)
from oa_sync.definitions.paths import MISSING, parse_path, select
from oa_sync.errors import IncompleteListError

_PATHS = ("has_more_path", "total_path", "total_rows_path", "cursor_path", "next_url_path")
_LEFT_OUT_AT_THE_END = frozenset(
    {
        *("@odata.nextlink", "odata.nextlink", "@nextlink", "nextlink"),
        *("nextpagetoken", "next_page_token", "nexttoken", "next_token"),
    }
)


@dataclass(frozen=True)
class Signs:
    """The fields of paging of one list. `before`: the paths that its first answers held earlier; `remember`
    is called with those that this one holds."""

    before: frozenset[str]
    remember: Callable[[list[str]], None]

    def check(self, answer: Answer, paginator: Paginator, *, was_found: bool) -> None:
        """Take in the first answer. `was_found`: its paginator was found out from it (`auto`).

        Raises:
            IncompleteListError: it does not say how the list goes on, or says it in another way.
        """
        if answer.is_bare:
            if self.before and answer.response.status != NO_CONTENT:
                raise IncompleteListError(
                    f"{answer.what}: the answer is empty, and earlier ones of this list told how it goes on"
                    f" ({', '.join(sorted(self.before))}). Run again; if it stays so, tell the vendor"
                )
            return
        values = {name: getattr(paginator, name, None) for name in _PATHS}
        paths = {name: path for name, path in values.items() if isinstance(path, str)}
        before = self.before if was_found else self.before & set(paths.values())
        held = {
            path
            for path in before.union(paths.values())
            if select(answer.document, path) is not MISSING
        }
        named = {path for name, path in paths.items() if name in paginator.model_fields_set}
        wanted = {path for path in named | before if not _may_be_left_out(path)}
        if wanted and not held:
            raise IncompleteListError(
                f"{answer.what}: the answer has none of the fields that tell how the list goes on"
                f" ({', '.join(sorted(wanted))}); {keys_of(answer)}. Correct the paginator in the definition,"
                " or set single_page if this is the whole list"
            )
        if isinstance(paginator, HeaderLinkPaginator | JsonLinkPaginator | CursorPaginator):
            self._check_others(answer, paginator, held)
        if held:
            self.remember(sorted(held))

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


def _may_be_left_out(path: str) -> bool:
    keys = parse_path(path)
    return keys[-1].lower() in _LEFT_OUT_AT_THE_END or ("next" in keys[-2:] and "links" in keys[0])


def keys_of(answer: Answer) -> str:
    """The keys of the answer, for messages."""
    if not isinstance(answer.document, dict):
        return "it is a plain list"
    keys = ", ".join(printable(key, 40) for key in list(answer.document)[:12])
    return f"its keys are {keys}"
