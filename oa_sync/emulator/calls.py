"""One request as an endpoint of the emulator sees it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from oa_sync.emulator.encoding import decode
from oa_sync.emulator.parts import Parts
from oa_sync.emulator.replies import Refusal, Reply

if TYPE_CHECKING:
    from starlette.requests import Request

T = TypeVar("T")
JSON_NAMES: dict[type, str] = {str: "string", dict: "object", list: "array"}
URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]*")
MAX_REQUEST_BODY = 1 << 20


@dataclass(frozen=True, slots=True)
class Call:
    """One request as an endpoint sees it."""

    emulator: Parts
    request: Request
    params: dict[str, Any]
    now: datetime

    def invalid(self, message: str) -> Refusal:
        """The refusal of malformed input: 422 in the page dialect, 400 in the cursor dialect."""
        return Refusal(422 if self.emulator.options.dialect == "page" else 400, message)

    def integer(self, name: str, default: int, maximum: int | None = None) -> int:
        """The query parameter `name`, an integer of at least 1; Refusal if it is anything else."""
        values = self.request.query_params.getlist(name)
        if not values:
            return default
        text = values[0]
        digits = text.isascii() and text.isdigit() and len(text) <= 18
        number = int(text) if digits and len(values) == 1 else 0
        if number < 1 or (maximum is not None and number > maximum):
            shown = text if len(text) <= 40 else text[:40] + "…"
            limit = f" and at most {maximum}" if maximum is not None else ""
            raise self.invalid(f"{name} must be one integer, at least 1{limit} ({name}={shown!r})")
        return number

    async def json_object(self) -> dict[str, Any]:
        """The request body, which must be a JSON object of at most 1 MiB."""
        body = b""
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > MAX_REQUEST_BODY:
                raise self.invalid("the request body is larger than 1 MiB")
        try:
            value = decode(body)
        except (ValueError, RecursionError) as error:
            raise self.invalid("the request body is not JSON") from error
        if not isinstance(value, dict):
            raise self.invalid("the request body must be a JSON object")
        return value

    def field(
        self, body: dict[str, Any], name: str, kind: type[T], required: bool = False
    ) -> T | None:
        """The body's `name`, of type `kind`; None when absent. Refusal for another type."""
        if name not in body and not required:
            return None
        value = body.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.invalid(f"{name} must be a JSON {JSON_NAMES[kind]}")
        return value

    def text(self, body: dict[str, Any], name: str, minimum: int = 0) -> str:
        """The body's `name`, a string of at least `minimum` characters. Refusal otherwise."""
        value = self.field(body, name, str, required=True)
        if value is None or len(value) < minimum:
            raise self.invalid(f"{name} must not be empty")
        return value

    def texts(self, body: dict[str, Any], name: str, required: bool = False) -> list[str] | None:
        """The body's `name`, a list of strings; None when absent. Refusal otherwise."""
        values = self.field(body, name, list, required)
        if values is not None and not all(isinstance(value, str) for value in values):
            raise self.invalid(f"{name} must be a list of strings")
        return values

    def positive(self, body: dict[str, Any], name: str) -> int | None:
        """The body's `name`, an integer of at least 1; None when absent. Refusal otherwise."""
        if name not in body:
            return None
        value = body[name]
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or value < 1:
            raise self.invalid(f"{name} must be an integer of at least 1")
        return int(value)

    def uri(self, body: dict[str, Any], name: str, required: bool = False) -> str | None:
        """The body's `name`, a URI (RFC 3986); None when absent. Refusal otherwise."""
        value = self.field(body, name, str, required)
        if value is not None and not URI.fullmatch(value):
            raise self.invalid(f"{name} must be a URI")
        return value


Endpoint = Callable[[Call], Awaitable[Reply]]
