"""The rows of a list as the bytes that the server wrote, and bodies of any size read in chunks."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from oa_sync.errors import InvalidResponseError
from oa_sync.shape import body as bodies
from oa_sync.shape import spooled
from oa_sync.shape.body import chunks
from oa_sync.shape.lists import cut_list, split_list
from oa_sync.shape.spooled import SpooledRows, cut_spooled

BODY = b'{"n":2,"data":[{"a": 1.50},{"b":[]},{}],"m":3}'
ROWS = [b'{"a": 1.50}', b'{"b":[]}', b"{}"]


def test_rows_are_the_bytes_of_the_body() -> None:
    for body in (BODY, memoryview(BODY)):
        assert cut_list(body, "data") == ROWS
    assert cut_list(b'{"a":{"b":[1, "x"]}}', "a.b") == [b"1", b'"x"']
    assert cut_list(b'{"data":7}', "data") == []


def test_a_body_that_can_be_mended_is_cut_and_another_one_refused() -> None:
    assert cut_list(b'{"data":[{"a":NaN}],"b":NaN}', "data") == [b'{"a":null}']
    for body in (b'{"data":[1', b'{"data":[1],"data":[2}'):
        with pytest.raises(InvalidResponseError, match="cannot be cut into its rows"):
            cut_list(body, "data")


def test_a_list_of_objects_is_split_from_its_document() -> None:
    assert split_list(BODY, "data") == (b'{"n":2,"data":[],"m":3}', ROWS)


@pytest.mark.parametrize(
    "body",
    [
        memoryview(BODY),
        b'{"data":[{"a":"\xff"}]}',
        b'{"data":[{"a":1},7]}',
        b'{"data":[7]}',
        b'{"data":[{}, {}]}',
        b'{"data":[{}],"data":[{}]}',
        b'{"data":[{}',
        b'{"data":[]}',
    ],
)
def test_what_the_quick_way_cannot_split_is_left_to_the_other(body: bodies.Body) -> None:
    assert split_list(body, "data") is None


# --- large bodies -----------------------------------------------------------------------------


def mapped(path: Path, content: bytes) -> memoryview:
    path.write_bytes(content)
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 32, 33, 100])
def test_chunks_are_together_the_body(
    size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bodies, "CHUNK_BYTES", 16)
    content = bytes(range(size))
    kinds: list[bodies.Body] = [content, memoryview(content)]
    if size:
        kinds.append(mapped(tmp_path / "body", content))
    for body in kinds:
        found = [bytes(chunk) for chunk in chunks(body)]
        assert b"".join(found) == content
        assert [len(chunk) for chunk in found[:-1]] == [16] * (len(found) - 1)
        assert len(found) == max(1, -(-size // 16))


def test_a_body_of_one_chunk_is_given_as_it_is() -> None:
    assert [chunk is BODY for chunk in chunks(BODY)] == [True]


def test_a_long_list_is_read_again_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "CHUNK_BYTES", 7)
    monkeypatch.setattr(spooled, "_BLOCK", 8)
    head, rows = cut_spooled(memoryview(BODY), ("data",))
    assert head == b'{"n":2,"data":[],"m":3}'
    assert rows is not None
    assert (len(rows), rows.count, rows.nbytes) == (3, 3, sum(map(len, ROWS)))

    def pieces(max_bytes: int, until: int | None = None) -> list[tuple[int, list[str]]]:
        return [(at, piece.texts().to_pylist()) for at, piece in rows.pieces(max_bytes, until)]

    texts = [row.decode() for row in ROWS]
    assert pieces(1_000) == [(0, texts)]
    assert pieces(1) == pieces(1) == [(0, texts[:1]), (1, texts[1:2]), (2, texts[2:])]
    for max_bytes in (1, 9, 12, 1_000):
        for until in (0, 1, 2, 3, None):
            found = pieces(max_bytes, until)
            assert [text for _, some in found for text in some] == texts[:until]
            assert all(some for _, some in found)
            assert [at for at, _ in found] == [
                sum(len(some) for _, some in found[:i]) for i in range(len(found))
            ]


def test_each_piece_of_a_long_list_knows_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "CHUNK_BYTES", 50)
    numbers = [str(number) for number in range(100, 160)]
    body = memoryview(f'{{"data":[{",".join(numbers)}]}}'.encode())
    rows = SpooledRows(body, ("data",), 60, 180)
    for max_bytes in (3, 7, 10, 31):
        for at, piece in rows.pieces(max_bytes):
            assert piece.texts().to_pylist() == numbers[at : at + len(piece)]


def test_nothing_is_read_behind_the_last_row_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "CHUNK_BYTES", 4)
    broken = SpooledRows(memoryview(b'{"data":[1,2,3,4,5 6]}'), ("data",), 5, 5)
    assert [at for at, _ in broken.pieces(1, 2)] == [0, 1]


def test_a_body_without_the_list_has_no_rows() -> None:
    assert cut_spooled(memoryview(b'{"data":{}}'), ("data",)) == (b'{"data":{}}', None)


@pytest.mark.parametrize("pad", [0, 1 << 20], ids=["small", "large"])
@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"data":[{"id":1}],"data":[{"id":2}, {"id":3}],"n":2}', "data"),
        (b'{"data":[{"id":1},{"id":4}],"d\\u0061ta":[{"id":2},{"id":3}]}', "data"),
        (b'{"data":7,"data":null,"data":[{"id":2},{"id":3}]}', "data"),
        (b'{"a":{"b":[{"id":1}]},"a":{"b":[{"id":2},{"id":3}]}}', "a.b"),
        (b'{"a":{"b":[{"id":1}],"b":[{"id":2},{"id":3}]}}', "a.b"),
        (b'{"data":[{"id":NaN}],"data":[{"id":2},{"id":3}]}', "data"),
    ],
)
def test_of_a_list_that_stands_twice_the_last_one_counts(body: bytes, path: str, pad: int) -> None:
    body = body[:-1] + b" " * pad + b"}"
    assert split_list(body, path) is None
    assert cut_list(body, path) == [b'{"id":2}', b'{"id":3}']


def test_of_a_list_that_stands_twice_what_counts_may_be_none() -> None:
    assert cut_list(b'{"a":{"b":[1]},"a":7}', "a.b") == []
    assert cut_list(b'{"a":{"b":[1]},"a":{}}', "a.b") == []
    assert cut_list(b'{"data":[1],"data":{"x":1}}', "data") == []
    deep = b"[" * 5_000 + b"]" * 5_000
    assert cut_list(b'{"data":[1],"data":[%s,"\xc3\xa9"]}' % deep, "data") == [deep, b'"\xc3\xa9"']
    with pytest.raises(InvalidResponseError):
        cut_list(b'{"data":[1],"data":[2}', "data")
