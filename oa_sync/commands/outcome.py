"""What a sync reports at its end: its status, its error, and what it warns of."""

from __future__ import annotations

import logging

from oa_sync.client.wording import printable
from oa_sync.clock import Clock
from oa_sync.errors import ApiError, BudgetExhausted, OaSyncError
from oa_sync.extract.cost import Cost
from oa_sync.extract.rationing import CODE
from oa_sync.extract.set_aside import SHOWN
from oa_sync.extract.tally import Tally, Warned
from oa_sync.load.disk_errors import disk_error
from oa_sync.load.loader import Loader
from oa_sync.quota.headers import as_exhausted
from oa_sync.settings import Settings
from oa_sync.tables.assembler import Assembler
from oa_sync.workspace.connection import Connection
from oa_sync.workspace.report import SyncReport

logger = logging.getLogger(__name__)


class Outcome:
    """Writes into `report` what became of its sync."""

    def __init__(self, report: SyncReport, clock: Clock) -> None:
        self._report, self._clock = report, clock

    def fail(self, error: OaSyncError) -> None:
        """Take in that the sync did not do all of its work because of `error`. An ended budget makes it partial."""
        exhausted = as_exhausted(error, self._clock.now())
        self._report.status = "partial" if exhausted else "failed"
        self._report.error = exhausted or error

    def note_rows(self, assembler: Assembler, loader: Loader) -> None:
        """Take in which rows were not loaded, or not as they came. Call it when all rows are shaped."""
        refused: list[tuple[str, OaSyncError, int]] = [
            (name, error, assembler.left_out[name]) for name, error in assembler.frozen.items()
        ]
        for one in loader.rejected:
            refused.append((one.resource, one.error, 1))
            self._report.tallies.setdefault(one.resource, Tally()).set_aside.append(one.row)
        for name, keys in assembler.mended():
            more = f" and {len(keys) - SHOWN:,} more" if len(keys) > SHOWN else ""
            shown = ", ".join(printable(key, 60) for key in keys[:SHOWN])
            text = (
                f"in the rows {shown}{more}, values that cannot be kept were replaced (half a"
                " character by U+FFFD, NaN by null); have them mended at the source"
            )
            self._report.tallies.setdefault(name, Tally()).warnings.append(Warned("replaced", text))
        for failed in loader.set_aside:
            self.fail(failed)
        for name, error, count in refused:
            tally = self._report.tallies.setdefault(name, Tally())
            tally.errors.append(error)
            tally.backlog += count
            if self._report.status != "failed":
                self.fail(error)

    def conclude(
        self, exhausted: BudgetExhausted | None, remaining: Cost, connection: Connection
    ) -> None:
        """Turn what happened into a status. Call it before the `syncs` row is written."""
        report = self._report
        if report.status == "failed":
            return
        failed = next((t.errors[0] for t in report.tallies.values() if t.errors), None)
        if failed is not None:
            self.fail(failed)
        elif exhausted is not None:
            self.fail(exhausted)
        if report.status == "partial":
            report.next = connection.forecast(remaining, self._clock.now())
            if report.next.days_left is None:
                self._warn_of_lists(remaining.lists, connection)

    def _warn_of_lists(self, pages: int, connection: Connection) -> None:
        """Tell that lists alone take all that a sync may send, where no list said so for itself."""
        tallies = self._report.tallies
        if any(warned.code == CODE for _, warned in self._report.warnings()) or not tallies:
            return
        longest = max(tallies.values(), key=lambda tally: tally.listed)
        text = (
            f"the lists alone take {pages:,} requests in each sync, which is all that it may send, so details are"
            f" never fetched; {connection.enough_for(pages) or 'with more requests a sync they are'}"
        )
        longest.warnings.append(Warned(CODE, text))


def as_ours(error: Exception, settings: Settings) -> OaSyncError:
    """`error` as one of ours. The text of an unknown error may hold secrets, so it goes to the log only,
    where they are replaced."""
    if isinstance(error, ApiError):
        return error
    if (told := disk_error(error, settings)) is not None:
        return told
    if isinstance(error, OaSyncError):
        return error
    logger.error("the sync failed", exc_info=error)
    reason = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
    return OaSyncError(
        f"{type(error).__name__}{reason}; what was fetched is kept, the log says more. Run again; if"
        " it stays, report it with the log"
    )
