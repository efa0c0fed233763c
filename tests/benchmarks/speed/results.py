"""What a workload measured, the bounds it is held to, and how both are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.benchmarks.speed.measuring import Measured


@dataclass(frozen=True, slots=True)
class Bound:
    """One promise: `value` must not be above `limit`, or not below it with `at_least`."""

    text: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it holds."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def verdict(self) -> str:
        """`met`, or by how much it was missed."""
        if self.met:
            return "met"
        percent = abs(self.value / self.limit - 1) * 100
        return f"missed by {percent:,.{0 if percent >= 10 else 1}f} %"

    def number(self, value: float) -> str:
        """`value` with the unit of the bound."""
        return f"{value:,.2f}{self.unit}" if abs(value) < 100 else f"{value:,.0f}{self.unit}"


@dataclass(frozen=True)
class Result:
    """A workload's measurements. `base` names the case that the ratios are of (none: no ratios);
    `extra` has more columns, each a text by case."""

    name: str
    title: str
    measured: Mapping[str, Measured]
    base: str | None = None
    bounds: Sequence[Bound] = ()
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def ratios(self) -> dict[str, float]:
        """Wall time of every case over that of the base."""
        if self.base is None:
            return {}
        return {
            name: case.wall / self.measured[self.base].wall for name, case in self.measured.items()
        }


def section(result: Result) -> str:
    """The result as Markdown: a heading, a table of medians and one of bounds."""
    rows = table(result)
    parts = [f"## {result.name}", result.title, _markdown(rows)]
    if result.bounds:
        parts.append(_markdown(bounds_table(result.bounds)))
    return "\n\n".join(parts)


def table(result: Result) -> list[list[str]]:
    """Header and one row a case: median (minimum–maximum)."""
    ratios = result.ratios()
    loads = any(case.loaded for case in result.measured.values())
    header = ["", "n", "wall s", *(["ratio"] if ratios else []), "CPU s", "peak MB", *result.extra]
    rows = [header + (["loaded"] if loads else [])]
    for name, case in result.measured.items():
        row = [name, str(len(case.samples)), spread([sample.wall for sample in case.samples], 2)]
        if ratios:
            row.append(f"{ratios[name]:.2f}")
        row.append(spread([sample.cpu for sample in case.samples], 2))
        row.append(spread([sample.peak for sample in case.samples], 0))
        row += [column.get(name, "") for column in result.extra.values()]
        rows.append(row + ([case.loaded] if loads else []))
    return rows


def bounds_table(bounds: Sequence[Bound]) -> list[list[str]]:
    """Header and one row a bound."""
    rows = [["bound", "measured", "limit", ""]]
    for bound in bounds:
        sign = ">=" if bound.at_least else "<="
        limit = f"{sign} {bound.number(bound.limit)}"
        rows.append([bound.text, bound.number(bound.value), limit, bound.verdict])
    return rows


def spread(values: Sequence[float], digits: int) -> str:
    """`median (minimum–maximum)`, or the value where there is only one."""
    middle = f"{median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def plain(rows: Sequence[Sequence[str]]) -> str:
    """A table for the terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row[1:], widths[1:], strict=True)
        rest = "  ".join(cell.rjust(width) for cell, width in cells)
        lines.append(f"{row[0].ljust(widths[0])}  {rest}".rstrip())
    return "\n".join(lines)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *body))
