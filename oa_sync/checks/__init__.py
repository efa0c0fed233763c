"""`oa-sync check`: is everything there that a sync needs? Each check is one line with its next step."""

from __future__ import annotations

from oa_sync.checks.outcome import Check, CheckReport
from oa_sync.checks.run import run_checks

__all__ = ["Check", "CheckReport", "run_checks"]
