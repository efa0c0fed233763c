"""Nights from seeds, with every oracle after each; and that the simulator itself is what it says."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.kept import KEPT, KNOWN, Kept
from tests.simulation.lies import LIES
from tests.simulation.nights import HOUR, Night
from tests.simulation.play import Found, Play
from tests.simulation.worlds import drawn

ROOT = Path(__file__).parents[2]
NIGHTS_A_WORLD = 20
MOST_WORLDS = 60
"""In which a lie must do the harm that it is said to do."""


@pytest.mark.parametrize("first", range(0, 15, 5))
def test_three_hundred_nights_raise_no_alarm(first: int) -> None:
    for seed in range(first, first + 5):
        play = Play(seed, known=KNOWN)
        found = play.run(NIGHTS_A_WORLD)
        assert found is None, (
            f"{found}\n{play.world}\nmake simulate SEED={seed} NIGHTS={NIGHTS_A_WORLD}"
        )
        assert play.requests > 0


@pytest.mark.rest
@pytest.mark.parametrize("part", range(15))
def test_three_thousand_nights_of_this_commit_raise_no_alarm(part: int) -> None:
    first = 1_000_000 + seed_of_this_commit() % 10_000_000 + 10 * part
    print(f"make simulate SEED={first} NIGHTS={10 * NIGHTS_A_WORLD}")
    for seed in range(first, first + 10):
        play = Play(seed, known=KNOWN)
        found = play.run(NIGHTS_A_WORLD)
        assert found is None, (
            f"{found}\n{play.world}\nmake simulate SEED={seed} NIGHTS={NIGHTS_A_WORLD}"
        )


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: f"{kept.seed}")
def test_a_seed_that_found_something_does_as_it_must(kept: Kept) -> None:
    found = Play(kept.seed, kept.kinds).run(kept.nights)
    assert (found.alarm.kind if found else None) == kept.alarm, kept.why


@pytest.mark.rest
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_does_harm_only_where_the_table_says_so(lie: str) -> None:
    harm, raised = LIES[lie].raises, set[str]()
    for number, (play, found) in enumerate(_told(lie), 1):
        assert found is None, f"{found}\n{play.world}"
        raised |= harm & set(play.stands)
        if number >= (MOST_WORLDS if harm and not raised else 8):
            break
    assert raised or not harm


def _told(lie: str) -> Iterator[tuple[Play, Found | None]]:
    """What `lie` does in one world after the other: in the first sync of some, later in others."""
    for seed in itertools.count():
        world = drawn(seed)
        fitting = [n for n, plan in enumerate(world.lists) if LIES[lie].needs(plan)]
        place = next((n for n in fitting if world.lists[n] in world.read), None)
        if place is None or world.is_large:
            continue
        nights = [Night(0, 0.0), *(Night(number, 24 * HOUR, edits=3) for number in (1, 2))]
        told = nights[0 if seed % 3 == 0 else 2]
        told.lie, told.lie_list = lie, place
        nights.append(Night(3, 24 * HOUR))
        given = {night.number: night for night in nights}
        play = Play(seed, given=given, known=KNOWN | LIES[lie].raises)
        yield play, play.run(len(nights))


def test_the_same_seed_is_the_same_night_to_the_byte_of_the_log() -> None:
    script = (
        "from tests.simulation.play import Play\n"
        "for seed in (3, 4, 11):\n"
        "    play = Play(seed)\n"
        "    found = play.run(12)\n"
        "    print(play.world, *play.log, play.requests, found, sep='\\n')\n"
    )

    def played(hash_seed: str) -> str:
        # Sets of texts have another order in each process: nothing may depend on it.
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    first = played("1")
    assert "killed" in first
    assert first == played("2")


def seed_of_this_commit() -> int:
    """A number made of the commit's id, so that each commit plays other nights; 0 where there is no git."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(done.stdout.strip()[:8], 16)
