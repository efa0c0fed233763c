"""Every error this package raises on purpose. Each class knows the exit code of the command line."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from oa_sync.process_wide import hidden, without

logger = logging.getLogger(__name__)


class OaSyncError(Exception):
    """Base of all; a message names the thing, the value, the reason and the next step."""

    exit_code = 1
    code = "failed"
    retry = True
    """Whether the same call may succeed later though nobody mends anything."""

    def __str__(self) -> str:
        # A server can put a secret that it was sent into whatever of its answer is told.
        return without(super().__str__(), hidden())

    def as_json(self) -> dict[str, Any]:
        """The error as `--json` shows it."""
        return {"code": self.code, "message": str(self), "retry": self.retry}


class ConfigurationError(OaSyncError):
    """A setting, flag or argument is wrong or missing; nothing was done."""

    exit_code = 2
    code = "configuration"
    retry = False


class DefinitionError(ConfigurationError):
    """A definition file is wrong. `problems` has one line for each fault: `file:line: what`."""

    code = "definition"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LockHeldError(OaSyncError):
    """Another sync of the same workspace and destination is running."""

    exit_code = 4
    code = "locked"


class DestinationError(OaSyncError):
    """The destination cannot be reached, read or written."""

    code = "destination"


class UnusableDestinationError(DestinationError):
    """The destination answers, but nothing can be loaded as things are: a right is missing, or its tables are
    somebody else's."""

    retry = False


class DiskError(OaSyncError):
    """A disk refuses: it is full, read-only, broken, or not this user's. No row is at fault, and what was
    fetched is kept. `number` is the `errno`."""

    code = "disk"

    def __init__(self, where: str, number: int, kept: str = "what was fetched is kept") -> None:
        step = _NEXT_STEPS[number]
        super().__init__(f"{where} ({os.strerror(number)}); {kept}. {step}, then run again")
        self.number = number
        self.retry = number in DISK_MAY_HEAL


DISK_MAY_HEAL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})
_NEXT_STEPS = {
    errno.ENOSPC: "Make room there",
    errno.EDQUOT: "Make room there, or have the quota raised",
    errno.EIO: "Look after that disk",
    errno.EROFS: "Make it writable",
    errno.EACCES: "Let this user write there",
}
_LIBRARIES_SAY = {os.strerror(number): number for number in _NEXT_STEPS} | {
    "database or disk is full": errno.ENOSPC,  # SQLite
}
_TELL_IN_WORDS = re.compile(
    r"(_?duckdb|sqlite3|sqlalchemy|deltalake|_internal)[\w.]*\."
    r"(IOException|TransactionException|FatalException|OperationalError|DeltaError|CommitFailedError)"
)
"""Errors of libraries whose text may name what the disk answered, and never quotes a value of a row: that may
read like the answer of a disk."""
_SQLSTATES = {"53100": errno.ENOSPC, "58030": errno.EIO}
_SQLITE_NAMES = {
    "SQLITE_FULL": errno.ENOSPC,
    "SQLITE_IOERR_SHMSIZE": errno.ENOSPC,  # the index of its log cannot grow
    "SQLITE_IOERR_READ": errno.EIO,
    "SQLITE_IOERR_SHORT_READ": errno.EIO,
    "SQLITE_IOERR_WRITE": errno.EIO,
    "SQLITE_IOERR_FSYNC": errno.EIO,
    "SQLITE_IOERR_DIR_FSYNC": errno.EIO,
    "SQLITE_IOERR_TRUNCATE": errno.EIO,
}
"""SQLite tells most of them by the same words, "disk I/O error". The ones that are not here are about locks and
shared memory, which a file system of a network lacks: no next step for a disk helps there."""


def disk_number(error: BaseException) -> int | None:
    """The `errno` of a disk that refused, if that is why `error` was raised; libraries tell it in many ways."""
    for one in causes(error):
        if isinstance(one, DiskError):
            return one.number
        if isinstance(one, OSError) and one.errno in _NEXT_STEPS:
            return one.errno
        state = _SQLSTATES.get(str(getattr(one, "sqlstate", None)))
        state = state or _SQLITE_NAMES.get(str(getattr(one, "sqlite_errorname", None)))
        if state is not None:
            return state
        name = f"{type(one).__module__}.{type(one).__name__}"
        if _TELL_IN_WORDS.fullmatch(name) or isinstance(one, OSError):
            for said, number in _LIBRARIES_SAY.items():
                if said in str(one):
                    return number
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and what it was raised from, the last one first."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


