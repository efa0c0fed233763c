"""What a batch of decoded rows holds at each path, before anything is decided about it."""

from __future__ import annotations

from typing import Any

from oa_sync.shape import lattice
from oa_sync.shape.schema import MAX_DEPTH, Node, NodeKind


class Seen:
    """The values seen at one path: a mask of their kinds, and what was inside them.

    `objects` counts objects with at least one key, `keys` how many of those have each key.
    """

    __slots__ = ("children", "element", "keys", "mask", "objects")

    def __init__(self) -> None:
        self.mask = 0
        self.objects = 0
        self.keys: dict[str, int] = {}
        self.children: dict[str, Seen] = {}
        self.element: Seen | None = None

    def look(self, value: Any, node: Node | None, depth: int) -> None:
        """Record one value. `node`: what is known of the path. The inside of JSON columns is skipped."""
        kind = type(value)
        if kind is dict:
            self._look_at_object(value, node, depth)
        elif kind is list:
            self._look_at_list(value, node, depth)
        else:
            self.mask |= lattice.scalar_mask(value)

    def _look_at_object(self, value: dict[str, Any], node: Node | None, depth: int) -> None:
        if not value:
            self.mask |= lattice.EMPTY_OBJECT
            return
        self.mask |= lattice.OBJECT
        if _stays_whole(node, depth):
            return
        self.objects += 1
        keys, children = self.keys, self.children
        known = node.children if node else {}
        for key, inner in value.items():
            seen = children.get(key)
            if seen is None:
                seen = children[key] = Seen()
                keys[key] = 1
            else:
                keys[key] += 1
            if inner is not None:
                seen.look(inner, known.get(key), depth + 1)

    def _look_at_list(self, value: list[Any], node: Node | None, depth: int) -> None:
        if not value:
            self.mask |= lattice.EMPTY_LIST
            return
        objects = sum(type(element) is dict for element in value)
        only_objects = objects > 0 and objects + value.count(None) == len(value)
        self.mask |= lattice.OBJECTS if only_objects else lattice.LIST
        known_list = node is not None and node.kind is NodeKind.LIST
        if _stays_whole(node, depth + 1) or not (only_objects or known_list):
            return
        if self.element is None:
            self.element = Seen()
        element_node = node.element if node else None
        for element in value:
            self.element.look(element, element_node, depth + 1)


def _stays_whole(node: Node | None, depth: int) -> bool:
    """Whether the object or list at `node` is kept as one JSON value, whatever it holds."""
    if node is None or node.is_undecided:
        return depth >= MAX_DEPTH
    return node.kind is NodeKind.LEAF


def observe(rows: list[Any], root: Node) -> Seen:
    """Look at all `rows` (decoded JSON, at the root of the tree)."""
    seen = Seen()
    for row in rows:
        seen.look(row, root, 0)
    return seen
