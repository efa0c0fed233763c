"""Where one element of a list ends and the next begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson

from oa_sync.shape.cutting.bits import COMMA, OPEN_LIST, OPEN_OBJECT, Bytes, Index
from oa_sync.shape.cutting.head import check_json
from oa_sync.shape.cutting.spans import Rows, is_whitespace, positions_within, trimmed
from oa_sync.shape.cutting.structure import InvalidJsonError, Scanner, Structure, check_pairs

NO_SPANS = np.empty(0, np.int64)


@dataclass(frozen=True)
class Elements:
    """A part of a list: `data` from `base` on, and the brackets in it."""

    data: Bytes
    entries: Structure
    level: int
    base: int

    def split(
        self, start: int, end: int, *, final: bool, after_element: bool
    ) -> tuple[Index, Index]:
        """The elements that are complete between `start` and `end`.

        `final`: the list ends at `end`. `after_element`: an element ended at `start`, so a comma
        must come first.
        """
        spans = self._of_containers(start, end, final, after_element)
        if spans is None:
            spans = self._of_any(start, end, final, after_element)
        starts, ends = spans
        if len(ends):
            complete = int(np.searchsorted(self.entries.positions, ends[-1]))
            check_pairs(self.entries.slice(0, complete))
        return starts, ends

    def _of_containers(
        self, start: int, end: int, final: bool, after_element: bool
    ) -> tuple[Index, Index] | None:
        """The elements if all are objects or lists, else None: then commas must be looked for."""
        at = self.entries.positions[self.entries.levels == self.level]
        complete = len(at) & ~1
        starts, ends = at[0:complete:2], at[1:complete:2] + 1
        if not complete:
            return None
        leading, commas = self._gap(start, int(starts[0]))
        if not leading or commas != int(after_element):
            return None
        if final and (len(at) != complete or self._gap(int(ends[-1]), end) != (True, 0)):
            return None
        return (starts, ends) if self._single_commas(ends[:-1], starts[1:]) else None

    def _gap(self, start: int, end: int) -> tuple[bool, int]:
        """Whether there is only whitespace and commas from `start` to `end`, and how many commas."""
        text = self.data[start - self.base : end - self.base].tobytes()
        return not text.strip(b" \t\r\n,"), text.count(b",")

    def _single_commas(self, starts: Index, ends: Index) -> bool:
        """Whether each of the gaps is one comma and whitespace."""
        lengths = ends - starts
        if not len(lengths):
            return True
        if (lengths == 1).all():
            return bool((self.data[starts - self.base] == COMMA).all())
        # Each byte in a gap costs 24 bytes of index: too much for gaps full of scalars.
        if int(lengths.min()) < 1 or int(lengths.sum()) * 4 > len(self.data):
            return False
        content = self.data[positions_within(starts - self.base, ends - self.base)]
        commas = content == COMMA
        if not (commas | is_whitespace(content)).all():
            return False
        counts = np.add.reduceat(commas, np.cumsum(lengths) - lengths, dtype=np.int64)
        return bool((counts == 1).all())

    def _of_any(
        self, start: int, end: int, final: bool, after_element: bool
    ) -> tuple[Index, Index]:
        """The elements of any kind: all that is between two commas of the list itself."""
        inner = self.data[start - self.base : end - self.base]
        entries = Scanner(separators=True, offset=start).scan(inner)
        commas = entries.positions[(entries.levels == 0) & (entries.kinds == COMMA)]
        edges = commas if after_element else np.concatenate(([start - 1], commas))
        before = int(edges[0]) if len(edges) else end
        if after_element and self._text(start, before).strip(b" \t\r\n"):
            raise InvalidJsonError("an element of a list is not one value", start)
        if not len(edges):
            return NO_SPANS, NO_SPANS
        starts, ends = edges + 1, np.append(edges[1:], end)
        if not final:
            starts, ends = starts[:-1], ends[:-1]
        starts, ends = trimmed(self.data, starts - self.base, ends - self.base)
        starts, ends = starts + self.base, ends + self.base
        if final and len(starts) == 1 and starts[0] == ends[0] and not after_element:
            return NO_SPANS, NO_SPANS
        self._check_single(entries, starts, ends)
        return starts, ends

    def _check_single(self, entries: Structure, starts: Index, ends: Index) -> None:
        """Raise InvalidJsonError unless each span is exactly one value."""
        if (starts == ends).any():
            empty = int(starts[np.argmax(starts == ends)])
            raise InvalidJsonError("a list has a comma without an element", empty)
        outer = entries.positions[(entries.levels == 0) & entries.is_bracket()]
        outer = outer[: np.searchsorted(outer, ends[-1])] if len(ends) else outer[:0]
        opens, closes = outer[0::2], outer[1::2]
        first = self.data[starts - self.base]
        containers = (first == OPEN_OBJECT) | (first == OPEN_LIST)
        own = starts[containers], ends[containers] - 1
        if not (np.array_equal(own[0], opens) and np.array_equal(own[1], closes)):
            owner = np.searchsorted(starts, opens, side="right") - 1
            wrong = ~np.isin(opens, own[0]) | ~np.isin(closes, own[1])
            raise InvalidJsonError(
                "an element of a list is not one value", int(starts[owner[np.argmax(wrong)]])
            )
        self._check_scalars(starts[~containers], ends[~containers])

    def _check_scalars(self, starts: Index, ends: Index) -> None:
        if not len(starts):
            return
        scalars = Rows(self.data.data, starts - self.base, ends - self.base, self.base)
        joined = b"[" + scalars.ndjson()[:-1].replace(b"\n", b",") + b"]"
        try:
            orjson.loads(joined)
        except ValueError:
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                check_json(self._text(start, end), start)

    def _text(self, start: int, end: int) -> bytes:
        return self.data[start - self.base : end - self.base].tobytes()
