"""The fast pass: a whole batch through `pyarrow.json` with every type declared.

No Python object is made for a row. The parser refuses what the tree does not know. So a batch that
passes holds nothing new; one that does not raises `Unfit`, and the tree learns from it. JSON columns
are first lifted out of the text (`oa_sync.shape.cutting.lift`): the parser reads a `0` in place of each
value, and so tells which rows have one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from oa_sync.shape.arrays import are_exact, exact_doubles, expanded, has_large
from oa_sync.shape.cutting.lift import DuplicateKeyError, lift
from oa_sync.shape.cutting.structure import InvalidJsonError
from oa_sync.shape.json_text import decode
from oa_sync.shape.naming import Path
from oa_sync.shape.schema import Node, NodeKind, Schema
from oa_sync.shape.tables import ARROW_TYPES, Misfit, Part, from_texts, spelled_texts

_ROW = re.compile(r" in row (\d+)")
_READ_FROM_STRINGS = ("text", "timestamp", "date")
_WIDE = 32
"""If more keys than this are known, it pays to find out first which of them a batch has."""
_LONG_ROW = 1 << 16
_WRAPPER = ""
_EMPTY = r"^(?:\{\s*\}|\[\s*\])$"


class Unfit(Exception):
    """The batch holds something the tree has no place for. `row`: where, if the parser said so."""

    def __init__(self, reason: str, row: int | None = None) -> None:
        super().__init__(reason)
        self.row = row


@dataclass(frozen=True)
class _Texts:
    """The lifted texts of one parse, by path: `prefix`, then the node's path from index `base` on."""

    texts: dict[Path, Any]
    prefix: Path = ()
    base: int = 0

    def path(self, node: Node) -> Path:
        return (*self.prefix, *node.path[self.base :])


def fast_parts(ndjson: bytes, rows: int, schema: Schema, *, sorting: bool) -> dict[str, Part]:
    """The parts of all tables for `rows` lines of objects, each line ended by a newline.

    `sorting`: separate the values of mixed paths by kind, which costs a second parse of each.
    Without it, a mixed path may only hold its usual kind of values. Raises Unfit and Misfit.
    """
    root = schema.root
    every_field = list(root.children.values())
    if not every_field:
        raise Unfit("nothing is known of these rows")
    fast = _FastPass(schema, sorting)
    fields = _fields_of_some(ndjson, root) if len(every_field) > _WIDE else every_field
    try:
        read = fast.parse(ndjson, rows, fields, _Texts({}))
    except Unfit:
        if len(fields) == len(every_field):
            raise
        read = fast.parse(ndjson, rows, every_field, _Texts({}))
    return fast.take(root, read, rows)


