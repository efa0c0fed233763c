"""Runs the tests that reach a mutant, in a process forked from one that has collected them all.

One pytest imports and collects the tests. In place of running them it forks: first a child that runs all
of them unchanged and says which functions each test enters and how long it takes, then a child for each
mutant. That one puts the changed code into the function objects (`__code__`), so nothing is imported
again and every name that another module has imported sees the change, and runs the tests that enter this
function, the quickest first, until one fails.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import pytest
from hypothesis import Phase, settings

from tests.mutants.changes import Mutant, Place, functions_of, mutants
from tests.support.filesystems import IN_MEMORY

ARGUMENTS = (
    *("-q", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=no", "--no-header"),
    *("--no-summary", "-o", "addopts=--import-mode=importlib"),
    *("-o", "tmp_path_retention_policy=failed"),
)
WITHOUT_POSTGRES = ("-k", "not postgres")
"""Where the module is not about it: its tests are slow, and some leave a server of their own behind where the
time limit ends them (the server that all share outlives every mutant)."""

SLOWER, SPARE = 5, 5.0
"""A mutant may take so many times as long as its tests take unchanged, and so many seconds."""


@dataclass
class Outcome:
    """What became of the mutants of a module. `seconds`: of all of them, without the start."""

    killed: int = 0
    ended: int = 0
    """Killed by the time limit."""
    survivors: list[Mutant] = field(default_factory=list)
    seconds: float = 0.0
    start: float = 0.0

    @property
    def made(self) -> int:
        return self.killed + self.ended + len(self.survivors)


class MutantRun:
    """A pytest plugin: runs mutants of `module` instead of the tests."""

    def __init__(self, module: str, on_survivor: Callable[[Mutant], None], spare: float) -> None:
        self._module = importlib.import_module(module)
        assert self._module.__file__ is not None
        self._file = self._module.__file__
        self._on_survivor, self._spare = on_survivor, spare
        self._began = time.monotonic()
        self.outcome = Outcome()
        self.error: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """A failure that hypothesis finds is enough: no time is spent on making it small."""
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings.get_profile("default"), phases=phases)
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """The whole run; True: nothing is left for pytest to do."""
        seen = _unchanged(session, self._file)
        if not seen:
            self.error = "a test fails without any change, or there is none"
            return True
        self.outcome.start = time.monotonic() - self._began
        functions = self._functions()
        began = time.monotonic()
        for mutant in mutants(Path(self._file).read_text(encoding="utf-8"), self._file):
            if mutant.function in functions:
                self._try(session, mutant, functions[mutant.function], seen)
        self.outcome.seconds = time.monotonic() - began
        return True

    def _functions(self) -> dict[Place, list[FunctionType]]:
        """The function objects that stand for each function of the module, wrapped ones too."""
        found: dict[Place, list[FunctionType]] = defaultdict(list)
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename == self._file:
                found[each.__code__.co_qualname, each.__code__.co_firstlineno].append(each)
        return found

    def _try(
        self,
        session: pytest.Session,
        mutant: Mutant,
        functions: Sequence[FunctionType],
        seen: Sequence[_Seen],
    ) -> None:
        code = dict(functions_of(mutant.compiled()))[mutant.function]
        tests = sorted(
            (one for one in seen if mutant.function in one.entered), key=lambda one: one.seconds
        )
        limit = self._spare + SLOWER * sum(one.seconds for one in tests)

        def child() -> bool:
            for function in functions:
                function.__code__ = code
            return all(_passes(session, items) for items in _in_turn(session, tests))

        answer = _forked(child, limit)
        if answer is None:
            self.outcome.ended += 1
        elif answer is True:
            self.outcome.survivors.append(mutant)
            self._on_survivor(mutant)
        else:
            self.outcome.killed += 1


@dataclass
class _Seen:
    """A test as it runs unchanged: its number in the session, its seconds, what it enters."""

    number: int
    seconds: float
    entered: set[Place]


def _unchanged(session: pytest.Session, file: str) -> list[_Seen] | None:
    """Every test run once; None if one fails."""

    def child() -> list[_Seen] | None:
        seen = []
        for number, items in enumerate(_in_turn(session, None)):
            began = time.monotonic()
            with _watched(file) as entered:
                if not _passes(session, items):
                    return None
            seen.append(_Seen(number, time.monotonic() - began, entered))
        return seen

    answer: list[_Seen] | None = _forked(child, 1_800)
    return answer


@contextmanager
def _watched(file: str) -> Iterator[set[Place]]:
    """Collects the functions of `file` that are entered meanwhile, in this thread and new ones."""
    entered: set[Place] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename == file:
            entered.add((code.co_qualname, code.co_firstlineno))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


Pair = tuple[pytest.Item, pytest.Item | None]


def _in_turn(session: pytest.Session, tests: Sequence[_Seen] | None) -> Iterator[Pair]:
    """Each test with the one after it, by which pytest knows which fixtures it may end."""
    items = session.items if tests is None else [session.items[one.number] for one in tests]
    for place, item in enumerate(items):
        yield item, items[place + 1] if place + 1 < len(items) else None


def _passes(session: pytest.Session, items: Pair) -> bool:
    item, following = items
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    return session.testsfailed == 0


def _forked(work: Callable[[], Any], limit: float) -> Any:
    """What `work` gives in a child process; False if that fails, None if it takes over `limit` seconds."""
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()  # what its tests start ends with it
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
            answer = pickle.dumps(work())
            with os.fdopen(into, "wb") as pipe:
                pipe.write(answer)
        finally:
            os._exit(0)
    os.close(into)
    timer = threading.Timer(limit, _end, (pid,))
    timer.start()
    with os.fdopen(out, "rb") as pipe:
        told = pipe.read()
    was_ended = not timer.is_alive()
    timer.cancel()
    timer.join()
    _end(pid)
    os.waitpid(pid, 0)
    return None if was_ended else pickle.loads(told) if told else False


def _end(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def _files_in_memory() -> Iterator[None]:
    """Temporary files of the tests and their processes: flushes are most of the time of a ledger or an inbox."""
    with (
        tempfile.TemporaryDirectory(prefix="oa-sync-mutants-", dir=IN_MEMORY) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        Path(folder).chmod(0o711)  # PostgreSQL is another user where the tests run as root
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


def run(
    module: str,
    files: Sequence[str],
    on_survivor: Callable[[Mutant], None],
    spare: float = SPARE,
) -> Outcome:
    """Run all mutants of `module` against the tests in `files` (paths from the root of the project).

    Raises:
        RuntimeError: the tests fail as they are, or cannot be collected.
    """
    plugin = MutantRun(module, on_survivor, spare)
    less = () if "postgres" in module else WITHOUT_POSTGRES
    with _files_in_memory():
        code = pytest.main([*ARGUMENTS, *less, *files], plugins=[plugin])
    if plugin.error or plugin.outcome.made == 0:
        raise RuntimeError(f"{module}: {plugin.error or f'pytest ended with {code}'}")
    return plugin.outcome
