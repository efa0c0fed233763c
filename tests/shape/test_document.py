"""One detail cut for shaping: where the object is, its long list, and the fields that only the list row has."""

from __future__ import annotations

from typing import Any

import pytest

from oa_sync.definitions.model import Resource
from oa_sync.errors import InvalidResponseError
from oa_sync.shape.cutting.cut import Cutter
from oa_sync.shape.document import (
    Document,
    has_long_list,
    read_document,
    read_row,
    with_list_fields,
)
from oa_sync.shape.spooled import SpooledRows

LONG = {"data": {"table": "report_rows", "parent_key": "report_id"}}


def resource(selector: str | None = None, **words: Any) -> Resource:
    detail = {"path": "reports/{id}"} | ({} if selector is None else {"data_selector": selector})
    return Resource.model_validate(
        {
            "name": "reports",
            "endpoint": {"path": "reports"},
            "primary_key": "id",
            "detail": detail,
            "children": LONG,
            **words,
        }
    )


def rows_of(document: Document) -> dict[str, list[bytes]]:
    """The elements of each long list, as they were written."""
    found: dict[str, list[bytes]] = {}
    for path, rows in document.rows.items():
        pieces = rows.pieces(1 << 20)
        found[path] = [line for _, piece in pieces for line in piece.ndjson().splitlines()]
    return found


def spooled(text: bytes) -> memoryview:
    """As a body that came in a file."""
    return memoryview(text)


@pytest.mark.parametrize("form", [bytes, spooled])
@pytest.mark.parametrize(
    ("selector", "body"),
    [
        (None, b'{"id":"r","data":[{"n":1.0},{"n":2}],"name":"x"}'),
        (None, b'{"data":{"id":"r","data":[{"n":1.0},{"n":2}],"name":"x"},"ok":true}'),
        ("result", b'{"result":{"id":"r","data":[{"n":1.0},{"n":2}],"name":"x"}}'),
        ("a.b", b'{"a":{"b":{"id":"r","data":[{"n":1.0},{"n":2}],"name":"x"}}}'),
    ],
)
def test_the_object_is_found_and_its_long_list_is_cut_out(
    selector: str | None, body: bytes, form: Any
) -> None:
    document = read_document(resource(selector), form(body))
    assert document.text == b'{"id":"r","data":[],"name":"x"}'
    assert document.fields == {"id": "r", "data": [], "name": "x"}
    assert rows_of(document) == {"data": [b'{"n":1.0}', b'{"n":2}']}
    assert isinstance(document.rows["data"], SpooledRows) is (form is spooled)


@pytest.mark.parametrize("form", [bytes, spooled])
@pytest.mark.parametrize(
    ("words", "body", "text"),
    [
        # An object in `data` is the detail only where the body itself has no primary key.
        ({}, b'{"id":"r","data":{"id":"s"}}', b'{"id":"r","data":{"id":"s"}}'),
        ({}, b'{"data":{"id":"s"}}', b'{"id":"s"}'),
        ({}, b'{"data":3}', b'{"data":3}'),
        ({"primary_key": ()}, b'{"id":"r","data":{"id":"s"}}', b'{"id":"r","data":{"id":"s"}}'),
        ({"primary_key": ["a", "b"]}, b'{"a":1,"data":{"a":1,"b":2}}', b'{"a":1,"b":2}'),
        ({"primary_key": "a"}, b'{"a":1,"data":{"b":2}}', b'{"a":1,"data":{"b":2}}'),
        ({"primary_key": ()}, b'{"data":{"id":"s"}}', b'{"id":"s"}'),
        # Other lists stay in the object, and a list that is not there is no list.
        (
            {"children": {"steps": {"table": "steps", "parent_key": "report_id"}}},
            b'{"id":"r","steps":[1]}',
            b'{"id":"r","steps":[1]}',
        ),
        ({}, b'{"id":"r"}', b'{"id":"r"}'),
        ({}, b'{"id":"r","data":null}', b'{"id":"r","data":null}'),
    ],
)
def test_what_is_the_detail_where_nothing_is_cut_out(
    words: dict[str, Any], body: bytes, text: bytes, form: Any
) -> None:
    document = read_document(resource(**words), form(body))
    assert (document.text, rows_of(document)) == (text, {})


@pytest.mark.parametrize("form", [bytes, spooled])
def test_two_long_lists_are_both_cut_out(monkeypatch: pytest.MonkeyPatch, form: Any) -> None:
    monkeypatch.setattr("oa_sync.shape.document.LONG_LISTS", {"report_rows", "report_notes"})
    both = resource(children=LONG | {"notes": {"table": "report_notes", "parent_key": "report_id"}})
    document = read_document(both, form(b'{"id":"r","data":[1],"notes":[2,3]}'))
    assert rows_of(document) == {"data": [b"1"], "notes": [b"2", b"3"]}
    assert document.text == b'{"id":"r","data":[],"notes":[]}'


@pytest.mark.parametrize("form", [bytes, spooled])
@pytest.mark.parametrize(
    ("selector", "body", "message"),
    [
        (None, b"<html>", "reports: the detail is not valid JSON"),
        (None, b'{"id":"r","data":[{"n":1}', "reports: the detail is not valid JSON"),
        (None, b'{"id":"r","data":[1],"b":nul}', "reports: the detail is not valid JSON"),
        (None, b'["r"]', "reports: the detail is not an object but list"),
        ("a.b", b'{"a":{"b":"r"}}', "reports: the detail is not an object but str"),
        ("a.b", b'{"a":{}}', "reports: the detail is not an object but NoneType"),
    ],
)
def test_a_body_without_an_object_is_refused(
    selector: str | None, body: bytes, message: str, form: Any
) -> None:
    with pytest.raises(InvalidResponseError, match=message):
        read_document(resource(selector), form(body))


