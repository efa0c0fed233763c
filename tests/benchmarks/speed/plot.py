"""The picture: every workload that has ratios as bars, on one logarithmic scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.speed.results import Result

_OURS, _THEIRS = "#1f6f8b", "#b9b9b9"


def draw(path: Path, results: Sequence[Result]) -> bool:
    """Write an SVG to `path`; False if there is nothing to draw or no matplotlib."""
    compared = [result for result in results if result.base is not None]
    try:
        import matplotlib
    except ImportError:
        return False
    if not compared:
        return False
    matplotlib.use("svg")
    # Texts stay texts and ids stay the same: a new run changes only what was measured.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "oa-sync"})
    from matplotlib import pyplot

    heights = [len(result.measured) for result in compared]
    figure, axes = pyplot.subplots(
        len(compared),
        1,
        sharex=True,
        squeeze=False,
        figsize=(9, 0.32 * sum(heights) + 0.7 * len(compared) + 0.5),
        gridspec_kw={"height_ratios": heights},
        layout="constrained",
    )
    for axis, result in zip(axes[:, 0], compared, strict=True):
        ratios = result.ratios()
        names = list(ratios)
        colours = [_OURS if name.startswith("oa-sync") else _THEIRS for name in names]
        bars = axis.barh(names, list(ratios.values()), color=colours)
        axis.bar_label(bars, [f" {ratio:.2f}" for ratio in ratios.values()], fontsize=9)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.set_title(result.name, loc="left", fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(x=0.12)
    axes[-1, 0].set_xlabel("wall time over that of oa-sync (logarithmic)")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True
