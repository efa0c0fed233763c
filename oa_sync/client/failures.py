"""What an answer that is no success means: the vendor's error body, typed errors, next steps."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from oa_sync.client.wording import printable
from oa_sync.errors import (
    ApiError,
    ConnectionFailedError,
    InvalidRequestError,
    InvalidResponseError,
    NotAuthorisedError,
    NotFoundError,
    RateLimitedError,
    RedirectRefusedError,
    ServerError,
)
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import decode

VENDOR_TEXT = 300
_MISSING = (404, 405, 410)
_NO_LOCATION = "Invalid URL in location header"
_NOT_TAKEN = (408, 425)
"""The server did not take the request, and the same one may be sent again: it came too slowly (RFC 9110, section
15.5.9), or too early in a TLS connection (RFC 8470, section 5.2)."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that gave no usable answer.

    error: what to raise when it is not tried again.
    sent: whether the request may have reached the server.
    retry_after: seconds that the server asks to wait, None if it does not say.
    final: a second attempt cannot succeed.
    """

    error: ApiError
    sent: bool = True
    retry_after: float | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class VendorError:
    """The vendor's own words about an error, made harmless; None where there are none."""

    code: str | None
    message: str | None
    request_id: str | None

    @classmethod
    def parse(
        cls, body: bytes, headers: Mapping[str, str], redact: Callable[[str], str]
    ) -> VendorError:
        """Read `{"error": {"code", "message", "request_id"}}` and what comes near it.

        Also taken: the same keys at the top level, `error` or `detail` as plain text, and the
        request id of an `X-Request-Id` header. `redact` takes the secrets out of each text.
        """
        try:
            document = decode(body)
        except InvalidJsonError:
            document = None
        outer = document if isinstance(document, dict) else {}
        inner = outer.get("error")
        error = inner if isinstance(inner, dict) else outer
        message = error.get("message") or error.get("detail") or inner
        request_id = error.get("request_id") or outer.get("request_id")
        return cls(
            code=_text(error.get("code"), redact, 64),
            message=_text(message, redact, VENDOR_TEXT),
            request_id=_text(request_id or headers.get("x-request-id"), redact, 128),
        )


def api_error(
    status: int, what: str, vendor: VendorError, retry_after: float | None, *, limited: bool
) -> ApiError:
    """The error for a final answer other than 2xx and redirects. `limited`: it is a rate limit."""
    said = f" {vendor.code}" if vendor.code else ""
    said += f' "{vendor.message}"' if vendor.message else ""
    said += f"; request id {vendor.request_id}" if vendor.request_id else ""
    message = f"{what} answered {status}{said}; "
    if limited:
        return RateLimitedError(
            message + _when_limited(retry_after),
            retry_after=retry_after,
            status=status,
            api_code=vendor.code,
            request_id=vendor.request_id,
        )
    return _class_of(status)(
        message + _next_step(status),
        status=status,
        api_code=vendor.code,
        request_id=vendor.request_id,
    )


def connection_failure(error: httpx.HTTPError | TimeoutError, what: str) -> Failure:
    """The failure for an exception of the transport.

    Its own text is only taken where no request existed yet: other texts of httpx hold the URL, and
    those of its parser hold the bad header line.
    """
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        reason = "the request could not be put on the wire; check client.headers"
        return Failure(InvalidRequestError(f"{what}: {reason}"), sent=False, final=True)
    if isinstance(error, httpx.RemoteProtocolError) and _NO_LOCATION in str(error):
        reason = "answered with a redirect to what is not a URL; tell the vendor"
        return Failure(RedirectRefusedError(f"{what} {reason}"), final=True)
    sent = not isinstance(error, _NOT_SENT)
    certificate = _is_certificate_error(error)
    step = (
        "check the base URL and this machine's certificates"
        if certificate
        else "check the network, the base URL and the API's status page, then run again"
    )
    return Failure(
        ConnectionFailedError(f"{what} failed: {_reason(error)}; {step}"),
        sent=sent,
        final=certificate,
    )


def _reason(error: httpx.HTTPError | TimeoutError) -> str:
    match error:
        case httpx.ConnectTimeout():
            return "no connection within the connect time-out"
        case httpx.PoolTimeout():
            return "no free connection within the pool time-out"
        case httpx.ConnectError() | httpx.ProxyError():
            return f"no connection ({printable(str(error), 200)})"
        case httpx.ReadTimeout():
            return "the server sent nothing within the read time-out"
        case httpx.WriteTimeout():
            return "the server took nothing within the write time-out"
        case TimeoutError():
            return "no whole answer within the time limit"
        case httpx.RemoteProtocolError():
            return "the server closed the connection before the answer was whole"
        case _:
            return "the connection broke before the answer was whole"


def _is_certificate_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _class_of(status: int) -> type[ApiError]:
    if status in (401, 403):
        return NotAuthorisedError
    if status in _MISSING:
        return NotFoundError
    if status in _NOT_TAKEN:
        return ConnectionFailedError
    if 400 <= status < 500:
        return InvalidRequestError
    return ServerError if status >= 500 else InvalidResponseError


def _when_limited(retry_after: float | None) -> str:
    if retry_after is None:
        return "run again later, or lower the limits (--rpm, --rpd)"
    return f"the server asks to wait {retry_after:,.0f} s; run again after that"


def _next_step(status: int) -> str:
    match status:
        case 401:
            return "check that the API key is whole, current and of this workspace"
        case 402:
            return "the account is not paid, or its plan does not have this; ask the vendor"
        case 403:
            return "check the scopes of the API key and the workspace's IP allow-list"
        case 404 | 405 | 410:
            return (
                "check the base URL and the path; where the other paths answer and this API has no"
                " such endpoint, declare it optional"
            )
        case _ if status in _NOT_TAKEN or status >= 500:
            return "run again later; if it stays, tell the vendor"
        case _ if 400 <= status < 500:
            return "check the parameters and page size in the definition, or the SQL of a query"
        case _:
            return "check the base URL and the path"


def _text(value: Any, redact: Callable[[str], str], limit: int) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return printable(redact(value), limit) if isinstance(value, str) and value else None
