from __future__ import annotations

import asyncio

import pytest

from oa_sync.client.dialect import Detection, detect
from oa_sync.client.paging import pages
from oa_sync.definitions.model import Endpoint
from oa_sync.errors import ApiError, InvalidRequestError, InvalidResponseError, NotFoundError
from tests.client.scripted import Script, Seen, api, in_turn, reply
from tests.client.test_paging import BY_CURSOR, BY_PAGE, cursors, ids, numbered


def found(script: Script) -> tuple[Detection, list[Seen]]:
    async def run() -> tuple[Detection, list[Seen]]:
        async with api(script) as (server, client):
            return await detect(client), server.seen

    return asyncio.run(run())


def test_the_probe_is_the_first_list_page_of_either_dialect() -> None:
    datasets = Endpoint(path="datasets", data_selector="data")

    async def run(script: Script, dialect: str) -> None:
        async with api(script) as (server, client):
            detection = await detect(client)
            assert detection.dialect == dialect
            paginator = BY_PAGE if dialect == "page" else BY_CURSOR
            walk = pages(client, datasets, paginator, first=detection.first)
            assert ids([page async for page in walk]) == list(range(250))
            assert len(server.seen) == 3
            assert server.seen[0].query == {"page": "1", "per_page": "100", "limit": "100"}

    asyncio.run(run(numbered(250, total=lambda: 250), "page"))
    asyncio.run(run(cursors(250, 100), "cursor"))


@pytest.mark.parametrize(
    ("status", "code", "dialect"),
    [
        (422, "VALIDATION_ERROR", "page"),
        (400, "VALIDATION_ERROR", "page"),
        (400, "invalid_request", "cursor"),
        (422, "unprocessable", "cursor"),
    ],
)
def test_an_api_that_refuses_unknown_parameters_tells_its_dialect_by_that(
    status: int, code: str, dialect: str
) -> None:
    script = in_turn(reply({"error": {"code": code, "message": "unknown parameter"}}, status))
    detection, seen = found(script)
    assert detection == Detection(dialect, None)  # type: ignore[arg-type]
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (in_turn(reply([])), InvalidResponseError),
        (in_turn(reply({"data": [], "page": 1})), InvalidResponseError),
        (in_turn(reply({}, 422)), InvalidRequestError),
        (in_turn(reply({"error": {"code": "MixedCase"}}, 400)), InvalidRequestError),
        (in_turn(reply({}, 404)), NotFoundError),
    ],
)
def test_a_dialect_that_does_not_show_is_asked_from_the_user(
    script: Script, error: type[ApiError]
) -> None:
    async def run() -> int:
        async with api(script) as (server, client):
            with pytest.raises(error):
                await detect(client)
            return len(server.seen)

    assert asyncio.run(run()) == 1
