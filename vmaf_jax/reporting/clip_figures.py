"""The drawing of quality over time, as SVG: a line an encode, cuts, the worst frames, intervals."""

from collections.abc import Sequence

import numpy as np

from vmaf_jax.reporting.clip_view import ClipView, Curve
from vmaf_jax.reporting.svg import HATCH, Plot, drawing, text

_MOST_CUTS = 200  # drawn; a film has more than a drawing can tell apart


def quality_plot(view: ClipView, curves: Sequence[Curve]) -> Plot:
    """Its frame: all frames across, and up as far as the scores and intervals reach."""
    lows = [float(curve.low.min()) for curve in curves]
    highs = [float(curve.mean.max()) for curve in curves]
    for encode in view.drawn:
        if encode.interval is not None:
            lows.append(encode.interval.low)
            highs.append(encode.interval.high)
    pad = max(0.08 * (max(highs) - min(lows)), 1.0)
    low, high = max(min(lows) - pad, -1.0), min(max(highs) + pad, 101.0)
    last = float(max(view.n_frames - 1, 1))
    return Plot((0.0, last), (low, high), width=880, height=340, left=50, right=44)


def quality(view: ClipView, curves: Sequence[Curve], plot: Plot) -> str:
    """Scores over the frames; encodes are told apart by number, dashes and colour."""
    right, floor = plot.width - plot.right, plot.height - plot.bottom
    parts = [HATCH]
    if len(curves) == 1 and (interval := view.encodes[0].interval) is not None:
        top, bottom = float(plot.py(interval.high)), float(plot.py(interval.low))
        box = f'x="{plot.left}" y="{top:.1f}" width="{right - plot.left}"'
        box += f' height="{bottom - top:.1f}"'
        parts.append(f'<rect class="band" {box}/><rect fill="url(#hatch)" {box}/>')
    parts.append(plot.axes("frame", f"{view.model} (points)"))
    for cut in view.cuts[:_MOST_CUTS]:
        x = float(plot.px(cut))
        label = f"scene cut at {view.when(cut)}"
        parts.append(
            f'<g><title>{text(label)}</title><path class="cut" d="M{x:.1f} {plot.top}V{floor}"/>'
            f'<path class="mark" d="M{x - 4:.1f} {plot.top - 8}h8l-4 7Z"/></g>'
        )
    for number, (encode, curve) in enumerate(zip(view.drawn, curves, strict=True)):
        if len(curve.mean) == 1:
            parts.append(plot.dots(curve.middle, curve.mean, f"line s{number} dot1"))
        if not np.array_equal(curve.mean, curve.low):
            parts.append(plot.area(curve.middle, curve.low, curve.mean, f"low s{number}"))
        parts.append(plot.line(curve.middle, curve.mean, f"line s{number}"))
        at = float(plot.py(encode.score))
        parts.append(f'<path class="line s{number}" d="M{right + 4} {at:.1f}h12"/>')
        parts.append(f'<text class="strong" x="{right + 20}" y="{at + 4:.1f}">{number + 1}</text>')
        if encode.interval is not None:
            ends = plot.py([encode.interval.low, encode.interval.high])
            parts.append(
                f'<path class="line s{number}" d="M{right + 10} {ends[0]:.1f}V{ends[1]:.1f}"/>'
            )
        parts += _worst(plot, encode.worst, [encode.at(frame) for frame in encode.worst])
    pictured = plot.px(sorted(view.pictures)).tolist()
    ticks = "".join(f"M{x:.1f} {floor}v5" for x in pictured)
    parts.append(f'<path class="axis" d="{ticks}"/>')
    return drawing(plot.width, plot.height, _described(view), parts)


def _worst(plot: Plot, frames: Sequence[int], scores: Sequence[float]) -> list[str]:
    return [
        f'<circle class="ring" cx="{float(plot.px(frame)):.1f}" '
        f'cy="{float(plot.py(score)):.1f}" r="6"/>'
        for frame, score in zip(frames, scores, strict=True)
    ]


def _described(view: ClipView) -> str:
    best = view.encodes[0]
    lowest = best.worst[0]
    return (
        f"Scores of {len(view.drawn)} encodes over {view.n_frames} frames with {len(view.cuts)} "
        f"scene cuts. {best.name} has {best.score:.2f}; its lowest frame is {lowest} with "
        f"{best.at(lowest):.2f}."
    )
