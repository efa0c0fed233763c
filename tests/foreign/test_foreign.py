"""A definition file is enough for any REST API: it is mirrored, or the sync says clearly why it is not."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.destinations.places import Places, Servers, in_environment
from tests.foreign.case import Case, play
from tests.foreign.plan import drawn

SEEDS, BLOCK = 200, 25
COMPLETE = 0.9
"""The least share of the APIs with nothing to complain of whose syncs are all complete."""


def played(seed: int, folder: Path, destination: str | None = None) -> Case:
    with ExitStack() as stack:
        place = Places(folder, Servers(stack)).open(destination or drawn(seed).destination)
        stack.enter_context(in_environment(place.environment))
        return play(seed, place)


@pytest.mark.parametrize("seed", range(12))
def test_a_foreign_api_is_mirrored_or_refused_clearly(seed: int, tmp_path: Path) -> None:
    case = played(seed, tmp_path)
    assert not case.alarms, f"\n{case}"


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_no_foreign_api_differs_silently_and_healthy_ones_complete(
    first: int, tmp_path: Path
) -> None:
    cases = [played(seed, tmp_path / str(seed)) for seed in range(first, first + BLOCK)]
    causes = Counter(cause for case in cases for cause in case.causes)
    for cause, count in causes.most_common():
        print(f"{count:6} {cause}")
    assert not (wrong := [case for case in cases if case.alarms]), "\n\n".join(map(str, wrong))
    healthy = [case for case in cases if case.is_healthy]
    blocked = [case for case in healthy if not case.completed]
    share = 1 - len(blocked) / len(healthy)
    assert share >= COMPLETE, "\n\n".join(map(str, blocked))


@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + 4))
def test_a_foreign_api_is_mirrored_into_postgres(seed: int, tmp_path: Path) -> None:
    case = played(seed, tmp_path, "postgres")
    assert not case.alarms, f"\n{case}"


def test_the_same_seed_is_the_same_api() -> None:
    assert [drawn(seed) for seed in range(50)] == [drawn(seed) for seed in range(50)]
    assert len({str(drawn(seed)).partition(":")[2] for seed in range(50)}) == 50
