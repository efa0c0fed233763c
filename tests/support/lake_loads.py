"""A process that loads into a lake and can be told to kill itself at any point of the way.

Run as `python -m tests.support.lake_loads FOLDER`; each line on stdin, `ROUND POINT`, makes a fork load
round `ROUND` and kill itself (SIGKILL) at the `POINT`th call of a Python function of the lake. The answer
is a line `killed`, or `done CALLS`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from oa_sync.tables.batches import Batch
from tests.support.lake_model import childless, children, lake, parents

IDS = [f"r{n}" for n in range(24)]
TARGET_BYTES = 3_000


def round_of_batches(number: int) -> list[Batch]:
    """The same batches for the same number, with a value that says so."""
    chosen = random.Random(number)
    ids = IDS if number == 0 else chosen.sample(IDS, 6)
    rows = [{"id": id_, "n": number} for id_ in ids]
    lists = {id_: [f"[{number}]"] * chosen.randrange(4) for id_ in ids}
    new = {"id": f"new{number}", "n": number}
    empty = [id_ for id_, values in lists.items() if not values]
    return [parents([*rows, new], n="bigint"), children(lists), childless(*empty)]


def load_round(folder: Path, number: int) -> None:
    """One sync that loads one round."""
    with lake(folder / "lake", folder / "home", target_bytes=TARGET_BYTES) as target:
        target.load(round_of_batches(number))


class Counter:
    """Counts calls of Python functions of the lake; at `point` the process dies."""

    def __init__(self, point: int) -> None:
        self.calls, self._point = 0, point

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event in ("call", "return", "c_call") and "/lake/" in frame.f_code.co_filename:
            self.calls += 1
            if self.calls == self._point:
                os.kill(os.getpid(), signal.SIGKILL)


def _load_and_count(folder: Path, number: int, point: int) -> int:
    counter = Counter(point)
    sys.setprofile(counter)
    load_round(folder, number)
    sys.setprofile(None)
    return counter.calls


def _main(folder: Path) -> None:
    with lake(folder / "elsewhere", folder / "home"):
        pass  # imports everything before the forks
    for line in sys.stdin:
        number, point = map(int, line.split())
        child = os.fork()
        if child == 0:
            calls = _load_and_count(folder, number, point)
            print(f"done {calls}", flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            print("killed", flush=True)
        elif os.WEXITSTATUS(status):
            print("failed", flush=True)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
