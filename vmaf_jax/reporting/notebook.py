"""Scores as a notebook shows them: a small drawing and a table, HTML that needs nothing else."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.reporting.svg import Plot, drawing, text

_STYLE = (
    "<style>.vmaf-jax svg{max-width:440px;display:block}.vmaf-jax svg path{fill:none}"
    ".vmaf-jax .grid{stroke:#8884}.vmaf-jax .axis{stroke:#888}.vmaf-jax .curve{stroke:#0b57d0;"
    "stroke-width:1.5}.vmaf-jax .dots{stroke:#0b57d0;stroke-width:4;stroke-linecap:round}"
    ".vmaf-jax svg text{font:12px sans-serif;fill:currentColor}"
    ".vmaf-jax .mid{text-anchor:middle}.vmaf-jax .end{text-anchor:end}</style>"
)
_MOST = 800  # points of a curve
_SOURCES = 8  # sources of a run that are listed
_FIGURES = ("mean", "harmonic_mean", "min", "p1", "p5")


def clip_html(
    title: str,
    statistics: Mapping[str, Mapping[str, float]],
    per_frame: npt.NDArray[np.float64],
) -> str:
    """A clip: its scores over the frames, and a row a model.

    Args:
        statistics: by model, as `Scores.all_statistics`.
        per_frame: the model's scores, VMAF points, `[frames]`.
    """
    rows = [
        [name, *(f"{entry[key]:.3f}" for key in _FIGURES)] for name, entry in statistics.items()
    ]
    svg = _curve(per_frame) if len(per_frame) > 1 else ""
    return _wrapped(title, svg + rows_html(["", *_FIGURES], rows))


def rows_html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are escaped."""
    head = "".join(f"<th>{text(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{text(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def ranking_html(ranked: Sequence[tuple[str, float]], failed: Sequence[tuple[str, str]]) -> str:
    """Videos with their scores, the best first, and those that have none."""
    rows = [[str(k), name, f"{score:.3f}"] for k, (name, score) in enumerate(ranked, 1)]
    rows += [["–", name, f"not scored: {reason}"] for name, reason in failed]
    return _wrapped("", rows_html(["", "video", "score"], rows))


def run_html(name: str, held_out: HeldOut) -> str:
    """A run: each held-out label against its prediction, and figures by source, the worst first."""
    by_source = [
        (source, all_metrics(rows.predicted, rows.label))
        for source in sorted(set(held_out.source.tolist()))
        for rows in [held_out.where(held_out.source == source)]
    ]
    by_source.sort(key=lambda entry: -entry[1].rmse)
    whole = all_metrics(held_out.predicted, held_out.label)
    rows = [
        [source, str(m.n), f"{m.plcc:.5f}", f"{m.srocc:.5f}", f"{m.rmse:.4f}", f"{m.max_abs:.3f}"]
        for source, m in [("all held out", whole), *by_source[:_SOURCES]]
    ]
    if len(by_source) > _SOURCES:
        rows.append([f"and {len(by_source) - _SOURCES} with smaller errors", *[""] * 5])
    table = rows_html(["held-out source", "n", "PLCC", "SROCC", "RMSE", "max"], rows)
    return _wrapped(name, _agreement(held_out) + table)


def _agreement(held_out: HeldOut) -> str:
    some = np.unique(np.linspace(0, len(held_out.label) - 1, _MOST).astype(int))
    plot = Plot((0.0, 100.0), (0.0, 100.0))
    marks = [
        plot.axes("label, points", "predicted, points"),
        plot.line([0.0, 100.0], [0.0, 100.0], "axis"),
        plot.dots(held_out.label[some], held_out.predicted[some], "dots"),
    ]
    return drawing(plot.width, plot.height, "Held-out predictions against labels", marks)


def _wrapped(title: str, inside: str) -> str:
    heading = f"<b>{text(title)}</b>" if title else ""
    return f'<div class="vmaf-jax">{_STYLE}{heading}{inside}</div>'


def _curve(per_frame: npt.NDArray[np.float64]) -> str:
    """Scores over frames; of a long clip the lowest of every few frames, so that no dip is lost."""
    step = -(-len(per_frame) // _MOST)
    starts = np.arange(0, len(per_frame), step)
    lowest = np.minimum.reduceat(per_frame, starts)
    low = min(float(lowest.min()), 99.0)
    plot = Plot((0.0, float(max(starts[-1], 1))), (low, 100.0), height=180)
    words = "frame" if step == 1 else f"frame (the lowest of every {step})"
    parts = [plot.axes(words, "points"), plot.line(starts.astype(np.float64), lowest, "curve")]
    return drawing(plot.width, plot.height, "Scores over the frames", parts)