class SchemaContractError(OaSyncError):
    """The API's rows need a change of the tables, and the definition freezes them. Loading stops for this
    resource; the others are loaded."""

    code = "schema_contract"
    retry = False


class MassDeletionError(OaSyncError):
    """More rows are absent from a list at once than deletions are believed to explain; they are kept."""

    code = "mass_deletion"


class BudgetExhausted(OaSyncError):
    """This command may send no further request. It ends as partial, never as failed.

    `resets_at` is the UTC instant from which at least one request is allowed again, where known.
    """

    exit_code = 3
    code = "budget_exhausted"

    def __init__(self, message: str, resets_at: datetime | None = None) -> None:
        super().__init__(message)
        self.resets_at = resets_at


class Interrupted(BudgetExhausted):
    """SIGTERM or Ctrl-C: no further request is sent, what was fetched is loaded."""

    code = "interrupted"


class ApiError(OaSyncError):
    """The API answered something other than the wanted resource, or did not answer.

    `status` is the HTTP status (None: no answer), `api_code` and `request_id` are the vendor's where
    its error body had them. The text never holds a query string, a header or a body.
    """

    code = "api"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        api_code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.api_code = api_code
        self.request_id = request_id

    def as_json(self) -> dict[str, Any]:
        """The error as `--json` shows it, with what the API said."""
        said = {"status": self.status, "api_code": self.api_code, "request_id": self.request_id}
        return {**super().as_json(), **said}


class NotAuthorisedError(ApiError):
    """401, or 403 that is no rate limit: the key is missing, wrong, expired, or not allowed to do this."""

    exit_code = 5
    code = "not_authorised"
    retry = False


class NotFoundError(ApiError):
    """404 or 410."""

    code = "not_found"
    retry = False


class InvalidRequestError(ApiError):
    """400, 409, 422 and other 4xx: asking again the same way cannot help."""

    code = "invalid_request"
    retry = False


class RateLimitedError(ApiError):
    """429, and what else is a rate limit (`quota/headers.py:is_rate_limit`). `retry_after` is the server's
    wait in seconds, None when it did not say."""

    code = "rate_limited"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = 429,
        api_code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, status=status, api_code=api_code, request_id=request_id)
        self.retry_after = retry_after


class ServerError(ApiError):
    """5xx; may heal."""

    code = "server"


class ConnectionFailedError(ApiError):
    """No whole answer came: refused, reset, timed out, cut in mid-body."""

    code = "connection"


class InvalidResponseError(ApiError):
    """A 2xx answer that is not what was asked for: HTML, not JSON, empty, of the wrong shape."""

    code = "invalid_response"


class IncompleteListError(ApiError):
    """A list contradicts itself: it shows fewer rows than it says, says nothing of how it goes on, or does not
    show a row that is there. What it does not show proves nothing."""

    code = "incomplete"


class BodyTooLargeError(ApiError):
    """The decompressed body is larger, or grew more, than the client accepts (`BodyLimits`)."""

    code = "body_too_large"
    retry = False


class RedirectRefusedError(ApiError):
    """A redirect or a next link left the configured host; following it would send the key there."""

    code = "redirect_refused"
    retry = False


class NotKeptError(ApiError):
    """An answer came, but this machine's disk did not take it."""

    code = "not_kept"


class UnexpectedError(ApiError):
    """Something that nobody thought of went wrong with one row or one resource; the others go on."""

    code = "unexpected"


def unexpected(error: Exception, what: str) -> UnexpectedError:
    """`error`, which a library or a mistake of ours raised, as one of ours; `what` names what was done.

    Its text may hold secrets, so it goes to the log only, where they are replaced.
    """
    logger.error("%s failed", what, exc_info=error)
    return UnexpectedError(
        f"{what}: {type(error).__name__}; it is left for the next sync, and the log says more. If it stays,"
        " report it with the log"
    )