def _fields_of_some(ndjson: bytes, root: Node) -> list[Node]:
    """The known keys of the first, a middle and the last row: an absent column costs time per row."""
    keys: set[str] = set()
    end = len(ndjson) - 1
    for inside in (0, end // 2, end):
        start = ndjson.rfind(b"\n", 0, inside) + 1
        line = ndjson[start : ndjson.find(b"\n", start)]
        if len(line) > _LONG_ROW:
            return list(root.children.values())
        try:
            keys.update(decode(line))
        except InvalidJsonError:
            raise Unfit("a row that Python cannot read either") from None
    return [child for key, child in root.children.items() if key in keys]


class _FastPass:
    """Makes the parts of one batch."""

    def __init__(self, schema: Schema, sorting: bool) -> None:
        self._schema = schema
        self._sorting = sorting
        self._parts: dict[str, Part] = {}

    def take(self, root: Node, read: tuple[dict[str, Any], _Texts], rows: int) -> dict[str, Part]:
        """All parts of the parsed batch `read`."""
        part = self._part(Part(root.table, rows))
        self._members(root, read[0], part, read[1])
        return self._parts

    def _part(self, part: Part) -> Part:
        self._parts[part.table.name] = part
        return part

    # --- parsing ------------------------------------------------------------------------------

    def parse(
        self, ndjson: bytes, rows: int, fields: Iterable[Node], where: _Texts
    ) -> tuple[dict[str, Any], _Texts]:
        """The columns of `fields` by key, and the texts lifted for them. Raises Unfit."""
        lifted: list[Path] = []
        types = [
            pa.field(node.path[-1], self._type(node, where, lifted))
            for node in fields
            if _is_encodable(node.path[-1])
        ]
        return self._parse(ndjson, rows, pa.schema(types), lifted, where)

    @staticmethod
    def _parse(
        ndjson: bytes, rows: int, schema: Any, lifted: list[Path], where: _Texts
    ) -> tuple[dict[str, Any], _Texts]:
        texts: dict[Path, Any] = {}
        try:
            if lifted:
                result = lift(ndjson, lifted)
                ndjson, texts = result.buffer, dict(result.texts)
            table = pj.read_json(
                pa.BufferReader(ndjson),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(ndjson) + 1),
                parse_options=pj.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="error"
                ),
            )
        except (DuplicateKeyError, InvalidJsonError) as error:
            raise Unfit(str(error)) from None
        except pa.ArrowException as error:
            row = _ROW.search(str(error))
            raise Unfit(str(error), int(row[1]) if row else None) from None
        if table.num_rows != rows:
            raise Unfit(f"{rows} lines hold {table.num_rows} values")
        columns = {name: _whole(table.column(name)) for name in table.column_names}
        return columns, _Texts(texts, where.prefix, where.base)

    def _type(self, node: Node, where: _Texts, lifted: list[Path]) -> Any:
        """The Arrow type to declare for `node`; paths to lift are added to `lifted`."""
        if self._sorting and node.mixed:
            lifted.append(where.path(node))
            return pa.int8()
        if node.kind is NodeKind.OBJECT:
            inside = node.children.items()
            members = [(k, self._type(n, where, lifted)) for k, n in inside if _is_encodable(k)]
            return pa.struct(members)
        if node.kind is NodeKind.LIST:
            assert node.element is not None
            return pa.list_(self._type(node.element, where, lifted))
        if node.column is None:
            return pa.null()
        if _is_lifted(node):
            lifted.append(where.path(node))
            return pa.int8()
        return _parsed_type(node.column.data_type)

    # --- taking apart -------------------------------------------------------------------------

    def _members(self, node: Node, columns: dict[str, Any], part: Part, texts: _Texts) -> None:
        for key, values in columns.items():
            self._take(node.children[key], values, part, texts)

    def _take(self, node: Node, values: Any, part: Part, texts: _Texts) -> None:
        """Put `values`, one for each row of `part`, where `node` says."""
        if values.null_count == len(values):
            return
        if self._sorting and node.mixed:
            self._sort(node, _spread(values, texts.texts[texts.path(node)]), part)
        else:
            self._take_pure(node, values, part, texts)

    def _take_pure(self, node: Node, values: Any, part: Part, texts: _Texts) -> None:
        if node.kind is NodeKind.OBJECT:
            keys = [values.type.field(place).name for place in range(values.type.num_fields)]
            self._members(node, dict(zip(keys, values.flatten(), strict=True)), part, texts)
        elif node.kind is NodeKind.LIST:
            self._elements(node, values, texts)
        else:
            assert node.column is not None
            part.columns[node.column.name] = self._leaf(node, values, texts)

    def _elements(self, node: Node, lists: Any, texts: _Texts) -> None:
        assert node.element is not None
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
        elements = lists.flatten()
        first = np.cumsum(lengths) - lengths
        part = Part(
            node.element.table,
            len(elements),
            parents=np.repeat(np.arange(len(lengths)), lengths),
            positions=np.arange(len(elements)) - np.repeat(first, lengths),
        )
        self._take(node.element, elements, self._part(part), texts)

    def _leaf(self, node: Node, values: Any, texts: _Texts) -> Any:
        assert node.column is not None
        data_type, kind = node.column.data_type, node.column.kind
        if _is_lifted(node):
            found = _spread(values, texts.texts[texts.path(node)])
            if data_type == "text":
                return spelled_texts(found)
            if kind == "empty" and not pc.all(pc.match_substring_regex(found, _EMPTY)).as_py():
                raise Unfit("the first value at a path that had only empty ones")
            return _doubles(found) if data_type == "double" else from_texts(node, found)
        if data_type in _READ_FROM_STRINGS:
            return from_texts(node, values)
        if data_type == "double" and not are_exact(values):
            if kind == "value":
                raise Misfit(node, "double", "large")
            raise Unfit("a number that a double may not hold exactly")
        if data_type == "bigint" and kind == "value" and has_large(values):
            self._schema.set_column(node, "bigint", "large")
        return values

    # --- mixed paths --------------------------------------------------------------------------

    def _sort(self, node: Node, texts: Any, part: Part) -> None:
        """Raw `texts` at a mixed path: objects (or lists) as usual, all others to the `rest` column."""
        opening = "{" if node.kind is NodeKind.OBJECT else "["
        own = pc.fill_null(pc.starts_with(texts, opening), False)
        empty = pc.fill_null(pc.match_substring_regex(texts, _EMPTY), True)
        others = pc.invert(pc.or_(own, empty))
        if pc.any(own).as_py():
            where = _Texts({}, (_WRAPPER,), len(node.path))
            lifted: list[Path] = []
            kind = self._pure_type(node, where, lifted)
            values, inner = self._reparse(texts.filter(own), kind, lifted, where)
            self._take_pure(node, expanded(values, own), part, inner)
        if pc.any(others).as_py():
            self._rest(node, texts, others, part)

    def _pure_type(self, node: Node, where: _Texts, lifted: list[Path]) -> Any:
        if node.kind is NodeKind.LIST:
            assert node.element is not None
            return pa.list_(self._type(node.element, where, lifted))
        inside = node.children.items()
        return pa.struct([(k, self._type(n, where, lifted)) for k, n in inside if _is_encodable(k)])

    def _reparse(
        self, texts: Any, kind: Any, lifted: list[Path], where: _Texts
    ) -> tuple[Any, _Texts]:
        """Parse each of `texts` by itself as the Arrow type `kind`."""
        lines = pc.binary_join_element_wise('{"":', texts, "}\n", "")
        ndjson = "".join(lines.to_pylist()).encode()
        schema = pa.schema([(_WRAPPER, kind)])
        columns, inner = self._parse(ndjson, len(texts), schema, lifted, where)
        return columns[_WRAPPER], inner

    def _rest(self, node: Node, texts: Any, others: Any, part: Part) -> None:
        column = node.column
        if column is None:
            raise Unfit("another kind of value at a path that had none")
        if column.data_type == "json":
            rest = pc.if_else(others, texts, pa.scalar(None, pa.string()))
        else:
            kind = _parsed_type(column.data_type)
            values, inner = self._reparse(texts.filter(others), kind, [], _Texts({}))
            rest = expanded(self._leaf(node, values, inner), others)
        part.columns[column.name] = rest


def _parsed_type(data_type: str) -> Any:
    return pa.string() if data_type in _READ_FROM_STRINGS else ARROW_TYPES[data_type]


def _is_encodable(key: str) -> bool:
    """Whether `key` can name an Arrow field: half a surrogate pair cannot."""
    return key.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in key)


def _whole(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _is_lifted(node: Node) -> bool:
    column = node.column
    assert column is not None
    if column.data_type == "double":
        return column.kind == "large"
    return column.data_type in ("json", "decimal") or (
        column.data_type == "text" and node.is_spelled
    )


def _doubles(texts: Any) -> Any:
    values = exact_doubles(texts)
    if values is None:
        raise Unfit("a number that a double does not hold exactly")
    return values


def _spread(marks: Any, texts: Any) -> Any:
    """`texts`, one for each mark that is not null, put at the places of those marks."""
    if len(marks) - marks.null_count != len(texts):
        raise Unfit("a path that can be read in two ways")
    if marks.null_count == 0:
        return texts
    return expanded(texts, marks.is_valid())
