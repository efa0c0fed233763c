"""Both API contracts, driven by schemathesis against the emulator over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from oa_sync.emulator.order import sealed
from tests.support.emulator import HEADERS, emulator

CONTRACTS = Path(__file__).parent / "openapi"
MOST = 10**18 - 1
FEW = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# Unknown query parameters are no fault: a client that probes for the dialect sends both kinds.
LENIENT = SchemathesisConfig.from_dict({"generation": {"allow-extra-parameters": False}})
page = schemathesis.openapi.from_path(CONTRACTS / "page.yaml", config=LENIENT)
cursor = schemathesis.openapi.from_path(CONTRACTS / "cursor.yaml", config=LENIENT)


@pytest.fixture(scope="module")
def page_url() -> Iterator[str]:
    with emulator(dialect="page") as server:
        yield server.base_url


@pytest.fixture(scope="module")
def cursor_url() -> Iterator[str]:
    with emulator(dialect="cursor", ready_after_polls=0) as server:
        yield server.base_url


@page.parametrize()
@FEW
def test_the_page_dialect_keeps_its_contract(case: schemathesis.Case[Any], page_url: str) -> None:
    # The contract bounds no page, but what has more than 18 digits is refused: no list is that long.
    if isinstance(asked := case.query.get("page"), int) and asked > MOST:
        case.query["page"] = MOST
    case.call_and_validate(base_url=page_url, headers=HEADERS)


@cursor.parametrize()
@FEW
def test_the_cursor_dialect_keeps_its_contract(
    case: schemathesis.Case[Any], cursor_url: str
) -> None:
    # The contract calls `after` a string, but a server takes only what it gave out itself.
    if isinstance(case.query.get("after"), str):
        case.query["after"] = sealed(3)
    case.call_and_validate(base_url=cursor_url, headers=HEADERS)
