"""The rows of a page as texts, decoded one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from oa_sync.errors import InvalidResponseError
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import decode


class UndecodedRows(Sequence[dict[str, Any]]):
    """The rows of a page, each decoded when it is asked for, and anew every time.

    A page decoded as a whole is megabytes of small objects: to decode, hash and free them takes twice as
    long as row by row, where the objects stay in the processor's cache.
    """

    def __init__(self, texts: list[bytes], what: str) -> None:
        self.texts = texts
        self._what = what

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[dict[str, Any]]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return UndecodedRows(self.texts[place], self._what)
        return self._decoded(self.texts[place])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._decoded, self.texts)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, UndecodedRows):
            return self.texts == other.texts
        return isinstance(other, list) and list(self) == other

    __hash__ = None  # type: ignore[assignment]

    def _decoded(self, text: bytes) -> dict[str, Any]:
        try:
            row: dict[str, Any] = decode(text)
        except InvalidJsonError as error:
            reason = f"{self._what}: a row cannot be decoded: {error.reason}"
        else:
            return row
        raise InvalidResponseError(f"{reason}; try again later, then tell the vendor")
