"""Plots of a run's saved predictions, as PNG bytes."""

import functools
import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.printable import printable


def png(figure: Any) -> bytes:
    """A Matplotlib figure as PNG; the same figure gives the same bytes on one machine.

    Texts are drawn as they stand: `$` begins no formula, control characters are escaped, and
    characters that Matplotlib's own font lacks, such as Chinese ones, come from other fonts of the
    machine, or are boxes where it has none.
    """
    texts = [axis.title for axis in figure.axes]  # ticks are Matplotlib's own, and formulas
    texts += [label for axis in figure.axes for label in (axis.xaxis.label, axis.yaxis.label)]
    legends = [axis.get_legend() for axis in figure.axes]
    texts += [text for legend in legends if legend is not None for text in legend.get_texts()]
    families = ["DejaVu Sans", *_fallback_fonts("".join(text.get_text() for text in texts))]
    for text in texts:
        text.set(parse_math=False, text=printable(text.get_text(), keep="\n"), family=families)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def legend_label(name: str) -> str:
    """A name as a legend's label; Matplotlib leaves out those that begin with `_`."""
    return f" {name}" if name.startswith("_") else name


def _fallback_fonts(characters: str) -> list[str]:
    """Fonts of this machine that have what DejaVu Sans, Matplotlib's own, lacks."""
    from matplotlib.font_manager import fontManager

    regular = {
        font.name: font.fname
        for font in fontManager.ttflist
        if font.style == "normal" and font.weight in (400, "normal", "regular")
    }
    lacking = {ord(c) for c in characters if c.isprintable()} - _glyphs(regular["DejaVu Sans"])
    chosen: list[str] = []
    for name in sorted(regular) if lacking else []:
        if found := lacking & _glyphs(regular[name]):
            chosen.append(name)
            lacking -= found
        if not lacking:
            break
    return chosen


@functools.cache
def _glyphs(file: str) -> frozenset[int]:
    """Code points that a font's file has."""
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(file).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()  # a broken font, or one of a kind that cannot be drawn


def _figure(columns: int, width: float = 9.0) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 3.6), layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def agreement(rows: HeldOut, title: str) -> bytes:
    """Predicted against true scores, and the error against the true score."""
    figure, (left, right) = _figure(2)
    _, colour = np.unique(rows.source, return_inverse=True)
    left.plot([0, 100], [0, 100], color="0.7", linewidth=1)
    left.scatter(rows.label, rows.predicted, c=colour, cmap="tab20", s=9)
    left.set(xlabel="teacher (VMAF points)", ylabel="student", title=title)
    right.axhline(0, color="0.7", linewidth=1)
    right.scatter(rows.label, rows.predicted - rows.label, c=colour, cmap="tab20", s=9)
    right.set(xlabel="teacher (VMAF points)", ylabel="error", title="error, one colour a source")
    return png(figure)


def per_frame(
    scores: dict[str, npt.NDArray[np.float64]],
    title: str,
    index: npt.NDArray[np.int32] | None = None,
    band: tuple[float, float] | None = None,
) -> bytes:
    """Scores over the frames of a clip, one line a model.

    Args:
        index: the frames' numbers, where they are not all.
        band: the ends of the clip's interval, VMAF points, drawn behind.
    """
    figure, (axis,) = _figure(1)
    for name, values in scores.items():
        x = np.arange(len(values)) if index is None else index
        axis.plot(x, values, linewidth=1, label=f"{legend_label(name)}, mean {np.mean(values):.2f}")
    if band is not None:
        axis.axhspan(*band, color="0.8", label=f"interval {band[0]:.2f} to {band[1]:.2f}")
    axis.set(xlabel="frame", ylabel="VMAF points", title=title)
    axis.legend()
    return png(figure)
