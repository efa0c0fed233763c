"""Finds out which of the two documented dialects an API speaks, with at most one request more than
the sync sends anyway.

The probe is the first list page of `datasets` with the parameters of both dialects at once
(`page=1&per_page=100&limit=100`). Each dialect knows its own and ignores the rest, as HTTP APIs do, so
the answer *is* the first page of the sync and costs nothing extra. An API that refuses unknown
parameters (400 or 422) shows its dialect in that refusal: the error codes of the page dialect are
written in capitals, those of the cursor dialect in small letters. That refused probe is the one extra
request; there is never a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from oa_sync.client.response import Response
from oa_sync.client.session import ApiClient
from oa_sync.errors import InvalidRequestError, InvalidResponseError

Dialect = Literal["page", "cursor"]

PAGE_SIZE = 100
PROBE_PATH = "datasets"
_PROBE = {"page": 1, "per_page": PAGE_SIZE, "limit": PAGE_SIZE}


@dataclass(frozen=True, slots=True)
class Detection:
    """The dialect, and the first page of `datasets` at 100 rows, for `pages(first=…)`; None where
    a refusal showed the dialect."""

    dialect: Dialect
    first: Response | None


async def detect(client: ApiClient, path: str = PROBE_PATH) -> Detection:
    """Find out the dialect.

    Raises:
        InvalidResponseError, InvalidRequestError: the answer shows neither; the dialect must be set.
        BudgetExhausted, ApiError: as `ApiClient.request`.
    """
    try:
        response, document = await client.request_json("GET", path, params=_PROBE)
    except InvalidRequestError as error:
        dialect = _of_refusal(error)
        if dialect is None:
            raise
        return Detection(dialect, None)
    dialect = _of_envelope(document)
    if dialect is None:
        raise InvalidResponseError(
            f"{response.what}: the answer has neither the meta of the page dialect nor the"
            " pagination of the cursor dialect; set --dialect page or cursor, or a --source of"
            " your own"
        )
    return Detection(dialect, response)


def _of_envelope(document: Any) -> Dialect | None:
    if not isinstance(document, dict):
        return None
    meta, pagination = document.get("meta"), document.get("pagination")
    if isinstance(pagination, dict) and {"cursor", "has_more"} & pagination.keys():
        return "cursor"
    if isinstance(meta, dict) and {"page", "per_page", "total", "total_pages"} & meta.keys():
        return "page"
    return None


def _of_refusal(error: InvalidRequestError) -> Dialect | None:
    if error.status not in (400, 422) or not error.api_code:
        return None
    if error.api_code.isupper():
        return "page"
    return "cursor" if error.api_code.islower() else None
