"""Where a list goes on: enough to read on from there in a later sync."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from oa_sync.definitions.model import Paginator

_PAGINATOR: TypeAdapter[Paginator] = TypeAdapter(Paginator)


@dataclass(frozen=True, slots=True)
class Onward:
    """The page after one that was read. `at`: its number, its offset, its cursor or its URL, by the kind of the
    `paginator` (never `auto`). `rows`: how many came before it; `size`: the most on one page so far."""

    paginator: Paginator
    at: int | str
    rows: int
    size: int

    @classmethod
    def from_fact(cls, fact: Any) -> Onward | None:
        """Read back what `as_fact` wrote; None for anything else."""
        try:
            paginator = _PAGINATOR.validate_python(fact["paginator"])
            at, rows, size = fact["at"], fact["rows"], fact["size"]
        except (TypeError, KeyError, ValueError):
            return None
        if type(at) not in (int, str) or type(rows) is not int or type(size) is not int:
            return None
        return cls(paginator, at, rows, size)

    def as_fact(self) -> dict[str, Any]:
        """A JSON value."""
        fact = asdict(self)
        return {**fact, "paginator": self.paginator.model_dump(mode="json")}
