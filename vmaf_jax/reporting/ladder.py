"""A ladder for people: tables at a terminal, CSV, and a plot."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any

import numpy as np
from rich.table import Table

from vmaf_jax.corpora.encodes import Encode
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.rate_quality import METHODS, Curve, RateDifference
from vmaf_jax.reporting.plots import legend_label, png
from vmaf_jax.reporting.terminal import show_table

MAX_PANELS = 24  # contents of one plot
_MIN_OVERLAP = 0.75  # less is pointed out: the mean is of few of the scores


def percent(value: float) -> str:
    """A fraction as percent, with its sign."""
    return f"{100 * value:+.2f} %"


def show_bd_rate(
    codec: str,
    anchor: str,
    contents: Mapping[str, RateDifference],
    mean: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float] | None],
    level: float,
) -> None:
    """A row a content, and one of the mean with its interval."""
    view = Table("content", *METHODS, "scores", "overlap", title=f"{codec} to {anchor}")
    for name, entry in contents.items():
        few = "" if entry.overlap >= _MIN_OVERLAP else " (little)"
        cells = [percent(entry.bd_rate[method]) for method in METHODS]
        scores = f"{entry.low:.1f} to {entry.high:.1f}"
        view.add_row(name, *cells, scores, f"{100 * entry.overlap:.0f} %{few}")
    view.add_section()
    view.add_row("mean", *(percent(mean[method]) for method in METHODS))
    cells = [_interval(intervals[method]) for method in METHODS]
    view.add_row(f"{100 * level:g} % interval", *cells)
    show_table(view)


def _interval(pair: tuple[float, float] | None) -> str:
    return "too few contents" if pair is None else f"{percent(pair[0])} to {percent(pair[1])}"


def show_hull(content: str, encodes: Iterable[Encode]) -> None:
    """The encodes on a content's hull, a row each."""
    view = Table("kbit/s", "codec", "lines", "score", title=f"convex hull: {content}")
    for encode in encodes:
        height = "" if encode.height is None else str(encode.height)
        view.add_row(f"{encode.kbps:.1f}", encode.codec, height, f"{encode.score:.2f}")
    show_table(view)


def rungs_csv(rungs: Iterable[tuple[Encode, bool, bool]]) -> bytes:
    """CSV of encodes with whether each is on the content's hull and on its codec's."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["content", "codec", "height", "kbps", "score", "on_hull", "on_codec_hull"])
    for encode, on_hull, on_codec_hull in rungs:
        height = "" if encode.height is None else encode.height
        cells = [encode.content, encode.codec, height, repr(encode.kbps), repr(encode.score)]
        writer.writerow([*cells, int(on_hull), int(on_codec_hull)])
    return buffer.getvalue().encode()


def check_panels(contents: Sized) -> None:
    """Raises InputError where there are more contents than a plot has panels."""
    if len(contents) > MAX_PANELS:
        raise InputError(
            f"--plot: {len(contents)} contents, at most {MAX_PANELS} in a plot; choose one with "
            f"--content."
        )


def plot(curves: Mapping[str, Mapping[str, Curve]], hulls: Mapping[str, Sequence[Encode]]) -> bytes:
    """A panel a content: each codec's points and PCHIP curve, and the hull of all; PNG."""
    from matplotlib.figure import Figure

    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.6 * columns + 0.6, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    for panel, (content, by_codec) in zip(panels, curves.items(), strict=False):
        _panel(panel, content, by_codec, hulls[content])
    return png(figure)


def _panel(panel: Any, content: str, by_codec: Mapping[str, Curve], hull: Sequence[Encode]) -> None:
    for codec, curve in by_codec.items():
        scores = np.linspace(curve.score[0], curve.score[-1], 200)
        (line,) = panel.plot(10 ** curve.log_rate("pchip")(scores), scores, linewidth=1)
        panel.plot(
            curve.rate,
            curve.score,
            "o",
            color=line.get_color(),
            markersize=4,
            label=legend_label(codec),
        )
    panel.plot(
        [e.kbps for e in hull],
        [e.score for e in hull],
        "--",
        color="0.4",
        linewidth=1,
        label="hull",
    )
    panel.set(xscale="log", xlabel="kbit/s", ylabel="score", title=content)
    panel.legend(fontsize="small")
