"""What a sync did, as one value: the exit code, `sync --json`, the `syncs` row and the log line."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from oa_sync.clock import Clock, isoformat
from oa_sync.errors import OaSyncError
from oa_sync.extract.set_aside import SHOWN
from oa_sync.extract.tally import Tally, Warned
from oa_sync.process_wide import shown
from oa_sync.quota.account import Forecast

logger = logging.getLogger(__name__)

Status = Literal["complete", "partial", "failed"]
EXIT_CODES: dict[Status, int] = {"complete": 0, "partial": 3, "failed": 1}


@dataclass
class Requests:
    """Requests of one sync. `budget` and `left_today` are None where there is no limit."""

    made: int = 0
    retried: int = 0
    rate_limited: int = 0
    budget: int | None = None
    left_today: int | None = None
    resets_at: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """The `requests` object of `sync --json`."""
        return {
            "made": self.made,
            "retried": self.retried,
            "rate_limited": self.rate_limited,
            "budget": self.budget,
            "left_today": self.left_today,
            "resets_at": isoformat(self.resets_at) if self.resets_at else None,
        }


@dataclass
class SyncReport:
    """The summary of one sync; `exit_code` follows from `status` and `error`."""

    sync_id: str
    workspace: str
    started_at: datetime
    dialect: str = "auto"
    finished_at: datetime | None = None
    status: Status = "complete"
    error: OaSyncError | None = None
    requests: Requests = field(default_factory=Requests)
    tallies: dict[str, Tally] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    drift: list[dict[str, Any]] = field(default_factory=list)
    general: list[Warned] = field(default_factory=list)
    """What a person should look at and belongs to no resource."""
    next: Forecast | None = None
    """How it goes on after a partial sync."""

    @classmethod
    def not_started(cls, workspace: str, error: OaSyncError) -> SyncReport:
        """The report of a sync that did nothing, for `error`."""
        now = Clock().now()
        return cls(str(uuid.uuid4()), workspace, now, finished_at=now, status="failed", error=error)

    @property
    def exit_code(self) -> int:
        """The exit code of the command line (contract: 0, 1, 3, 4 or 5)."""
        if self.status == "failed" and self.error is not None:
            return self.error.exit_code if self.error.exit_code in {2, 4, 5} else 1
        return EXIT_CODES[self.status]

    def warnings(self) -> Iterator[tuple[str | None, Warned]]:
        """What a person should look at, each with the name of its resource, where it has one."""
        for warned in self.general:
            yield None, warned
        for name, tally in self.tallies.items():
            for warned in tally.warnings:
                yield name, warned

    def as_json(self) -> dict[str, Any]:
        """The object that `sync --json` prints. It names keys and columns as the server does, but no secret."""
        told: dict[str, Any] = shown(self._as_json())
        return told

    def _as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "exit_code": self.exit_code,
            "sync_id": self.sync_id,
            "workspace": self.workspace,
            "dialect": self.dialect,
            "started_at": isoformat(self.started_at),
            "finished_at": isoformat(self.finished_at) if self.finished_at else None,
            "requests": self.requests.as_json(),
            "next": _next(self.next),
            "resources": {name: _resource(tally) for name, tally in self.tallies.items()},
            "rows": dict(sorted(self.rows.items())),
            "schema_changes": self.drift,
            "warnings": [
                {"code": warned.code, "resource": name, "message": warned.message}
                for name, warned in self.warnings()
            ],
            "error": self.error.as_json() if self.error else None,
        }


def _next(forecast: Forecast | None) -> dict[str, Any] | None:
    if forecast is None:
        return None
    return {
        "come_back_at": isoformat(forecast.come_back_at),
        "days_left": forecast.days_left,
    }


def _resource(tally: Tally) -> dict[str, Any]:
    return {
        "listed": tally.listed,
        "new": tally.new,
        "changed": tally.changed,
        "unchanged": tally.unchanged,
        "deleted": tally.deleted,
        "details_fetched": tally.details_fetched,
        "backlog": tally.backlog,
        "total": tally.total,
        "set_aside": len(tally.set_aside),
        "set_aside_rows": [one.as_json() for one in tally.set_aside[:SHOWN]],
        "read_at": isoformat(tally.read_at) if tally.read_at else None,
        "missing": tally.missing,
        "errors": [error.as_json() for error in tally.errors[:20]],
    }


def log_outcome(report: SyncReport) -> None:
    """Every warning, every failure and the outcome into the log, one line each; with `--log-format json` the outcome
    carries the whole summary."""
    errors = [error for tally in report.tallies.values() for error in tally.errors]
    if report.error is not None and report.error not in errors:
        errors.append(report.error)
    for name, warned in report.warnings():
        if name is not None:  # others were told when they were seen
            logger.warning("%s: %s", name, warned.message)
    for error in errors:
        partial = report.status == "partial"
        logger.log(logging.WARNING if partial else logging.ERROR, "%s", error)
    logger.info(
        "sync %s: %d requests, %d rows written",
        report.status,
        report.requests.made,
        sum(report.rows.values()),
        extra={"summary": report.as_json()},
    )
