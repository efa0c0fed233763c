"""The tree of paths of one resource: what is at each path, and in which table and column.

The key of a child table has a column for each key column of its parent, and `position`. The first
are named by the declared `parent_key`, in the order of the parent's key, or by that of a sibling if
the child declares none. Names that are still missing: `<singular>_position` for the parent's own
position; the same name if it ends in `_id` or the parent is a child itself; else
`<singular>_<column>` (`dataset_id`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from oa_sync.definitions.paths import parse_path
from oa_sync.errors import ConfigurationError
from oa_sync.shape.learned import Kind, LearnedColumn, LearnedSchema
from oa_sync.shape.naming import ELEMENT, Names, Path, singular, snake_case
from oa_sync.shape.spec import ChildSpec, TableSpec

MAX_DEPTH = 12
"""Path length from which an object or list stays JSON; its inside is never looked at."""

POSITION = "position"

_KNOWN_TYPES = frozenset(
    {"text", "bigint", "double", "bool", "timestamp", "date", "json", "decimal"}
)


class NodeKind(Enum):
    """What a path holds: not decided yet, one column, a flattened object, a child table."""

    UNKNOWN = "unknown"
    LEAF = "leaf"
    OBJECT = "object"
    LIST = "list"


@dataclass(eq=False)
class Table:
    """One table: where its rows are (`prefix`: `()` or a path that ends in `ELEMENT`) and its keys.

    `key`: for the root the key as declared, for a child the final names of its parent's key columns
    and `position`.
    """

    name: str
    prefix: Path
    key: tuple[str, ...]
    parent: Table | None = None
    names: Names = field(default_factory=Names)
    columns: dict[Path, LearnedColumn] = field(default_factory=dict)

    def column_name(self, path: Path) -> str:
        """The name of the column at `path`, which never changes."""
        keys = path[len(self.prefix) :]
        return self.names.claim(path, keys or ("value",))


@dataclass(eq=False)
class Node:
    """One path of the tree and what is known of it.

    `declared`: the data type a definition gives. `by_declaration`: an object or list because a
    definition says so. `mixed`: this process has seen values of another kind here (not stored: the
    parser notices a batch that has them). `is_spelled`: a key column of type text in which this process
    has seen values that are no strings; these are written as text (see `spelled`). `column`: the column
    of a leaf, or the `rest` column of an object or list.
    """

    path: Path
    table: Table
    kind: NodeKind = NodeKind.UNKNOWN
    declared: str | None = None
    by_declaration: bool = False
    mixed: bool = False
    is_spelled: bool = False
    column: LearnedColumn | None = None
    children: dict[str, Node] = field(default_factory=dict)
    element: Node | None = None

    @property
    def is_undecided(self) -> bool:
        """Whether the next value decides what this path becomes: it had none, or only `{}` and `[]`."""
        only_empty = self.column is not None and self.column.kind == "empty"
        return self.kind is NodeKind.UNKNOWN or (self.kind is NodeKind.LEAF and only_empty)

    def descendants(self) -> Iterator[Node]:
        """This node and all below it, parents first."""
        yield self
        below = [*self.children.values(), *([self.element] if self.element else [])]
        for node in below:
            yield from node.descendants()


class Schema:
    """The tree, grown and widened by one writer. `version` goes up with every change."""

    def __init__(self, spec: TableSpec, learned: LearnedSchema) -> None:
        self.spec = spec
        self.version = 0
        self.tables: dict[str, Table] = {}
        self._table_names = Names()
        self._types, self._lists, self._objects = _declarations(spec)
        self._key = {parse_path(column) for column in spec.key}
        self._keep_declared_table_names(learned)
        self.root_table = Table(spec.name, (), spec.key)
        self.tables[spec.name] = self.root_table
        self.root = Node((), self.root_table, NodeKind.OBJECT)
        for path in sorted(self._lists, key=len):
            self.node_at(path)
        self._recall(learned)

    # --- names and tables ---------------------------------------------------------------------

    def _keep_declared_table_names(self, learned: LearnedSchema) -> None:
        self._table_names.keep(self.spec.name, ())
        for path, child in self._lists.items():
            if self._table_names.owner(child.table) is not None:
                raise ConfigurationError(
                    f"{self.spec.name}: two lists are declared to become the table "
                    f"{child.table!r}; give each a table of its own"
                )
            self._table_names.keep(child.table, path)
        for name, columns in learned.tables.items():
            for column in columns.values():
                if column.kind == "position" and column.path not in self._lists:
                    self._table_names.keep(name, column.path)

    def reserve_outside_columns(self, names: list[str]) -> None:
        """Reserve `names` for columns from outside the rows, and name the key columns.

        Raises ConfigurationError if a key inside the rows already has one of the names.
        """
        taken = self.root_table.names.reserve(names)
        if taken:
            raise ConfigurationError(
                f"{self.root_table.name}: the column {taken[0]!r} is given from outside, but "
                "earlier rows had a key of that name; start the resource with a full refresh"
            )
        for column in self.spec.key:
            if column in names:
                self._key.discard(parse_path(column))
            else:
                self.root_table.column_name(parse_path(column))

    def _child_table(self, path: Path, parent: Table) -> Table:
        """The table for the elements of the list at `path`."""
        declared = self._lists.get(path)
        keys = path[len(parent.prefix) :]
        if declared:
            name = declared.table
        else:
            own = Names.plain(keys)
            name = self._table_names.claim(path, (f"{parent.name}__{own}" if own else parent.name,))
        table = Table(name, (*path, ELEMENT), self._child_key(path, parent, declared), parent)
        table.names.reserve([*table.key, *self.spec.constants])
        self.tables[name] = table
        return table

    def _child_key(self, path: Path, parent: Table, declared: ChildSpec | None) -> tuple[str, ...]:
        given = declared.parent_key if declared else self._sibling_key(parent)
        owner = parent.name if parent.parent is None else snake_case(parent.prefix[-2])
        one = singular(owner)
        key: list[str] = []
        for place, column in enumerate(parent.key):
            if place < len(given):
                name = given[place]
            elif parent.parent is not None or column.endswith("_id"):
                name = column
            else:
                name = f"{one}_{Names.plain(parse_path(column))}"
            while name in key or name == POSITION:
                name = f"{one}_{name}"
            key.append(name)
        return (*key, POSITION)

    def _sibling_key(self, parent: Table) -> tuple[str, ...]:
        siblings = (
            child.parent_key
            for path, child in self._lists.items()
            if path[: len(parent.prefix)] == parent.prefix
            and ELEMENT not in path[len(parent.prefix) :]
        )
        return next(siblings, ())

    # --- nodes --------------------------------------------------------------------------------

    def child(self, node: Node, key: str) -> Node:
        """The node of `key` in the object at `node`, created if it is new."""
        found = node.children.get(key)
        if found is None:
            path = (*node.path, key)
            found = Node(path, node.table, declared=self._types.get(path))
            node.children[key] = found
            self._apply_declaration(found)
            self.version += 1
        return found

    def _apply_declaration(self, node: Node) -> None:
        if node.path in self._lists:
            node.by_declaration = True
            self.become_list(node)
        elif node.path in self._objects:
            node.kind = NodeKind.OBJECT
        elif node.declared is not None:
            node.kind = NodeKind.LEAF

    def become_list(self, node: Node) -> Node:
        """Make the list at `node` a child table; returns the node of its elements."""
        node.kind = NodeKind.LIST
        table = self._child_table(node.path, node.table)
        path = (*node.path, ELEMENT)
        node.element = Node(path, table, NodeKind.OBJECT)
        self.version += 1
        return node.element

    def node_at(self, path: Path) -> Node:
        """The node at `path`; it and all above are created if missing, as lists before `ELEMENT`."""
        node = self.root
        for place, part in enumerate(path):
            if part == ELEMENT and place > 0:
                node = node.element or self.become_list(node)
            else:
                if node.kind is NodeKind.UNKNOWN:
                    node.kind = NodeKind.OBJECT
                node = self.child(node, part)
        return node

    @property
    def declared_types(self) -> Mapping[Path, str]:
        """The data types that the definition gives, by absolute path."""
        return self._types

    def declared_tables(self) -> Iterator[Table]:
        """The resource's own table, and those of the lists that the definition declares."""
        names = {self.spec.name, *(child.table for child in self._lists.values())}
        return (table for name, table in self.tables.items() if name in names)

    def is_key(self, node: Node) -> bool:
        """Whether `node` is a column of the key of the resource's own table that the rows themselves have."""
        return node.path in self._key

    # --- columns ------------------------------------------------------------------------------

    def set_column(self, node: Node, data_type: str, kind: Kind = "value") -> None:
        """Give `node` a column, or change the type or kind of the one it has."""
        old = node.column
        name = old.name if old else node.table.column_name(node.path)
        column = LearnedColumn(node.path, name, data_type, kind)
        if column != old:
            node.column = column
            node.table.columns[node.path] = column
            self.version += 1

    def note_position(self, node: Node) -> None:
        """Remember that the list at `node` has rows in its own table."""
        assert node.element is not None
        columns = node.element.table.columns
        if node.path not in columns:
            columns[node.path] = LearnedColumn(node.path, POSITION, "bigint", "position")
            self.version += 1

    def learned(self) -> LearnedSchema:
        """A copy of everything known so far."""
        return LearnedSchema({t.name: t.columns for t in self.tables.values() if t.columns})

    def _recall(self, learned: LearnedSchema) -> None:
        """Add to the tree what earlier syncs learned, tables first."""
        entries = [
            (name, column)
            for name, columns in learned.tables.items()
            for column in columns.values()
        ]
        for name, column in entries:
            if column.kind == "position" and ELEMENT not in column.path[-1:]:
                node = self.node_at(column.path)
                if node.element is None:
                    self.become_list(node)
                if node.element and node.element.table.name == name:
                    node.element.table.columns[column.path] = column
        for name, column in entries:
            if column.kind != "position":
                self._recall_column(name, column)
        for node in self.root.descendants():
            if node.kind is NodeKind.UNKNOWN and node.column:
                node.kind = NodeKind.LEAF

    def _recall_column(self, table: str, column: LearnedColumn) -> None:
        path = column.path
        node = self.node_at(path)
        if node.table.name != table:
            return  # the definition now sends this list to another table
        data_type = column.data_type if column.data_type in _KNOWN_TYPES else "text"
        if node.declared == "json":
            data_type = "json"
        node.table.names.keep(column.name, path)
        node.column = LearnedColumn(path, column.name, data_type, column.kind)
        node.table.columns[path] = node.column


def _declarations(
    spec: TableSpec,
) -> tuple[dict[Path, str], dict[Path, ChildSpec], set[Path]]:
    """By absolute path: declared types, declared lists, and the objects that contain them."""
    types: dict[Path, str] = {}
    lists: dict[Path, ChildSpec] = {}

    def collect(
        prefix: Path, columns: Mapping[Path, str], children: Mapping[Path, ChildSpec]
    ) -> None:
        types.update({(*prefix, *path): _usable(t) for path, t in columns.items()})
        for path, child in children.items():
            lists[(*prefix, *path)] = child
            collect((*prefix, *path, ELEMENT), child.columns, child.children)

    collect((), spec.columns, spec.children)
    above = {p[:n] for p in (*types, *lists) for n in range(1, len(p))}
    objects = {p for p in above if p[-1] != ELEMENT and p not in lists and p not in types}
    return types, lists, objects


def _usable(data_type: str) -> str:
    """A type without values in JSON (binary, time) is kept as the text that arrives."""
    return data_type if data_type in _KNOWN_TYPES else "text"
