"""Reading one list: the requests it takes, and what every way of paging must guard against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oa_sync.client.paging.emptiness import says_empty
from oa_sync.client.paging.envelope import as_count, is_lower_bound
from oa_sync.client.paging.failure_words import is_stale, tells_cut, tells_failed_list
from oa_sync.client.paging.rows import find_rows
from oa_sync.client.response import NO_CONTENT, EmptyBodyError, Response
from oa_sync.client.rows import UndecodedRows
from oa_sync.client.session import ApiClient
from oa_sync.definitions.model import Endpoint
from oa_sync.definitions.paths import parse_path, select
from oa_sync.errors import InvalidResponseError, NotFoundError

MAX_EMPTY_PAGES = 100
"""Empty pages in a row that are read. Servers that filter after paging send many where few rows fit the filter. This
takes a fifth of the day of the smallest plan (500 requests) to find out that a list never ends."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with rows in it. `document` is the decoded body, its list of rows may be empty. `has_list`: there is
    a list, though perhaps an empty one; else something says that there is none."""

    response: Response
    document: Any
    rows: Sequence[Any]
    rows_path: str
    has_list: bool = True

    @property
    def is_bare(self) -> bool:
        """Whether the answer has no body, so that there is no field to look for."""
        return not len(self.response.body)

    @property
    def what(self) -> str:
        """How messages call the request."""
        return self.response.what

    def count(self, path: str | None) -> int | None:
        """The count (of rows, of pages) at `path`; None where absent, negative, no number, or a lower bound by its own
        word."""
        if path is None or is_lower_bound(self.document, path):
            return None
        return as_count(select(self.document, path, None))

    def total(self, path: str | None) -> int | None:
        """The rows of the whole list; None also where it is less than the rows of this page, because
        such a server does not know it."""
        count = self.count(path)
        return count if count is not None and count >= len(self.rows) else None

    def flag(self, path: str | None) -> bool | None:
        """The truth value at `path`, also as text or 0 and 1; None where there is none."""
        value = select(self.document, path, None) if path is not None else None
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.lower())
        return bool(value) if type(value) is bool or value in (0, 1) else None


class NoSuchPageError(InvalidResponseError):
    """A later page of a list answers that there is none, though earlier ones were there."""


class Listing:
    """The list behind one endpoint, with its parameters set. `count_paths`: where its paginator finds totals."""

    def __init__(
        self,
        client: ApiClient,
        endpoint: Endpoint,
        params: Mapping[str, Any] | None = None,
        *,
        path: str | None = None,
        deadline: float | None = None,
        on_first: Callable[[Answer], None] = lambda _: None,
        count_paths: tuple[str, ...] = (),
    ) -> None:
        self.client, self._on_first = client, on_first
        self._method, self._json = endpoint.method, endpoint.json_body
        self._path = endpoint.path if path is None else path
        self._params = {**endpoint.plain, **(params or {})}
        self._selector = endpoint.data_selector
        self._deadline, self._count_paths = deadline, count_paths
        self._started = self._looked = False
        self.failure: str | None = None
        """Which answer of this reading tells of an error beside its rows."""
        self.cut: set[str] = set()
        """Which answers say that they were cut."""

    def begin(self) -> None:
        """The next answer is the first one of a reading."""
        self._looked, self.failure = False, None
        self.cut.clear()

    async def read(self, params: Mapping[str, Any], note: str) -> Answer:
        """One page, asked for by `params` beside those of the endpoint.

        Raises:
            NotFoundError: there is no such list; only for the first page that is read.
            NoSuchPageError: a later page does not exist.
            InvalidResponseError: no rows in the answer, and nothing that says that there are none.
        """
        return await self._read(self._path, {**self._params, **params}, note)

    async def read_link(self, url: str, note: str) -> Answer:
        """One page, by the link in the page before it. Raises as `read`."""
        return await self._read(url, None, note)

    def answer(self, response: Response, document: Any) -> Answer:
        """`response` with its rows. Their place is looked for once and holds for the whole list."""
        if document is None:
            return self._empty(response, document)
        try:
            rows, self._selector = find_rows(document, self._selector, response.what)
        except InvalidResponseError:
            if not says_empty(document, self._selector, self._count_paths):
                raise
            return self._empty(response, document)
        return self._taken(Answer(response, document, rows, self._selector))

    def _empty(self, response: Response, document: Any) -> Answer:
        """An answer without a list, which stands for an empty one."""
        rows = UndecodedRows([], response.what)
        return self._taken(Answer(response, document, rows, self._selector or "$", has_list=False))

    def _taken(self, answer: Answer) -> Answer:
        """`answer`; the first one of a reading is looked at before its rows are used."""
        if not self._looked:
            self._on_first(answer)
        if isinstance(answer.document, dict):
            rows_key = parse_path(answer.rows_path)[:1]
            envelope = {key: value for key, value in answer.document.items() if (key,) != rows_key}
            if tells_failed_list(envelope) or is_stale(answer.response.headers):
                self.failure = self.failure or answer.what
            if tells_cut(envelope):
                self.cut.add(answer.what)
        self._started = self._looked = True
        return answer

    async def _read(self, path_or_url: str, params: Mapping[str, Any] | None, note: str) -> Answer:
        try:
            response, (document, apart) = await self.client.request_decoded(
                self._decoded,
                self._method,
                path_or_url,
                params=params,
                json=self._json,
                note=note,
                deadline=self._deadline,
                may_be_empty=True,
            )
        except EmptyBodyError as error:
            # As the first answer it is an empty list. Later it would end a list that goes on.
            if self._started:
                raise
            return self.answer(error.response, None)
        except NotFoundError as error:
            if not self._started:
                raise
            # A caller that takes "not found" for "no such list" must not see it in the middle of a list.
            gone = NoSuchPageError(
                f"{error}; earlier pages of this list were there", status=error.status
            )
        else:
            if apart is None or self._selector is None:
                return self.answer(response, document)
            return self._taken(Answer(response, document, apart, self._selector))
        raise gone

    def _decoded(self, response: Response) -> tuple[Any, UndecodedRows | None]:
        """The body without its rows, and the rows, once their place is known; else the whole body. None: there is
        no body, and the status says so."""
        if not len(response.body):
            if response.status != NO_CONTENT:
                raise EmptyBodyError(response)
            return None, None
        apart = response.json_apart(self._selector) if self._selector is not None else None
        return apart or (response.json(), None)


class Count:
    """The rows that came, held against the totals that the pages tell. `seen`: those before the first page."""

    def __init__(self, seen: int = 0) -> None:
        self.seen = seen
        self.total: int | None = None
        self._told: set[int] = set()

    def tell(self, total: int | None) -> None:
        """Take in the total of a page that is newer than those before; None changes nothing."""
        if total is not None:
            self.total = total
            self._told.add(total)

    def is_reached(self, seen: int) -> bool:
        """Whether the list is over with `seen` rows. A total that never moved and was passed is capped or
        stale, and ends nothing. (In a list that changes, a row may come twice.)"""
        if self.total is None:
            return False
        return seen == self.total or (seen > self.total and len(self._told) > 1)

    @property
    def is_passed(self) -> bool:
        """Whether more rows came than a total that never moved."""
        return self.total is not None and self.seen > self.total and len(self._told) == 1


class RepeatGuard:
    """Stops reading a server that sends the same page again and again.

    Two pages in a row with the same rows are an error, unless the total changed between them: rows
    inserted in front can push all rows of a page onto the next one. `pages`: how many others an earlier sync saw.
    """

    def __init__(self, pages: int = 0) -> None:
        self._rows: Sequence[Any] = []
        self._total: int | None = None
        self._pages = pages

    def check(self, answer: Answer, total: int | None, cause: str) -> None:
        """Take in the next page.

        Raises:
            InvalidResponseError: it equals the page before; `cause` says what to look at.
        """
        if answer.rows and answer.rows == self._rows and total == self._total:
            raise InvalidResponseError(
                f"{answer.what}: the same rows as on the page before; {cause}. Correct the paginator in"
                " the definition, or set single_page if this is the whole list"
            )
        self._rows, self._total = answer.rows, total
        self._pages += 1

    def may_be_beyond_end(self, answer: Answer, total: int | None) -> bool:
        """Whether a page by position may be the last one once more, which some servers answer to a position
        beyond the end. They know the position: the page before that one was another."""
        tells_none = total is None and self._total is None
        return self._pages > 1 and tells_none and len(answer.rows) > 0 and answer.rows == self._rows

    def list_moved(self) -> None:
        """The rows of the page before may come again: rows came in front and pushed them onto this one."""
        self._rows = []


def refuse_empty(answer: Answer, advice: str) -> None:
    """Raise InvalidResponseError: an empty page that says there are more would be read for ever."""
    raise InvalidResponseError(
        f"{answer.what}: an empty page that says there are more; {advice}; else run again later, then tell the vendor"
    )


class EmptyPages:
    """Bounds the empty pages in a row that a list leads on through."""

    def __init__(self) -> None:
        self._count = 0

    def note(self, answer: Answer, *, goes_on: bool) -> None:
        """Take in the next page.

        Raises:
            InvalidResponseError: it is one empty page too many, and the list goes on.
        """
        self._count = 0 if answer.rows else self._count + 1
        if goes_on and self._count >= MAX_EMPTY_PAGES:
            refuse_empty(
                answer,
                f"it is the {self._count}th in a row; ask for larger pages, or for less, if the API can (`params`)",
            )
