"""Replies and refusals, in the form of a dialect."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from oa_sync.emulator.encoding import encode
from oa_sync.emulator.options import Dialect

# Status to error code, as the dialects document them; 405 is documented by neither.
CODES: dict[Dialect, dict[int, str]] = {
    "page": {
        400: "VALIDATION_ERROR",
        401: "UNAUTHORIZED",
        403: "FORBIDDEN",
        404: "NOT_FOUND",
        405: "METHOD_NOT_ALLOWED",
        409: "CONFLICT",
        422: "VALIDATION_ERROR",
        429: "RATE_LIMITED",
        500: "INTERNAL_ERROR",
    },
    "cursor": {
        400: "invalid_request",
        401: "authentication_required",
        403: "forbidden",
        404: "not_found",
        405: "method_not_allowed",
        409: "conflict",
        422: "unprocessable",
        429: "rate_limit_exceeded",
        500: "internal_error",
    },
}


class Refusal(Exception):
    """A request is answered with an error of the dialect."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before the server's own headers are added to it.

    `aborts`: the connection ends in the middle of the body.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    aborts: bool = False

    @classmethod
    def of(cls, status: int, value: Any) -> Reply:
        """A reply with `value` as its JSON body."""
        return cls(status, encode(value))


def error_body(dialect: Dialect, refusal: Refusal, request_id: str) -> bytes:
    """The error body of a dialect."""
    code = refusal.code or CODES[dialect].get(refusal.status, CODES[dialect][500])
    error = {
        "code": code,
        "message": refusal.message,
        "status": refusal.status,
        "request_id": request_id,
    }
    return json.dumps({"error": error}).encode()
