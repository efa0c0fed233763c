"""The changes that mutants are made of: one in one function of a module, on its syntax tree.

A change is one that a slip of a programmer would make: another comparison, `and` for `or`, a condition
dropped or turned round, an integer one more or one less, `min` for `max`, another thing returned, a
statement left out. Texts, messages of errors, log lines, defaults and decorators stay.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Place = tuple[str, int]
"""A function of a module: its qualified name, and the line at which it begins."""

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.BitAnd: ast.BitOr(),
    ast.BitOr: ast.BitAnd(),
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_KEPT = (ast.JoinedStr, ast.arguments, ast.Raise, ast.Assert)
"""Nothing inside these is changed (a `raise` may be left out)."""


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, how it reads, and the module compiled with it."""

    function: Place
    line: int
    before: str
    after: str
    compiled: Callable[[], CodeType]

    def __str__(self) -> str:
        return f"{self.function[0]}: `{self.before}` → `{self.after}`"


@dataclass(frozen=True)
class _Slot:
    """A place in the tree: a field of a node, or one entry of a list in a field."""

    parent: ast.AST
    field: str
    index: int | None = None

    def put(self, node: object) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants(source: str, file: str) -> Iterator[Mutant]:
    """All mutants of a module, in the order of its lines."""
    tree = ast.parse(source, file)
    for place, function in _functions(tree):
        for slot, node in _inside(function):
            for new in _changes(node, function):
                yield _mutant(tree, file, place, slot, node, new)


def functions_of(code: CodeType) -> Iterator[tuple[Place, CodeType]]:
    """The code of each function of a compiled module and of its classes."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & 1:  # CO_OPTIMIZED: a function, and not the body of a class
                yield (each.co_qualname, each.co_firstlineno), each
            else:
                yield from functions_of(each)


def _functions(node: ast.AST, outer: str = "") -> Iterator[tuple[Place, FunctionNode]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{outer}{child.name}.")
        elif isinstance(child, FunctionNode):
            first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
            yield (f"{outer}{child.name}", first), child


def _inside(node: ast.AST) -> Iterator[tuple[_Slot, ast.AST]]:
    """Every node in the body of a function, with the slot that it stands in."""
    for field, value in ast.iter_fields(node):
        if field in ("returns", "annotation", "decorator_list", "type_params"):
            continue
        entries = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, child in entries:
            if not isinstance(child, ast.AST) or _is_docstring_or_log(child):
                continue
            yield _Slot(node, field, index), child
            if not isinstance(child, _KEPT):
                yield from _inside(child)


def _is_docstring_or_log(node: ast.AST) -> bool:
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Call):
        return ast.unparse(node.value.func).startswith(("logger.", "warnings."))
    return isinstance(node.value, ast.Constant)


def _changes(node: ast.AST, function: FunctionNode) -> Iterator[ast.AST]:
    """What may stand in place of `node`."""
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                for other in _COMPARISONS[type(operator)]:
                    operators = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                    yield ast.Compare(node.left, operators, node.comparators)
        case ast.BoolOp():
            other_operator = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield ast.BoolOp(other_operator, node.values)
            for index in range(len(node.values)):
                rest = node.values[:index] + node.values[index + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield ast.BinOp(node.left, _OPERATORS[type(node.op)], node.right)
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield ast.Constant(node.value + 1)
            yield ast.Constant(node.value - 1)
        case ast.Call(func=ast.Name(id=name)) if name in _CALLS:
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), node.args, node.keywords)
        case ast.IfExp():
            yield node.body
            yield node.orelse
        case ast.If() | ast.While():
            yield from _other_conditions(node)
        case ast.comprehension() if node.ifs:
            for index in range(len(node.ifs)):
                rest = node.ifs[:index] + node.ifs[index + 1 :]
                yield ast.comprehension(node.target, node.iter, rest, node.is_async)
        case ast.Return(value=value) if value is not None:
            yield from _other_results(value, function)
        case ast.AugAssign() | ast.Raise() | ast.Break() | ast.Continue() | ast.Delete():
            yield ast.Pass()
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield ast.Pass()


def _other_conditions(node: ast.If | ast.While) -> Iterator[ast.AST]:
    yield type(node)(ast.Constant(False), node.body, node.orelse)
    if isinstance(node, ast.If):  # a loop for ever tells nothing
        yield ast.If(ast.Constant(True), node.body, node.orelse)


def _other_results(value: ast.expr, function: FunctionNode) -> Iterator[ast.AST]:
    is_bool = isinstance(function.returns, ast.Name) and function.returns.id == "bool"
    for other in (True, False) if is_bool else (None,):
        if not (isinstance(value, ast.Constant) and value.value is other):
            yield ast.Return(ast.Constant(other))


def _mutant(
    tree: ast.Module, file: str, place: Place, slot: _Slot, node: ast.AST, new: ast.AST
) -> Mutant:
    # A number says nothing without what it stands in.
    around = (
        slot.parent
        if isinstance(slot.parent, ast.expr | ast.keyword) and isinstance(node, ast.Constant)
        else None
    )
    before = _text(around or node)
    for child in ast.walk(new):
        if not hasattr(child, "lineno") and "lineno" in child._attributes:
            ast.copy_location(child, node)
    slot.put(new)
    after = _text(around or new)
    slot.put(node)

    def compiled() -> CodeType:
        slot.put(new)
        try:
            return compile(ast.fix_missing_locations(tree), file, "exec")
        finally:
            slot.put(node)

    return Mutant(place, getattr(node, "lineno", place[1]), before, after, compiled)


def _text(node: ast.AST) -> str:
    """The first line of a statement, an expression whole; not too long to read."""
    text = ast.unparse(node).strip().split("\n")[0]
    return text if len(text) <= 100 else f"{text[:97]}..."
