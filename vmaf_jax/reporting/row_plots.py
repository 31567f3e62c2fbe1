"""Drawings with a row for each run or source: estimates with intervals, and errors by source."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.reporting.numbers import format_interval, format_points
from vmaf_jax.reporting.svg import Plot, drawing, text

MAX_ROWS = 40  # drawn; tables have the others
N_MARKS = 8  # marks that differ; further runs repeat them
_ROW = 20  # height of a row, SVG units


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A row of a forest plot.

    Attributes:
        value, interval: the figure and its 95 % interval, points.
        note: further words under the pointer.
        mark: number of the run whose mark is drawn.
    """

    name: str
    value: float
    interval: Interval
    note: str = ""
    mark: int = 0


def forest(
    rows: Sequence[Estimate],
    axis: str,
    *,
    reference: float | None = None,
    from_zero: bool = False,
) -> str:
    """Draws estimates with their intervals, a row each.

    Args:
        reference: position of a dashed line.
        from_zero: whether the axis begins at 0; intervals that reach far beyond all estimates are
            cut then, and marked by an arrow.
    """
    values = [row.value for row in rows] + ([] if reference is None else [reference])
    ends = [end for row in rows for end in (row.interval.low, row.interval.high)]
    ends = [end for end in ends if math.isfinite(end)]
    if from_zero:
        # One interval of three clips can be a hundred times as long as all others.
        low, high = 0.0, min(max(values + ends), 2 * max(values)) * 1.05 or 1.0
    else:
        pad = 0.06 * (max(values + ends) - min(values + ends)) or 1.0
        low, high = min(values + ends) - pad, max(values + ends) + pad
    plot = _row_plot(len(rows), (low, high))
    parts = [plot.x_axis(axis, about=4)]
    if reference is not None:
        x = float(plot.px(reference))
        parts.append(f'<path class="equal" d="M{x:.1f} {plot.top}V{plot.height - plot.bottom}"/>')
    for k, row in enumerate(rows):
        y = plot.top + _ROW * (k + 0.5)
        tip = f"{row.name}: {format_points(row.value)}"
        if math.isfinite(row.interval.high):
            parts.append(_interval_bar(plot, row.interval, y))
            tip += f", 95 % {format_interval(row.interval)}"
        shape = mark(row.mark, float(plot.px(row.value)), y)
        parts.append(_named_row(plot, y, row.name, tip + row.note, shape))
    return drawing(plot.width, plot.height, f"{axis}, {len(rows)} rows with intervals", parts)


def errors_by_source(errors: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """Draws the RMSE of every run on each source, the largest of the first run at the top.

    Args:
        errors: by source, the RMSE of each run.
        names: of the runs.
    """
    ranked = sorted(errors, key=lambda source: -errors[source][0])[:MAX_ROWS]
    largest = max(value for source in ranked for value in errors[source])
    plot = _row_plot(len(ranked), (0.0, largest * 1.05 or 1.0))
    parts = [plot.x_axis("RMSE (points)", about=4)]
    for line, source in enumerate(ranked):
        y = plot.top + _ROW * (line + 0.5)
        pairs = zip(names, errors[source], strict=True)
        tip = f"{source}: {', '.join(f'{name} {format_points(value)}' for name, value in pairs)}"
        across = plot.px(list(errors[source]))
        marks = "".join(mark(k, float(x), y) for k, x in enumerate(across))
        parts.append(f'<path class="grid" d="M{plot.left} {y}H{plot.width - plot.right}"/>')
        parts.append(_named_row(plot, y, source, tip, marks))
    described = f"RMSE of {len(names)} runs on {len(ranked)} sources"
    return drawing(plot.width, plot.height, described, parts)


def legend(names: Sequence[str]) -> str:
    """Draws the mark and the name of each run."""
    parts = (
        f'{mark(k, 12.0, 22.0 * k + 11)}<text x="26" y="{22 * k + 15}">{text(name, 50)}</text>'
        for k, name in enumerate(names)
    )
    return drawing(440, 22 * len(names), f"The marks of the runs: {', '.join(names)}", parts)


def mark(k: int, x: float, y: float) -> str:
    """Draws the mark of the k-th run: told apart by its shape, and by colour."""
    kind, hollow = f"k{k % 4}", " hollow" if k // 4 % 2 else ""
    shapes = (
        f'<circle class="{kind}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>',
        f'<path class="{kind}{hollow}" d="M{x - 4:.1f} {y - 4:.1f}h8v8h-8z"/>',
        f'<path class="{kind}{hollow}" d="M{x:.1f} {y - 5.5:.1f}l5 9h-10z"/>',
        f'<path class="{kind}{hollow}" d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>',
    )
    return shapes[k % 4]


def _row_plot(n: int, x: tuple[float, float]) -> Plot:
    return Plot(x, (0.0, 1.0), height=8 + _ROW * n + 44, left=150, top=8, bottom=44)


def _interval_bar(plot: Plot, interval: Interval, y: float) -> str:
    start, end = float(plot.px(interval.low)), float(plot.px(interval.high))
    right = plot.width - plot.right
    bar = f'<path class="interval" d="M{start:.1f} {y}H{min(end, right):.1f}"/>'
    cut = f'<text class="end small" x="{right}" y="{y - 3}">›</text>' if end > right else ""
    return bar + cut


def _named_row(plot: Plot, y: float, name: str, tip: str, marks: str) -> str:
    return (
        f"<g><title>{text(tip, 600)}</title>{marks}"
        f'<text class="end" x="{plot.left - 8}" y="{y + 4}">{text(name, 20)}</text></g>'
    )
