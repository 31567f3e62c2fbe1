"""Tables of a ladder: BD-rates and hulls at a terminal, rungs as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping, Sized

from rich.table import Table

from vmaf_jax.corpora.encodes import Encode
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.rate_quality import METHODS, RateDifference
from vmaf_jax.reporting.numbers import format_change
from vmaf_jax.reporting.terminal_tables import show_table

MAX_PANELS = 24  # contents of one plot
_MIN_OVERLAP = 0.75  # less is pointed out: the mean is of few of the scores


def show_bd_rate(
    codec: str,
    anchor: str,
    contents: Mapping[str, RateDifference],
    mean: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float] | None],
    level: float,
) -> None:
    """Shows a row for each content, and the mean of all with its interval at `level`."""
    view = Table("content", *METHODS, "scores", "overlap", title=f"{codec} to {anchor}")
    for name, entry in contents.items():
        rates = [format_change(entry.bd_rate[method]) for method in METHODS]
        few = "" if entry.overlap >= _MIN_OVERLAP else " (little)"
        scores = f"{entry.low:.1f} to {entry.high:.1f}"
        view.add_row(name, *rates, scores, f"{100 * entry.overlap:.0f} %{few}")
    view.add_section()
    view.add_row("mean", *(format_change(mean[method]) for method in METHODS))
    ends = [_interval(intervals[method]) for method in METHODS]
    view.add_row(f"{100 * level:g} % interval", *ends)
    show_table(view)


def _interval(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return "too few contents"
    return f"{format_change(ends[0])} to {format_change(ends[1])}"


def show_hull(content: str, encodes: Iterable[Encode]) -> None:
    """Shows the encodes on a content's hull, a row each."""
    view = Table("kbit/s", "codec", "lines", "score", title=f"convex hull: {content}")
    for encode in encodes:
        height = "" if encode.height is None else str(encode.height)
        view.add_row(f"{encode.kbps:.1f}", encode.codec, height, f"{encode.score:.2f}")
    show_table(view)


def show_rungs(title: str, rungs: Iterable[tuple[float, int, int, float, float, float]]) -> None:
    """Shows the rungs of a ladder to encode: target, width, height, setting, score and kbit/s."""
    view = Table("target", "size", "setting", "score", "kbit/s", title=title)
    for target, width, height, setting, score, kbps in rungs:
        size = f"{width}x{height}"
        view.add_row(f"{target:g}", size, f"{setting:g}", f"{score:.2f}", f"{kbps:.0f}")
    show_table(view)


def rungs_csv(rungs: Iterable[tuple[Encode, bool, bool]]) -> bytes:
    """Returns CSV of encodes with whether each is on the content's hull and on its codec's."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["content", "codec", "height", "kbps", "score", "on_hull", "on_codec_hull"])
    for encode, on_hull, on_codec_hull in rungs:
        height = "" if encode.height is None else encode.height
        # repr: the shortest digits that read back as the same number.
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
