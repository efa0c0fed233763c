"""Asking the API to run a query, in both dialects, and waiting for its result.

Page: `POST /queries` answers 200 with the rows, or 202 with an id. Cursor: `POST /queries/run`
answers 202 with an id. The result is asked for at `GET /queries/{id}/results`, which the page dialect
does not document. The POST is sent once: a query may cost the workspace credits, and after a request
without an answer nobody can tell from outside whether the query is running.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from oa_sync.client import ApiClient
from oa_sync.client.response import Response
from oa_sync.client.wording import printable
from oa_sync.clock import Clock
from oa_sync.errors import InvalidRequestError, InvalidResponseError, NotFoundError
from oa_sync.extract.jobs.polling import Polling
from oa_sync.shape.result import JsonResult, json_rows

WAITING = frozenset(
    {"accepted", "created", "in_progress", "pending", "processing", "queued", "running", "started"}
    | {"submitted"}
)

FAILED = frozenset({"aborted", "canceled", "cancelled", "error", "expired", "failed", "timed_out"})

_ROWS_AT = {
    "page": (("data",), ("data", "rows"), ("rows",), ()),
    "cursor": (("rows",), ("data", "rows"), ("data",), ()),
}
MISSED_POLLS = 3
"""At this many polls with 404 the query is given up: the first ones may only come too early."""


@dataclass(frozen=True)
class Asked:
    """One query: the id of the dataset, the SQL, and the seconds it may take in all."""

    dataset_id: str
    sql: str
    seconds: float


@dataclass(frozen=True)
class Finished:
    """The rows of a query that ended well. `query_id` is None where the API gave none."""

    query_id: str | None
    answer: JsonResult


class QueryRunner:
    """Runs queries in one dialect. `heard(polls)` is told of every poll."""

    def __init__(
        self,
        client: ApiClient,
        clock: Clock,
        dialect: Literal["page", "cursor"],
        heard: Callable[[int], None] = lambda polls: None,
    ) -> None:
        self._client, self._clock, self._dialect = client, clock, dialect
        self._heard = heard

    async def run(self, asked: Asked) -> Finished:
        """Send the query once and return its whole result.

        Raises:
            InvalidRequestError: the API refuses the query, or it ended badly.
            InvalidResponseError: an answer is not what was asked for, or lacks rows.
            ApiError, BudgetExhausted: as `ApiClient.request`; the time is over.
        """
        polling = Polling(self._clock, asked.seconds)
        response = await self._post(asked)
        answer = self._answer(response)
        query_id = _id(answer)
        missed = 0
        while not self._is_done(answer, response, query_id):
            if query_id is None:
                raise InvalidResponseError(
                    f"{response.what} answered {response.status} with neither rows nor the id of a"
                    " query; check --dialect"
                )
            await polling.wait(f"query {query_id}", _status(answer) or "unfinished")
            self._heard(polling.polls)
            try:
                response = await self._client.request("GET", _results_path(query_id))
            except NotFoundError as error:
                missed += 1
                if missed == MISSED_POLLS:
                    raise _no_results(query_id, error) from None
                continue
            answer = self._answer(response)
        _check_count(answer, response)
        return Finished(query_id, answer)

    async def _post(self, asked: Asked) -> Response:
        if self._dialect == "page":
            body: dict[str, Any] = {"dataset_id": asked.dataset_id, "query": asked.sql}
            return await self._client.request("POST", "queries", json=body, idempotent=False)
        seconds = max(1, int(asked.seconds))
        body = {"dataset_id": asked.dataset_id, "sql": asked.sql, "timeout": seconds}
        return await self._client.request("POST", "queries/run", json=body, idempotent=False)

    def _answer(self, response: Response) -> JsonResult:
        try:
            return json_rows(response.body, _ROWS_AT[self._dialect])
        except ValueError as error:
            raise InvalidResponseError(
                f"{response.what} answered {response.status} with a body that is {error}; try again"
                " later, then tell the vendor",
                status=response.status,
            ) from None

    def _is_done(self, answer: JsonResult, response: Response, query_id: str | None) -> bool:
        status = _status(answer)
        if status in FAILED:
            raise InvalidRequestError(
                f"query {query_id or 'without id'} ended as {status}{self._reason(answer)}; check"
                " the SQL and the dataset"
            )
        return answer.count is not None and status not in WAITING

    def _reason(self, answer: JsonResult) -> str:
        head = _object(answer)
        error = head.get("error") or head.get("error_message") or head.get("message")
        if isinstance(error, Mapping):
            error = error.get("message") or error.get("code")
        if not isinstance(error, str):
            return ""
        return f' "{printable(self._client.redact(error), 300)}"'


def _object(answer: JsonResult) -> Mapping[str, Any]:
    """What the answer says of the query: the object itself, or the one in its `data`."""
    inner = answer.head.get("data")
    return inner if isinstance(inner, Mapping) and "status" not in answer.head else answer.head


def _status(answer: JsonResult) -> str | None:
    status = _object(answer).get("status")
    return printable(status, 64).lower() if isinstance(status, str) else None


def _id(answer: JsonResult) -> str | None:
    head = _object(answer)
    for name in ("id", "query_id"):
        value = head.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return printable(str(value), 200)
    return None


def _results_path(query_id: str) -> str:
    return f"queries/{quote(query_id, safe='')}/results"


def _no_results(query_id: str, error: NotFoundError) -> NotFoundError:
    return NotFoundError(
        f"query {query_id} was accepted, but {error}; if this API tells results by webhook only, let"
        " the query give fewer rows, so that it is answered at once",
        status=error.status,
        api_code=error.api_code,
        request_id=error.request_id,
    )


def _check_count(answer: JsonResult, response: Response) -> None:
    """Check that a result that tells its number of rows has them all."""
    told = _object(answer).get("row_count")
    if isinstance(told, int) and not isinstance(told, bool) and told != answer.count:
        raise InvalidResponseError(
            f"{response.what} answered with {answer.count:,} rows and a row_count of {told:,}, so"
            " rows are missing; nothing was loaded. Let the query give fewer rows, such as a part of"
            " them with WHERE"
        )
