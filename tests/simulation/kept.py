"""Seeds that found something. They are played always, and never taken out.

`alarm` is what the seed must raise for as long as the fault stands; the change that mends it turns it to None,
and writes what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.nights import Kinds


@dataclass(frozen=True)
class Kept:
    """A seed, how many nights of it to play, and what it raises (None: nothing, any more)."""

    seed: int
    nights: int
    alarm: str | None
    why: str
    kinds: Kinds = field(default_factory=Kinds)


KEPT: tuple[Kept, ...] = (
    Kept(
        1035,
        20,
        None,
        "a history that missed a version: the only row of a segment was left out when its history was refused"
        " once, after its own table was loaded",
    ),
)
