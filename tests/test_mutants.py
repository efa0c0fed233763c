"""`make mutants` makes the changes it says, and finds the one that no test sees."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from textwrap import dedent

import pytest

from tests.mutants.__main__ import ACCEPTED, REACHED, is_of
from tests.mutants.changes import functions_of, mutants

ROOT = Path(__file__).parents[1]


def changes(body: str, returns: str = "int") -> set[str]:
    """The mutants of a function with this body, without its name."""
    source = f"def f(a, b, c) -> {returns}:\n    {body}\n"
    return {f"{each.before} → {each.after}" for each in mutants(source, "toy.py")}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x = a < b", {"a < b → a <= b", "a < b → a >= b"}),
        ("x = a is b", {"a is b → a is not b"}),
        ("x = not a", {"not a → a"}),
        ("x = a and b", {"a and b → a or b", "a and b → b", "a and b → a"}),
        ("x = a + 1", {"a + 1 → a - 1", "a + 1 → a + 2", "a + 1 → a + 0"}),
        ("x = min(a, b)", {"min(a, b) → max(a, b)"}),
        ("x = b if a else c", {"b if a else c → b", "b if a else c → c"}),
        ("a.b(c)", {"a.b(c) → pass"}),
        ("a += b", {"a += b → pass"}),
        ("return a", {"return a → return None"}),
        ("raise a", {"raise a → pass"}),
        ("x = [a for a in b if c]", {"for a in b if c → for a in b"}),
        ("x = {'a': True}", {"{'a': True} → {'a': False}"}),
        # Texts and what is only told stay.
        ("'docstring, 1'", set()),
        ("x = f'{a + 1}'", set()),
        ("logger.info('%s', a + 1)", set()),
        ("raise a(b + 1)", {"raise a(b + 1) → pass"}),
    ],
)
def test_each_change_is_one_slip(body: str, expected: set[str]) -> None:
    assert changes(body) == expected


def test_a_condition_is_met_always_or_never() -> None:
    assert changes("if a: b.c = 1") == {"if a: → if True:", "if a: → if False:", "1 → 2", "1 → 0"}
    assert changes("while a: b.c = a") == {"while a: → while False:"}


def test_what_returns_a_bool_returns_both() -> None:
    assert changes("return a", "bool") == {"return a → return True", "return a → return False"}


def test_a_mutant_is_the_module_with_one_change_and_leaves_no_trace_in_the_next() -> None:
    source = "class A:\n    @property\n    def f(self):\n        return min(1, 2)\n"
    found = list(mutants(source, "toy.py"))
    (codes,) = ({place for place, _ in functions_of(one.compiled())} for one in found[:1])
    assert codes == {("A.f", 2)}
    swapped = next(one for one in found if one.after == "max(1, 2)")
    for mutant, value in ((swapped, 2), (found[0], None), (swapped, 2)):
        names: dict[str, type] = {}
        exec(mutant.compiled(), names)
        assert names["A"]().f == value


TOY = """
    from dataclasses import dataclass

    @dataclass(frozen=True, slots=True)
    class Span:
        first: int
        last: int

        @property
        def is_empty(self):
            return self.last < self.first

    def longest(spans):
        return max((span.last - span.first for span in spans), default=0)

    def waits(n):
        while n > 0:
            n -= 1
        return n
"""
TOY_TESTS = """
    from toy import Span, longest, waits

    def test_empty():
        assert Span(2, 1).is_empty is True
        assert Span(1, 2).is_empty is False

    def test_longest():
        assert longest([Span(1, 5), Span(7, 8)]) == 4
        assert longest([]) == 0

    def test_waits():
        assert waits(3) == 0
"""


def test_the_change_that_no_test_sees_survives(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(dedent(TOY))
    (tmp_path / "test_toy.py").write_text(dedent(TOY_TESTS))
    script = (
        "from tests.mutants.running import run\n"
        "o = run('toy', ['test_toy.py'], lambda one: print(one.line, one), 1)\n"
        "print(o.made, o.killed, o.ended)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
    )
    lines = [line for line in told.stdout.splitlines() if line]
    assert lines[0] == "11 Span.is_empty: `self.last < self.first` → `self.last <= self.first`"
    made, killed, ended = map(int, lines[-1].split())
    assert made == killed + ended + 1
    assert ended >= 1, "without `n -= 1` the loop has no end"


def test_the_table_names_modules_and_tests_that_are_there() -> None:
    assert all(importlib.util.find_spec(module) for module in REACHED)
    files = {file for files in REACHED.values() for file in files}
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("room", ["quota", "journal", "webhooks", "shape", "extract/jobs"])
def test_the_table_has_every_module_of_these_rooms(room: str) -> None:
    files = (ROOT / "oa_sync" / room).rglob("*.py")
    decide = {file.relative_to(ROOT) for file in files if "def " in file.read_text("utf-8")}
    names = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in decide}
    assert names - REACHED.keys() == set()


def test_every_accepted_survivor_is_of_a_module_of_the_table_and_says_why() -> None:
    lines = [line for line in ACCEPTED.read_text("utf-8").splitlines() if line.startswith("- ")]
    for line in lines:
        assert line.split()[1] in REACHED
        assert line.rsplit(" — ", 1)[1].startswith(("Same: ", "Accepted: ")), line


@cache
def printed(module: str) -> list[str]:
    """Every mutant of a module, as a survivor is printed."""
    file = ROOT / f"{module.replace('.', '/')}.py"
    if not file.is_file():
        file = file.with_suffix("") / "__init__.py"
    return [f"- {module} {each}" for each in mutants(file.read_text("utf-8"), str(file))]


def test_every_accepted_survivor_is_a_mutant_that_is_still_made() -> None:
    lines = [line for line in ACCEPTED.read_text("utf-8").splitlines() if line.startswith("- ")]
    stale = [
        line
        for line in lines
        if not any(is_of(each, line.split(" — ")[0]) for each in printed(line.split()[1]))
    ]
    assert stale == []
