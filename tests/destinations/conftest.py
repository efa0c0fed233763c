"""Servers and the process for killed syncs, shared by all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.destinations.killing import Killer, killer
from tests.destinations.places import Place, Places, Servers, in_environment


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="session")
def killed() -> Iterator[Killer]:
    with killer() as process:
        yield process


@pytest.fixture(params=Places.names)
def place(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> Iterator[Place]:
    """An empty destination of each kind, its credentials in the environment."""
    opened = Places(tmp_path / "place", servers).open(request.param)
    with in_environment(opened.environment):
        yield opened
