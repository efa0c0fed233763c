"""RESULTS.md: what was measured, around a part that is written by hand and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.speed.results import Result, section

PAGE = "RESULTS.md"
BEGIN = "<!-- by hand: kept by the command -->"
END = "<!-- end of the part by hand -->"
_NOTHING_YET = "\n## What was tried, what did not help\n\nNothing noted yet.\n\n"

_INTRODUCTION = """# Speed

Every figure is a whole process as the kernel saw it: the wall clock from start to exit, user and system
time, peak resident memory of the largest process. The commands of a workload ran in turn, so that what the
machine did meanwhile fell on all of them; shown is the median (minimum–maximum). A ratio is the median over
that of the case that stands at 1.00. `loaded` was counted in the destination after the first round."""


def by_hand(old: str) -> str:
    """The kept part of an earlier page, without its markers. ValueError if one marker is missing."""
    if BEGIN not in old and END not in old:
        return _NOTHING_YET
    _, begun, rest = old.partition(BEGIN)
    kept, ended, _ = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"one of the markers {BEGIN!r} and {END!r} is missing")
    return kept


def write(
    path: Path, results: Sequence[Result], machine: Mapping[str, str], how: str, picture: str | None
) -> None:
    """Write the page to `path`, keeping the part by hand of what stands there. `how` is the command.

    Raises:
        ValueError: the page there has lost one of its markers; nothing is written.
    """
    kept = by_hand(path.read_text(encoding="utf-8") if path.exists() else "")
    about = "\n".join(f"| {name} | {value} |" for name, value in machine.items())
    parts = [_INTRODUCTION, f"| | |\n| --- | --- |\n{about}\n| Command | `{how}` |"]
    if picture:
        parts.append(f"![Wall time over that of oa-sync]({picture})")
    parts += [section(result) for result in results]
    parts.append(f"{BEGIN}{kept}{END}")
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
