"""Progress on stderr, for a person at a terminal; silent in a pipe, a log or cron."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from oa_sync.cli.printing import screen


class Progress:
    """Call it with (stage, resource, done, total). `stage` is `list` or `detail`."""

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        if self._enabled:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bars

            self._bars = Bars(
                TextColumn("{task.description:<22}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=screen(err=True),
                transient=True,
            )
            self._bars.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.__exit__(kind, error, trace)

    def __call__(self, stage: str, resource: str, done: int, total: int | None) -> None:
        """Show that `done` of `total` (None: not known) is reached."""
        if self._bars is None:
            return
        name = f"list {resource}" if stage == "list" else "details"
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total)
