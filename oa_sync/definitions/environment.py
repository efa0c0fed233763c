"""`${NAME}`: values from the environment, and the rule that a secret is never written in a file.

The expansion happens in the parsed values, so nothing that a variable holds can become YAML. The
written text stays in the mark: error messages show that text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from oa_sync.definitions.document import Mark, MarkedDict, MarkedList, Problems

_REFERENCE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{([^}]*\}?)")
_HEADER_SECRET = re.compile(
    r"authoriz|\bauth\b|cookie|token|secret|passw|credential|signature"
    r"|(api|app|access|auth|account|master|private|secret|subscription|license)[-_]?key",
    re.IGNORECASE,
)
_FIELD_SECRET = re.compile(
    r"((api|app|access|auth|private|secret|subscription)[-_]?key|(access|auth|refresh|bearer|session)?[-_]?token"
    r"|password|passwd|pwd|secret|(client|app)[-_]?secret|signature)",
    re.IGNORECASE,
)
_SECRET_FORM = re.compile(
    r"((Bearer|Basic|Token|ApiKey) )?\$\{[A-Za-z_][A-Za-z0-9_]*\}", re.IGNORECASE
)
_KEY = re.compile(
    r"\boa_(live|test)_\w{4}"
    r"|\b(ghp|gho|ghs|ghu)_\w{20}|\bgithub_pat_\w{20}|\bglpat-[\w-]{16}"
    r"|\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[\w-]{30}|\bxox[abprs]-\w{8}|\b[rs]k_(live|test)_\w{12}"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.|-----BEGIN [A-Z ]*PRIVATE KEY"
)
"""Forms in which vendors write their keys: of OpenAnalyst, GitHub, GitLab, AWS, Google, Slack, Stripe; JSON web tokens
(RFC 7519) and private keys (RFC 7468)."""
_ADVICE = "${NAME}, with NAME set in the environment"
_PLACES = ("auth", "headers", "params", "json")
_TEMPLATES = ("path", "endpoint", "params", "json")
"""Where braces are placeholders: the braces in a variable's value must not become placeholders."""


class Variables(Mapping[str, str]):
    """An environment that keeps what was read of it: `read` has name and value, in the order of the file."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.read: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        value = self._environ[name]
        self.read[name] = value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def is_secret(place: str | None, key: str) -> bool:
    """Whether `key` inside the mapping `place` (`auth`, `headers`, `params`, `json`) is a secret."""
    if place == "headers":
        return bool(_HEADER_SECRET.search(key))
    return place in _PLACES and bool(_FIELD_SECRET.fullmatch(key))


def expand(document: MarkedDict, environ: Mapping[str, str], problems: Problems) -> MarkedDict:
    """A copy of `document` with every `${NAME}` replaced; `$${` stands for a literal `${`."""
    expanded: MarkedDict = _Expansion(environ, problems).mapping(document, None)
    return expanded


def _well_kept(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_SECRET_FORM.fullmatch(value))
    return value is None or isinstance(value, MarkedDict)


class _Expansion:
    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        self._environ = environ
        self._problems = problems

    def mapping(self, source: MarkedDict, place: str | None) -> MarkedDict:
        copy = MarkedDict(source.mark)
        for key, value in source.items():
            mark = source.marks[key]
            inner = key if key in (*_PLACES, *_TEMPLATES) else place
            if is_secret(place, key) and not _well_kept(value):
                self._problems.add(mark, "a secret written out in the file", valid=_ADVICE)
                value = None
            copy.put(key, *self.value(value, mark, inner))
        return copy

    def value(self, value: Any, mark: Mark, place: str | None) -> tuple[Any, Mark]:
        if isinstance(value, MarkedDict):
            return self.mapping(value, place), mark
        if isinstance(value, MarkedList):
            items = MarkedList(value.mark)
            for item, item_mark in value.marked():
                items.put(*self.value(item, item_mark, place))
            return items, mark
        if isinstance(value, str):
            return self.text(value, mark, place), replace(mark, written=value)
        return value, mark

    def text(self, text: str, mark: Mark, place: str | None) -> str:
        if _KEY.search(text):
            self._problems.add(mark, "an API key written out in the file", valid=_ADVICE)
            return ""

        def value_of(match: re.Match[str]) -> str:
            literal, name, malformed = match.groups()
            if literal:
                return "${"
            if malformed is not None:
                self._problems.add(
                    mark, "${ that names no variable", valid="${NAME}; $${ for a literal ${"
                )
            elif name not in self._environ:
                what = f"the environment variable {name} is not set"
                self._problems.add(mark, what, valid=f"set {name} and run again")
            value = self._environ.get(name or "", "")
            if place in _TEMPLATES:
                value = value.replace("{", "{{").replace("}", "}}")
            return value

        return _REFERENCE.sub(value_of, text)