def test_a_place_around_which_too_much_stands_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Cutter.__init__, "__defaults__", (4 << 20, 1_000))
    elements = [b"%d" % n for n in range(1_000)]
    body = b'{"data":{"id":"r","data":[%s],"name":"x"}}' % b",".join(elements)
    document = read_document(resource(), memoryview(body))
    assert document.text == b'{"id":"r","data":[],"name":"x"}'
    assert rows_of(document) == {"data": elements}


def test_a_whole_list_row_is_cut_too() -> None:
    document = read_row(resource(), b'{"id":"r","data":[1,2]}')
    assert document.text == b'{"id":"r","data":[]}'
    assert rows_of(document) == {"data": [b"1", b"2"]}
    with pytest.raises(InvalidResponseError, match="reports: a row is not valid JSON"):
        read_row(resource(), b'{"id":')


def test_only_rows_of_a_report_are_a_long_list() -> None:
    steps = {"steps": {"table": "steps", "parent_key": "report_id"}}
    assert has_long_list(resource())
    assert has_long_list(resource(children=steps | LONG))
    assert not has_long_list(resource(children=steps))
    assert not has_long_list(resource(children={}))


def detail(text: bytes) -> Document:
    return read_document(resource(children={}), text)


@pytest.mark.parametrize(
    ("row", "text", "merged"),
    [
        (b"", b'{"id":1}', b'{"id":1}'),
        (b'{"id":1}', b' {"id":1, "a":2.0} ', b' {"id":1, "a":2.0} '),
        # Fields that only the list row has come first, in its order and to the digit.
        (b'{"b":2.50,"id":1,"c":"x"}', b'{"id":1,"a":2}', b'{"b":2.50,"c":"x","id":1,"a":2}'),
        (b'{"b":2}', b" { } ", b'{"b":2}'),
        # What the detail has is newer, null included; what the list has null is left out.
        (b'{"a":1,"id":1}', b'{"id":1,"a":null}', b'{"id":1,"a":null}'),
        (b'{"b":null,"id":1}', b'{"id":1}', b'{"id":1}'),
        (b'{"b":null,"c":3,"id":1}', b'{"id":1}', b'{"c":3,"id":1}'),
    ],
)
def test_a_detail_gets_the_fields_that_only_the_list_row_has(
    row: bytes, text: bytes, merged: bytes
) -> None:
    assert with_list_fields(row, detail(text), key=("id",)) == merged


@pytest.mark.parametrize(
    ("key", "row", "text", "merged"),
    [
        ("ref.id", b'{"ref":{"id":1}}', b'{"a":2}', b'{"ref":{"id":1},"a":2}'),
        ("ref.id", b'{"ref":{"id":1}}', b'{"ref":{"id":1,"b":3}}', b'{"ref":{"id":1,"b":3}}'),
        (
            "ref.id",
            b'{"ref":{"id":1}}',
            b'{"ref":{"id":"own"},"a":2}',
            b'{"ref":{"id":1},"ref_in_detail":{"id":"own"},"a":2}',
        ),
        (
            "ref.id",
            b'{"ref":{"id":1}}',
            b'{"ref":{"b":3}}',
            b'{"ref":{"id":1},"ref_in_detail":{"b":3}}',
        ),
        ("['a.b']", b'{"a.b":1}', b'{"a.b":2}', b'{"a.b":1,"a.b_in_detail":2}'),
        # Equal to Python, and another key as text.
        ("id", b'{"id":1}', b'{"id":1.0}', b'{"id":1,"id_in_detail":1.0}'),
    ],
)
def test_a_key_at_any_path_is_that_of_the_list(
    key: str, row: bytes, text: bytes, merged: bytes
) -> None:
    assert with_list_fields(row, detail(text), key=(key,)) == merged


@pytest.mark.parametrize("key", ["ref.id", "['@id']"])
def test_a_field_called_data_is_no_envelope_where_the_key_stands_beside_it(key: str) -> None:
    text = b'{"ref":{"id":1},"@id":2,"data":{"b":3}}'
    assert read_document(resource(children={}, primary_key=[key]), text).text == text
    wrapped = b'{"data":' + text + b"}"
    assert read_document(resource(children={}, primary_key=[key]), wrapped).text == text


@pytest.mark.parametrize(
    ("row", "text", "merged"),
    [
        # Requested by the list's id: that stays the key.
        (b'{"id":1}', b'{"id":"own","a":2.0}', b'{"id":1,"id_in_detail":"own","a":2.0}'),
        (b'{"id":1}', b'{"id":null,"a":2}', b'{"id":1,"a":2}'),
        (b'{"id":1}', b'{"a":2}', b'{"id":1,"a":2}'),
        (b'{"a":1}', b'{"id":"own","a":2}', b'{"id":"own","a":2}'),
        (
            b'{"id":1,"b":3,"a":1}',
            b'{"a":2,"id":"own"}',
            b'{"id":1,"b":3,"a":2,"id_in_detail":"own"}',
        ),
    ],
)
def test_the_key_is_that_of_the_list_and_the_details_own_is_kept_beside_it(
    row: bytes, text: bytes, merged: bytes
) -> None:
    assert with_list_fields(row, detail(text), key=("id",)) == merged
    assert with_list_fields(row, detail(text)) != merged or b"_in_detail" not in merged
