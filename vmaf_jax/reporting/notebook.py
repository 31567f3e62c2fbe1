"""Scores as a notebook shows them: a small drawing and a table, HTML that needs nothing else."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.reporting.svg import Plot, drawing, text

_STYLE = (
    "<style>.vmaf-jax svg{max-width:440px;display:block}.vmaf-jax svg path{fill:none}"
    ".vmaf-jax .grid{stroke:#8884}.vmaf-jax .axis{stroke:#888}.vmaf-jax .curve{stroke:#0b57d0;"
    "stroke-width:1.5}.vmaf-jax svg text{font:12px sans-serif;fill:currentColor}"
    ".vmaf-jax .mid{text-anchor:middle}.vmaf-jax .end{text-anchor:end}</style>"
)
_MOST = 800  # points of a curve
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
