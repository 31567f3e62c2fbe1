"""The drawings of a run's page, as SVG, from its predictions and losses."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.by_source import SourceError
from vmaf_jax.evaluation.metrics import HIGH_END, LOW_END
from vmaf_jax.reporting.points import Points, cells
from vmaf_jax.reporting.run_view import Curves, points
from vmaf_jax.reporting.svg import HATCH, Plot, drawing, text, tick_label, ticks

Floats = npt.NDArray[np.float64]
MOST_SOURCES = 40  # drawn; the table has more
_MOST_MEMBERS = 200  # drawn as lines of their own
_WORST = 3  # rows that are numbered in a drawing


def agreement_plot(drawn: Points) -> Plot:
    """The frame of predicted against true scores."""
    return Plot((0.0, 100.0), (0.0, 100.0))


def agreement(drawn: Points, label: str) -> str:
    """Predicted against true scores, and where they would be equal."""
    plot = agreement_plot(drawn)
    parts = [plot.axes(f"{label} (points)", "student (points)")]
    parts.append(plot.line([0, 100], [0, 100], "equal"))
    parts += _marks(plot, drawn, drawn.label + drawn.error, drawn.rows.predicted)
    said = f"Predicted against true scores of {drawn.n:,} rows; equal scores lie on the diagonal."
    return drawing(plot.width, plot.height, said, parts)


def residual_plot(drawn: Points) -> Plot:
    """The frame of errors against true scores, as far up as down."""
    reach = float(np.max(np.abs(drawn.error))) * 1.12 or 1.0
    return Plot((0.0, 100.0), (-reach, reach))


def residuals(drawn: Points, label: str) -> str:
    """The error against the true score, with both ends of the scale shaded."""
    plot = residual_plot(drawn)
    parts = [HATCH]
    for low, high in (LOW_END, HIGH_END):
        inside = (drawn.label >= low) & (drawn.label <= high)
        rmse = math.sqrt(float(np.mean(np.square(drawn.error[inside])))) if inside.any() else None
        parts.append(plot.band(low, high, f"RMSE {points(rmse)}"))
    parts.append(plot.axes(f"{label} (points)", "student less label"))
    parts.append(plot.line([0, 100], [0, 0], "equal"))
    parts += _marks(plot, drawn, drawn.error, drawn.rows.predicted - drawn.rows.label)
    said = (
        f"Errors of {drawn.n:,} rows against the true score; scores up to 20 and from 80 are "
        f"shaded. The largest error is {points(float(np.max(np.abs(drawn.error))))} points."
    )
    return drawing(plot.width, plot.height, said, parts)


def _marks(plot: Plot, drawn: Points, every: Floats, single: Floats) -> list[str]:
    """Cells where rows are many, dots, and the worst rows ringed and numbered."""
    rows = drawn.rows
    parts = [cells(plot, drawn.label, every)] if drawn.counted else []
    parts.append(plot.dots(rows.label, single, "dots"))
    error = np.abs(rows.predicted - rows.label)
    for rank, k in enumerate(np.argsort(-error, kind="stable")[:_WORST].tolist(), 1):
        x, y = float(plot.px(rows.label[k])), float(plot.py(single[k]))
        beside = (x - 9, "end") if x > plot.width - 40 else (x + 9, "start")
        parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
        parts.append(
            f'<text class="{beside[1]} strong" x="{beside[0]:.1f}" y="{y:.1f}">{rank}</text>'
        )
    return parts


def sources(entries: Sequence[SourceError], whole: float) -> str:
    """RMSE by source with its interval, the largest first; the line is that of all rows."""
    shown = entries[:MOST_SOURCES]
    largest = max([entry.rmse for entry in shown] + [whole])
    ends = [entry.interval.high for entry in shown if math.isfinite(entry.interval.high)]
    reach = min(max([largest, *ends]), 2 * largest) * 1.05 or 1.0
    row, top, bottom, left = 19, 8, 44, 150
    height = top + row * len(shown) + bottom
    plot = Plot((0.0, reach), (0.0, 1.0), height=height, left=left, top=top, bottom=bottom)
    right, floor = plot.width - plot.right, height - bottom
    parts = []
    for value in ticks(0.0, reach):
        x = float(plot.px(value))
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{floor}"/>')
        parts.append(f'<text class="mid" x="{x:.1f}" y="{floor + 16}">{tick_label(value)}</text>')
    x = float(plot.px(whole))
    parts.append(f'<path class="equal" d="M{x:.1f} {top}V{floor}"/>')
    for k, entry in enumerate(shown):
        y = top + row * (k + 0.5)
        x = float(plot.px(entry.rmse))
        interval, between = entry.interval, ""
        if math.isfinite(interval.high):
            start, end = float(plot.px(interval.low)), float(plot.px(interval.high))
            cut = end > right
            parts.append(f'<path class="interval" d="M{start:.1f} {y}H{min(end, right):.1f}"/>')
            if cut:
                parts.append(f'<text class="end small" x="{right}" y="{y - 3}">›</text>')
            between = f", 95 % {points(interval.low)} to {points(interval.high)}"
        label = f"{entry.source}: RMSE {points(entry.rmse)}{between}; {entry.n_clips} clips"
        parts.append(
            f'<g><title>{text(label)}</title><circle class="dot" cx="{x:.1f}" cy="{y}" r="4"/>'
            f'<text class="end" x="{left - 8}" y="{y + 4}">{text(entry.source, 20)}</text></g>'
        )
    parts.append(
        f'<text class="mid name" x="{(left + right) / 2:.0f}" y="{height - 8}">RMSE (points)</text>'
    )
    said = f"RMSE of {len(shown)} sources with 95 % intervals, from the worst to the best."
    return drawing(plot.width, height, said, parts)


def losses(curves: Curves) -> str:
    """Training losses over the steps, by their logarithm; the final fit is drawn heavier."""
    values = np.where(curves.losses > 0, curves.losses, np.nan)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # steps without any loss
        logs = np.log10(values)
        low, high = float(np.nanmin(logs)), float(np.nanmax(logs))
        bottom, middle, top = (
            np.nanmin(logs[:-1], 0, initial=np.inf),
            np.nanmedian(logs[:-1], 0),
            np.nanmax(logs[:-1], 0, initial=-np.inf),
        )
    pad = max(0.05 * (high - low), 0.05)
    last = float(max(curves.steps[-1], 1))
    plot = Plot((0.0, last), (low - pad, high + pad), log_y=True)
    parts = [plot.axes("step", "training loss")]
    steps = curves.steps.astype(np.float64)
    sound = np.isfinite(middle)
    if sound.any():
        parts.append(plot.area(steps[sound], bottom[sound], top[sound], "range"))
        if len(logs) - 1 <= _MOST_MEMBERS:
            parts += [_curve(plot, steps, line, "member") for line in logs[:-1]]
        parts.append(plot.line(steps[sound], middle[sound], "median"))
    parts.append(_curve(plot, steps, logs[-1], "final"))
    said = (
        f"Training loss of {len(logs) - 1} folds and the final fit over {int(last) + 1} steps; "
        f"the final fit ends at {points(float(curves.losses[-1, -1]))}."
    )
    return drawing(plot.width, plot.height, said, parts)


def _curve(plot: Plot, steps: Floats, values: Floats, kind: str) -> str:
    sound = np.isfinite(values)
    return plot.line(steps[sound], values[sound], kind) if sound.sum() > 1 else ""
