"""The drawings of a page that compares runs: figures with intervals, and errors by source."""

import math
from collections.abc import Mapping, Sequence

from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.reporting.run_view import points
from vmaf_jax.reporting.svg import Plot, drawing, text, tick_label, ticks

MOST_SOURCES = 40  # drawn
KINDS = 8  # runs that have a mark of their own


def forest(
    entries: Sequence[tuple[str, float, Interval]], axis: str, *, standard: float | None
) -> str:
    """Estimates with their 95 % intervals, a line each; a dashed line at `standard`."""
    ends = [v for _, value, i in entries for v in (value, i.low, i.high) if math.isfinite(v)]
    ends += [] if standard is None else [standard]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 1.0
    plot, row = _rows(len(entries), (low - pad, high + pad))
    parts = _axis(plot, axis)
    if standard is not None:
        x = float(plot.px(standard))
        parts.append(f'<path class="equal" d="M{x:.1f} {plot.top}V{plot.height - plot.bottom}"/>')
    for k, (name, value, interval) in enumerate(entries):
        y = plot.top + row * (k + 0.5)
        said = f"{name}: {points(value)}"
        if math.isfinite(interval.high):
            start, end = float(plot.px(interval.low)), float(plot.px(interval.high))
            parts.append(f'<path class="interval" d="M{start:.1f} {y}H{end:.1f}"/>')
            said += f", 95 % {points(interval.low)} to {points(interval.high)}"
        parts.append(
            f"<g><title>{text(said)}</title>{mark(k, float(plot.px(value)), y)}"
            f'<text class="end" x="{plot.left - 8}" y="{y + 4}">{text(name, 20)}</text></g>'
        )
    return drawing(plot.width, plot.height, f"{axis} of {len(entries)} runs", parts)


def by_source(errors: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """RMSE of every run on each source; sources sorted by the first run's."""
    ranked = sorted(errors, key=lambda source: -errors[source][0])[:MOST_SOURCES]
    largest = max(value for source in ranked for value in errors[source])
    plot, row = _rows(len(ranked), (0.0, largest * 1.05 or 1.0))
    parts = _axis(plot, "RMSE (points)")
    for line, source in enumerate(ranked):
        y = plot.top + row * (line + 0.5)
        said = ", ".join(f"{n} {points(v)}" for n, v in zip(names, errors[source], strict=True))
        across = plot.px(list(errors[source]))
        marks = "".join(mark(k, float(x), y) for k, x in enumerate(across))
        parts.append(
            f'<path class="grid" d="M{plot.left} {y}H{plot.width - plot.right}"/>'
            f"<g><title>{text(source)}: {text(said, 600)}</title>{marks}"
            f'<text class="end" x="{plot.left - 8}" y="{y + 4}">{text(source, 20)}</text></g>'
        )
    said = f"RMSE of {len(names)} runs on {len(ranked)} sources"
    return drawing(plot.width, plot.height, said, parts)


def mark(k: int, x: float, y: float) -> str:
    """The sign of the k-th run: told apart by its shape, and by colour."""
    kind, hollow = f"k{k % 4}", " hollow" if k // 4 % 2 else ""
    shape = k % 4
    if shape == 0:
        return f'<circle class="{kind}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    paths = {
        1: f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
        2: f"M{x:.1f} {y - 5.5:.1f}l5 9h-10z",
        3: f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    }
    return f'<path class="{kind}{hollow}" d="{paths[shape]}"/>'


def legend(names: Sequence[str]) -> str:
    """The signs of the runs."""
    height = 22 * len(names)
    parts = (
        f'{mark(k, 12.0, 22.0 * k + 11)}<text x="26" y="{22 * k + 15}">{text(name, 50)}</text>'
        for k, name in enumerate(names)
    )
    return drawing(440, height, "The signs of the runs: " + ", ".join(names), parts)


def _rows(n: int, x: tuple[float, float]) -> tuple[Plot, int]:
    row = 20
    return Plot(x, (0.0, 1.0), height=8 + row * n + 44, left=150, top=8, bottom=44), row


def _axis(plot: Plot, name: str) -> list[str]:
    right, floor = plot.width - plot.right, plot.height - plot.bottom
    parts = []
    for value in ticks(*plot.x, about=4):
        x = float(plot.px(value))
        parts.append(f'<path class="grid" d="M{x:.1f} {plot.top}V{floor}"/>')
        parts.append(f'<text class="mid" x="{x:.1f}" y="{floor + 16}">{tick_label(value)}</text>')
    middle = (plot.left + right) / 2
    parts.append(
        f'<text class="mid name" x="{middle:.0f}" y="{plot.height - 8}">{text(name)}</text>'
    )
    return parts
