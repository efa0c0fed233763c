"""A whole, successful answer, and the cheap proof that it is JSON and not cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from oa_sync.client.rows import UndecodedRows
from oa_sync.errors import InvalidResponseError
from oa_sync.shape.body import MIB, Body
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import BYTE_ORDER_MARK, decode
from oa_sync.shape.lists import split_list

NO_CONTENT = 204
"""The status of an answer that has no body and is whole (RFC 9110, section 15.3.5)."""
_CLOSING = {ord("{"): ord("}"), ord("["): ord("]")}


@dataclass(frozen=True, slots=True)
class Response:
    """A 2xx answer with a JSON object or list in `body`; no bytes where the caller takes an empty one.

    `url` has the query and so is not for messages; `what` is (`GET reports (page 7)`).
    `received_at` is this machine's time of the last byte, `server_date` the server's, in UTC.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Body = field(repr=False)
    url: str = field(repr=False)
    what: str
    received_at: datetime
    server_date: datetime | None

    def json(self) -> Any:
        """The decoded body, decoded anew at every call.

        Raises:
            InvalidResponseError: it is not JSON.
        """
        try:
            return decode(self.body)
        except InvalidJsonError as error:
            position = error.offset
        raise InvalidResponseError(
            f"{self.what} answered {self.status} with a body that is not JSON (at byte"
            f" {position:,}); try again later, then tell the vendor",
            status=self.status,
        )

    def json_apart(self, path: str) -> tuple[Any, UndecodedRows] | None:
        """The decoded body with an empty list at the dotted `path`, and that list's rows apart; None where
        only the whole body can be decoded, with `json`."""
        split = split_list(self.body, path)
        if split is None:
            return None
        head, rows = split
        return decode(head), UndecodedRows(rows, self.what)


class EmptyBodyError(InvalidResponseError):
    """A 2xx `response` without a body, whose status does not say that it has none."""

    def __init__(self, response: Response) -> None:
        super().__init__(
            f"{response.what} answered {response.status} with an empty body; try again later",
            status=response.status,
        )
        self.response = response


def is_blank(body: Body) -> bool:
    """Whether nothing but white space is in `body`."""
    return _first_byte(body) is None


def checked_body(body: Body, content_type: str, what: str, status: int) -> Body:
    """`body` without a byte order mark, if it looks like one whole JSON object or list.

    Looks at both ends and counts braces and brackets, which finds a cut that happens to fall
    behind a closing brace; only a body whose strings hold unpaired ones is decoded to be sure.

    Raises:
        InvalidResponseError: empty, HTML, not JSON, or cut.
    """
    if bytes(body[:3]) == BYTE_ORDER_MARK:
        body = body[3:]
    first, last = _first_byte(body), _last_byte(body)
    problem = _problem(body, first, last, content_type.lower())
    if problem is None:
        return body
    raise InvalidResponseError(f"{what} answered {status} with {problem}", status=status)


def server_date(headers: Mapping[str, str]) -> datetime | None:
    """The answer's `Date` (RFC 9110, 6.6.1) in UTC; None where absent or unreadable."""
    try:
        instant = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, OverflowError):
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _problem(body: Body, first: int | None, last: int | None, content_type: str) -> str | None:
    if first is None:
        return "an empty body; try again later"
    if first == ord("<") or (first not in _CLOSING and "html" in content_type):
        return "HTML instead of JSON; check the base URL, and that no proxy or login page answers"
    if first not in _CLOSING:
        return "a body that is neither a JSON object nor a list; check the base URL and the path"
    if last != _CLOSING[first] or not _looks_whole(body):
        return "JSON that is cut or broken; try again later, then tell the vendor"
    return None


LARGE = 256 * 1024
"""Bytes beyond which counting brackets costs more than it is worth."""


def _slices(body: Body) -> Iterator[bytes]:
    for start in range(0, len(body), MIB):
        yield bytes(body[start : start + MIB])


def _first_byte(body: Body) -> int | None:
    return next((left[0] for piece in _slices(body) if (left := piece.lstrip())), None)


def _last_byte(body: Body) -> int | None:
    for end in range(len(body), 0, -MIB):
        if left := bytes(body[max(0, end - MIB) : end]).rstrip():
            return left[-1]
    return None


def _looks_whole(body: Body) -> bool:
    """Whether brackets pair up. A large body is not checked here: its reader goes through it anyway."""
    return len(body) > LARGE or _balanced(body) or _decodes(body)


def _balanced(body: Body) -> bool:
    braces = brackets = 0
    for piece in _slices(body):
        braces += piece.count(b"{") - piece.count(b"}")
        brackets += piece.count(b"[") - piece.count(b"]")
    return braces == 0 == brackets


def _decodes(body: Body) -> bool:
    try:
        decode(body)
    except InvalidJsonError:
        return False
    return True
