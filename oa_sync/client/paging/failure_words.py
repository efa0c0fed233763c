"""The words by which an answer says itself that it failed, or that rows are missing, whatever its status says.

They stand at the top of the answer, or in an object about it (`meta`). An object that has an id of its own is about
something else, so its `status` may be anything; there only what names an error counts.

Sources: JSend (`status`), GitHub's search (`incomplete_results`), Elasticsearch (`timed_out`, `_shards`), Jira
(`errorMessages`), RFC 7234, 5.5 (`Warning`; 110 to 112: a cache answers with what it had).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oa_sync.client.paging.envelope import squashed

_ERRORS = frozenset({"error", "errors", "exception", "fault"})
_MORE_ERRORS = frozenset(
    {"errormessage", "errormessages", "errormsg", "errmsg", "errorcode", "errcode", "partialerrors"}
)
_NO_ERROR = frozenset({"", "0", "none", "null", "no", "false", "ok", "success", "no error"})
_FAILED = frozenset({"error", "fail"})
_FAILED_BESIDE_NO_ROWS = _FAILED | {"failed", "failure"}
_CODES = frozenset({"code", "status", "statuscode"})
_PARTIAL = frozenset(
    {"incompleteresults", "partial", "ispartial", "partialresults", "timedout", "incomplete"}
)
_CUT = frozenset({"truncated", "istruncated"})
_ABOUT_THE_ANSWER = frozenset({"meta", "_meta", "metadata"})
_OWN_KEYS = frozenset({"id", "_id", "uuid"})
_STALE = re.compile(r"(?:^|,)\s*11[012]\b")
_RANGE = re.compile(r".*/(\d{1,15})\s*")


def is_error(value: Any) -> bool:
    """Whether `value`, under a name of `_ERRORS`, tells of an error. Some APIs always have the field, and say in zeros
    or in a word that there is none."""
    if isinstance(value, dict):
        return any(map(is_error, value.values()))
    if isinstance(value, str):
        return value.strip().lower() not in _NO_ERROR
    return bool(value)


def tells_failure(fields: Mapping[str, Any]) -> bool:
    """Whether the top of an answer says that something went wrong."""
    for key, value in fields.items():
        name = key.lower()
        if (name in _ERRORS and is_error(value)) or (name in ("success", "ok") and value is False):
            return True
    return False


def tells_failed_list(envelope: Mapping[str, Any]) -> bool:
    """Whether the answer to a request for a list says that it failed or that rows are missing. `envelope`: what stands
    beside its rows."""
    if tells_failure(envelope):
        return True
    if not _OWN_KEYS.isdisjoint(envelope):
        return False
    return any(
        _is_bad(key, value)
        or (key.lower() in _ABOUT_THE_ANSWER and type(value) is dict and tells_failed_list(value))
        for key, value in envelope.items()
    )


def tells_cut(envelope: Mapping[str, Any]) -> bool:
    """Whether the answer says that it was cut. Some servers say so of every page but the last, so only that of the
    last page means that rows are missing."""
    return any(squashed(key) in _CUT and _is_true(value) for key, value in envelope.items())


def is_stale(headers: Mapping[str, str]) -> bool:
    """Whether a cache answered because the server did not."""
    return _STALE.search(headers.get("Warning", "")) is not None


def total_in(headers: Mapping[str, str]) -> int | None:
    """The rows of the whole list by the head of an answer; None: it does not say."""
    count = headers.get("X-Total-Count", "").strip()
    if count.isascii() and count.isdigit() and len(count) < 16:
        return int(count)
    found = _RANGE.fullmatch(headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def is_failed_status(key: str, value: Any) -> bool:
    """Whether a field of an answer without rows is a status that tells of a failure."""
    is_text = isinstance(value, str)
    return key.lower() == "status" and is_text and value.lower() in _FAILED_BESIDE_NO_ROWS


def _is_bad(key: str, value: Any) -> bool:
    name = squashed(key)
    if name in _MORE_ERRORS:
        return is_error(value)
    if name in _PARTIAL:
        return _is_true(value)
    if key == "_shards" and type(value) is dict:
        return is_error(value.get("failed"))
    if name == "status" and isinstance(value, str) and value.lower() in _FAILED:
        return True
    return name in _CODES and type(value) in (int, str) and _is_http_error(str(value))


def _is_http_error(code: str) -> bool:
    return re.fullmatch(r"[45]\d\d", code) is not None


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
