"""Asking for an export and waiting until it is ready: `POST /exports`, `GET /exports/{id}/download`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from oa_sync.client import ApiClient
from oa_sync.client.wording import printable
from oa_sync.clock import Clock
from oa_sync.errors import InvalidRequestError, InvalidResponseError, NotFoundError
from oa_sync.extract.jobs.polling import Polling
from oa_sync.extract.jobs.queries import FAILED

Format = Literal["parquet", "csv", "json"]

_NOT_READY = frozenset({404, 409, 425})


@dataclass(frozen=True)
class Ticket:
    """A signed URL. `expires_at` and `size_bytes` are None where the API did not tell them."""

    url: str = field(repr=False)
    expires_at: datetime | None
    size_bytes: int | None


class ExportRequests:
    """The requests about exports. `heard(polls)` is told of every poll."""

    def __init__(
        self, client: ApiClient, clock: Clock, heard: Callable[[int], None] = lambda polls: None
    ) -> None:
        self._client, self._clock, self._heard = client, clock, heard

    async def create(
        self, dataset_id: str, form: Format, wanted: Mapping[str, Any] | None = None
    ) -> str:
        """Ask for an export, once, and return its id. `wanted`: column values that rows must have.

        Raises:
            ApiError, BudgetExhausted: as `ApiClient.request`.
        """
        body: dict[str, Any] = {"dataset_id": dataset_id, "format": form}
        if wanted:
            body["filter"] = dict(wanted)
        response = await self._client.request("POST", "exports", json=body, idempotent=False)
        export_id = _object(response.json()).get("id")
        if isinstance(export_id, bool) or not isinstance(export_id, str | int) or export_id == "":
            raise InvalidResponseError(
                f"{response.what} answered {response.status} without the id of an export; check"
                " --dialect"
            )
        return str(export_id)

    async def ticket(self, export_id: str, seconds: float) -> Ticket:
        """Wait until the export is ready, for `seconds` at most, and return a fresh signed URL.

        404 and 409 mean that it is not ready yet: the API does not document which of them it uses.

        Raises:
            InvalidRequestError: the export failed.
            InvalidResponseError: the answer is not what was asked for.
            ApiError, BudgetExhausted: as `ApiClient.request`; the time is over.
        """
        polling = Polling(self._clock, seconds)
        path = f"exports/{quote(export_id, safe='')}/download"
        what = f"export {printable(export_id, 200)}"
        while True:
            state = "unknown"
            try:
                response = await self._client.request("GET", path)
            except (NotFoundError, InvalidRequestError) as error:
                if error.status not in _NOT_READY:
                    raise
                state = "not ready" if error.status != 404 else "not there (404)"
            else:
                told = _object(response.json())
                if told.get("download_url"):
                    return _ticket(told, response.what)
                state = _state(told)
                if state in FAILED:
                    raise InvalidRequestError(
                        f"{what} ended as {state}; check the dataset and the filter"
                    )
            await polling.wait(what, state)
            self._heard(polling.polls)


def _object(document: Any) -> Mapping[str, Any]:
    """The bare object, or the one inside `data`."""
    if not isinstance(document, Mapping):
        return {}
    inner = document.get("data")
    return inner if isinstance(inner, Mapping) else document


def _state(told: Mapping[str, Any]) -> str:
    status = told.get("status")
    return printable(status, 64).lower() if isinstance(status, str) else "without a URL"


def _ticket(told: Mapping[str, Any], what: str) -> Ticket:
    url, size = told["download_url"], told.get("size_bytes")
    if not isinstance(url, str):
        raise InvalidResponseError(f"{what}: download_url is not text; tell the vendor")
    known = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return Ticket(url, _instant(told.get("expires_at")), size if known else None)


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
