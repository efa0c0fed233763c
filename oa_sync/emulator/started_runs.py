"""Agent runs that a client starts: they queue, run, gain steps and end, and say so by webhook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oa_sync.clock import Clock, isoformat
from oa_sync.emulator.background import Background
from oa_sync.emulator.options import EmulatorOptions
from oa_sync.emulator.state import EmulatorState
from oa_sync.emulator.webhooks import Webhooks

TERMINAL = frozenset({"completed", "failed", "cancelled", "timed_out"})


@dataclass(slots=True)
class _Started:
    """A run that was started here and has not ended."""

    status: str
    webhook_url: str | None


class StartedRuns:
    """The runs that were started here and have not reached a terminal status."""

    def __init__(
        self,
        state: EmulatorState,
        options: EmulatorOptions,
        clock: Clock,
        background: Background,
        webhooks: Webhooks,
    ) -> None:
        self._state, self._options, self._clock = state, options, clock
        self._background, self._webhooks = background, webhooks
        self._started: dict[str, _Started] = {}

    def start(self, fields: dict[str, Any], webhook_url: str | None) -> str:
        """Begin a run with `fields`, in status `queued`; returns its id."""
        state = self._state
        with state.lock:
            now = isoformat(self._clock.now())
            run_id = state.new_id("run")
            record = {"id": run_id, "status": "queued", **fields}
            record |= {"steps": [], "usage": None, "result": None, "error": None}
            record |= {"created_at": now, "started_at": None, "completed_at": None}
            state.insert("agent_runs", record)
            self._started[run_id] = _Started("queued", webhook_url)
        if self._options.run_by == "time":
            self._background.spawn(self._live(run_id))
        return run_id

    def polled(self, run_id: str) -> None:
        """A client asked for the run. With `run_by: poll`, that moves it to its next status."""
        if self._options.run_by == "poll" and run_id in self._started:
            self.advance(run_id)

    def advance(self, run_id: str, status: str | None = None) -> None:
        """Move a started run to `status`, or to the one that follows.

        KeyError if no such run was started here or it has ended. A terminal status is announced.
        """
        state = self._state
        with state.lock:
            run = self._started[run_id]
            following = self._options.run_outcome
            run.status = status or ("running" if run.status == "queued" else following)
            changes = self._changes(run_id, run.status)
            state.update("agent_runs", run_id, changes)
            if run.status not in TERMINAL:
                return
            del self._started[run_id]
        key = "run_id" if self._options.dialect == "page" else "id"
        payload = {key: run_id, "status": run.status, "result": changes["result"]}
        event = f"agent.session.{run.status}"
        self._webhooks.announce(event, payload, run.webhook_url)

    def _changes(self, run_id: str, status: str) -> dict[str, Any]:
        now = isoformat(self._clock.now())
        if status == "queued":
            return {"status": status}
        if status not in TERMINAL:
            return {"status": status, "started_at": now, "steps": [_step(run_id, 0, now)]}
        failed = status != "completed"
        return {
            "status": status,
            "completed_at": now,
            "steps": [_step(run_id, index, now) for index in range(3)],
            "usage": {"input_tokens": 1200, "output_tokens": 340, "api_calls": 3},
            "result": None if failed else {"text": f"Findings of {run_id}"},
            "error": {"code": status, "message": f"the run {status}"} if failed else None,
        }

    async def _live(self, run_id: str) -> None:
        while run_id in self._started:
            await self._clock.sleep(self._options.run_seconds)
            if run_id in self._started:
                self.advance(run_id)


def _step(run_id: str, index: int, now: str) -> dict[str, Any]:
    return {
        "index": index,
        "thought": f"Step {index + 1} of {run_id}",
        "observation": "ok",
        "started_at": now,
        "duration_ms": 120.0,
        "tool_calls": [
            {
                "id": f"call_{index}",
                "type": "sql",
                "name": "query",
                "arguments": {"sql": f"SELECT {index}"},
            }
        ],
    }
