"""Scores and runs as a notebook shows them: a drawing and a table, HTML that needs nothing else."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.printable import format_fixed
from vmaf_jax.reporting.error_plots import draw_agreement, make_scatter
from vmaf_jax.reporting.page import Plot, drawing, plain_table, text

# Notebooks have themes of their own: colours that suit light and dark, and no style of the page.
_STYLE = (
    "<style>.vmaf-jax svg{max-width:440px;display:block}.vmaf-jax svg path{fill:none}"
    ".vmaf-jax .grid{stroke:#8884}.vmaf-jax .axis,.vmaf-jax .equal{stroke:#888}"
    ".vmaf-jax .curve{stroke:#0b57d0;stroke-width:1.5}"
    ".vmaf-jax .dots{stroke:#0b57d0;stroke-width:4;stroke-linecap:round}"
    ".vmaf-jax .ring{fill:none;stroke:#b3261e}.vmaf-jax svg .cell{fill:#0b57d0;fill-opacity:.3}"
    ".vmaf-jax svg text{font:12px sans-serif;fill:currentColor}"
    ".vmaf-jax .mid{text-anchor:middle}.vmaf-jax .end{text-anchor:end}</style>"
)
_MAX_POINTS = 800  # of a curve; a notebook keeps its drawings in its file
_MAX_SOURCES = 8  # of a run that are listed
_STATISTICS = ("mean", "harmonic_mean", "min", "p1", "p5", "worst_second")


def clip_html(
    title: str,
    statistics: Mapping[str, Mapping[str, float]],
    per_frame: npt.NDArray[np.float64],
    remarks: Sequence[str] = (),
    numbers: npt.NDArray[np.integer] | None = None,
) -> str:
    """Returns a clip's scores: a drawing over the frames, a row for each model, and remarks.

    Args:
        statistics: by model, from `Scores.all_statistics`.
        per_frame: the model's scores, VMAF points, `[frames]`.
        remarks: sentences on the uncertainty of the score.
        numbers: of the frames `[frames]`; from 0 by default.
    """
    rows = [
        [name, *(format_fixed(entry.get(key), 3) for key in _STATISTICS)]
        for name, entry in statistics.items()
    ]
    numbers = np.arange(len(per_frame)) if numbers is None else numbers
    svg = _draw_scores(per_frame, numbers) if len(per_frame) > 1 else ""
    words = "".join(f"<p>{text(line)}</p>" for line in remarks)
    return _wrap(title, svg + plain_table(["", *_STATISTICS], rows) + words)


def ranking_html(
    ranked: Sequence[tuple[str, float, str]], failed: Sequence[tuple[str, str]]
) -> str:
    """Returns a ranking of videos.

    Args:
        ranked: name, score and its uncertainty, the best first.
        failed: name of a video without a score, and the reason.
    """
    with_sure = any(sure for _, _, sure in ranked)
    rows = [
        [str(k), name, f"{score:.3f}", *([sure] if with_sure else [])]
        for k, (name, score, sure) in enumerate(ranked, 1)
    ]
    empty = [""] if with_sure else []
    rows += [["–", name, f"not scored: {reason}", *empty] for name, reason in failed]
    return _wrap(
        "", plain_table(["", "video", "score", *(["uncertainty"] if with_sure else [])], rows)
    )


def run_html(name: str, held_out: HeldOut) -> str:
    """Returns a run: labels against predictions, and figures by source, the worst first."""
    by_source = [
        (source, all_metrics(rows.predicted, rows.label))
        for source in sorted(set(held_out.source.tolist()))
        for rows in [held_out.where(held_out.source == source)]
    ]
    by_source.sort(key=lambda entry: -entry[1].rmse)
    pooled = all_metrics(held_out.predicted, held_out.label)
    rows = [
        [
            source,
            str(metrics.n),
            format_fixed(metrics.plcc, 5),
            format_fixed(metrics.srocc, 5),
            format_fixed(metrics.rmse, 4),
            format_fixed(metrics.max_abs, 3),
        ]
        for source, metrics in [("all held out", pooled), *by_source[:_MAX_SOURCES]]
    ]
    if len(by_source) > _MAX_SOURCES:
        rows.append([f"and {len(by_source) - _MAX_SOURCES} with smaller errors", *[""] * 5])
    figures = plain_table(["held-out source", "n", "PLCC", "SROCC", "RMSE", "max"], rows)
    return _wrap(name, draw_agreement(make_scatter(held_out), "label")[1] + figures)


def _draw_scores(per_frame: npt.NDArray[np.float64], numbers: npt.NDArray[np.integer]) -> str:
    """Draws scores over frames; of a long clip the lowest of every few, so that no dip is lost."""
    step = -(-len(per_frame) // _MAX_POINTS)
    starts = np.arange(0, len(per_frame), step)
    lowest = np.minimum.reduceat(per_frame, starts)
    low = min(float(lowest.min()), 99.0)
    places = numbers[starts].astype(np.float64)
    plot = Plot(
        (0.0, max(float(places[-1]), 1.0)), (low, max(100.0, float(lowest.max()))), height=180
    )
    words = "frame" if step == 1 else f"frame (the lowest of every {step})"
    parts = [plot.axes(words, "points"), plot.line(places, lowest, "curve")]
    return drawing(plot.width, plot.height, "Scores over the frames", parts)


def _wrap(title: str, content: str) -> str:
    heading = f"<b>{text(title)}</b>" if title else ""
    return f'<div class="vmaf-jax">{_STYLE}{heading}{content}</div>'
