"""What was found: one `Check` a line, a `CheckReport` for all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from oa_sync.errors import OaSyncError
from oa_sync.report import error_json

# Of several failures the one that has to be mended first decides.
_EXIT_CODES = (2, 5, 4, 1, 3)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `detail` says what is so and, where it failed, what to do.

    `skipped`: it could not be looked at because something else failed or is running.
    """

    name: str
    status: Literal["ok", "failed", "skipped"]
    detail: str
    error: OaSyncError | None = None

    @classmethod
    def failed(cls, name: str, error: OaSyncError) -> Check:
        """A failed check; errors of ours name the next step themselves."""
        return cls(name, "failed", str(error), error)


@dataclass
class CheckReport:
    """All findings in order, and the requests they cost (every one put on the wire)."""

    checks: list[Check] = field(default_factory=list)
    requests: int = 0

    @property
    def exit_code(self) -> int:
        """2 for configuration, 5 not authorised, 1 failed, 3 when the budget ended; 0 if all is well."""
        codes = {
            1 if check.error is None else check.error.exit_code
            for check in self.checks
            if check.status == "failed"
        }
        return next((code for code in _EXIT_CODES if code in codes), 0)

    def as_json(self) -> dict[str, Any]:
        """The object that `check --json` prints."""
        return {
            "status": "failed" if self.exit_code else "ok",
            "exit_code": self.exit_code,
            "requests": {"made": self.requests},
            "checks": [
                {
                    "name": check.name,
                    "status": check.status,
                    "detail": check.detail,
                    "error": error_json(check.error),
                }
                for check in self.checks
            ],
        }
