"""The single values of a definition: what each kind of text or number may be.

Validators raise `PydanticCustomError` with a text that never repeats the value (it may come from
the environment); `valid` in the error's context says what would be right.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from oa_sync.addresses import is_loopback
from oa_sync.definitions.paths import format_path, parse_path
from oa_sync.definitions.templates import placeholders

MAX_NAME = 63
"""Characters in a table name: PostgreSQL cuts longer identifiers without a warning."""

RESERVED_TABLES = frozenset({"syncs"})
_TABLE_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*_?")
_SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_CONTROL = re.compile(r"[\x00-\x20\x7f\\]")


def wrong(what: str, valid: str) -> PydanticCustomError:
    """An error whose text and advice are free of the value itself."""
    return PydanticCustomError("definition", "{what}", {"what": what, "valid": valid})


def _table_name(name: str) -> str:
    if name in RESERVED_TABLES or name.startswith(("_dlt", "_oa")):
        raise wrong(
            "a name that this program keeps for itself", "a name that is not syncs, _dlt… or _oa…"
        )
    if not _TABLE_NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise wrong(
            "not usable as a table name",
            f"small letters, digits and single underscores, a letter first, at most {MAX_NAME}",
        )
    return name


def _source_name(name: str) -> str:
    if not _SOURCE_NAME.fullmatch(name):
        raise wrong("not usable as a name", "letters, digits, _, - and ., at most 63")
    return name


def _path(path: str) -> str:
    try:
        return format_path(parse_path(path))
    except ValueError as error:
        raise wrong("not a path into JSON", str(error).rpartition("; ")[2]) from None


def _field_path(path: str) -> str:
    if _path(path) == "$":
        raise wrong("the whole row, where a field of it is meant", "a path like a.b")
    return _path(path)


def _not_a_flag(value: Any) -> Any:
    # pydantic reads true as 1, so that `size: true` would mean one row a page without an error.
    if isinstance(value, bool):
        raise wrong("expected a number", "a whole number")
    return value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _base_url(url: str) -> str:
    valid = "https://host[:port][/path], or http:// for localhost, 127.0.0.1 and [::1]"
    if _CONTROL.search(url):
        raise wrong("a URL with a blank, backslash or control character", valid)
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise wrong("not a URL", valid) from None
    if parts.scheme not in ("http", "https") or not host:
        raise wrong("not an http(s) URL", valid)
    if parts.scheme == "http" and not is_loopback(host):
        raise wrong("plain HTTP would send the key and the data unencrypted", valid)
    if "@" in parts.netloc:
        raise wrong("a user or password in the URL", "client.auth with type http_basic")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise wrong("a query or fragment in the base URL", "endpoint.params for query parameters")
    return url.rstrip("/")


def _relative_path(path: str) -> str:
    valid = "a path below base_url, like datasets or datasets/{id}"
    if _CONTROL.search(path):
        raise wrong("a path with a blank, backslash or control character", valid)
    if path.startswith("//") or "://" in path.partition("{")[0]:
        raise wrong("an absolute URL; the key would leave for another host", valid)
    if any(unquote(part) in ("..", ".") for part in path.split("/")):
        raise wrong("a path that leaves base_url", valid)
    if "?" in path or "#" in path:
        raise wrong("a query or fragment in the path", "endpoint.params for query parameters")
    try:
        placeholders(path)
    except ValueError:
        raise wrong(
            "braces that are not a placeholder", "{name}; {{ and }} for literal braces"
        ) from None
    return path.lstrip("/")


def _header_name(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise wrong("not a header name", "letters, digits and hyphens (RFC 9110, token)")
    return name


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise wrong("a line break or control character in a header", "one line of text")
    return value


def _header_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", text):
        raise wrong("empty, or a character that no key has", "one line of printable ASCII")
    return value


def _plain_param(value: Any) -> Any:
    items = value if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(item, str | int | float | bool | None) for item in items):
        raise wrong(
            "not a query parameter",
            "text, a number, true, false, a list of these, or {type: resolve, resource, field}",
        )
    return tuple(value) if isinstance(value, list) else value


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong("expected text or a number", "text or a number")
    return value


def _json_body(value: Any) -> Any:
    if not isinstance(value, dict):
        raise wrong("not a JSON body", "a mapping")
    return value


TableName = Annotated[
    str,
    AfterValidator(_table_name),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{_TABLE_NAME.pattern}$", "maxLength": MAX_NAME}
    ),
]
SourceName = Annotated[
    str,
    AfterValidator(_source_name),
    WithJsonSchema({"type": "string", "pattern": f"^{_SOURCE_NAME.pattern}$"}),
]
PathText = Annotated[str, AfterValidator(_path)]
FieldPath = Annotated[str, AfterValidator(_field_path)]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
_REFERENCE = WithJsonSchema({"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}$"})
Secret = Annotated[SecretStr, _REFERENCE]
HeaderSecret = Annotated[SecretStr, AfterValidator(_header_secret), _REFERENCE]
NaturalNumber = Annotated[int, BeforeValidator(_not_a_flag), Field(ge=0)]
PositiveNumber = Annotated[int, BeforeValidator(_not_a_flag), Field(ge=1)]
PlainParam = Annotated[
    Any,
    AfterValidator(_plain_param),
    WithJsonSchema({"type": ["string", "number", "boolean", "null", "array"]}),
]
Scalar = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number"]})]
JsonBody = Annotated[Any, AfterValidator(_json_body), WithJsonSchema({"type": "object"})]
KeyColumns = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_tuple, json_schema_input_type=str | list[str]),
]
