"""Tables of the coverage of conformal intervals on held-out sources, for pages and cards."""

from collections.abc import Mapping, Sequence

import numpy as np

from vmaf_jax.evaluation.conformal import LEVELS, HeldOutIntervals
from vmaf_jax.reporting.numbers import format_points
from vmaf_jax.reporting.page import markdown_table, paragraph, table
from vmaf_jax.reporting.run_view import RunView

_AT = (20.0, 50.0, 80.0)  # predictions whose half-width a card gives, points


def coverage_section(runs: Mapping[str, RunView]) -> list[str]:
    """Returns the section of a page: for each run and level, the coverage and the mean width."""
    rows, without = [], []
    for name, run in runs.items():
        intervals = run.intervals
        if isinstance(intervals, str):
            without.append(paragraph(f"{name}: {intervals}"))
            continue
        rows += [
            [
                name,
                f"{entry.level:.0%}",
                f"{entry.covered:.1%}",
                format_points(entry.width),
                f"{entry.naive_covered:.1%}",
                format_points(entry.naive_width),
                f"{intervals.profile.n_clips:,} of {intervals.profile.n_sources} sources",
            ]
            for entry in intervals.coverages
        ]
    if not rows:
        return without
    header = ["run", "level", "held the label", "mean width"]
    header += ["naive, held", "naive, mean width", "held-out clips"]
    note = (
        "<p>Intervals of single clips, as <code>score --interval 0.9</code> gives them, each "
        "calibrated on the run's other sources, other corpora included. Naive: the prediction with "
        "a multiple of the other sources' RMSE on both sides.</p>\n"
    )
    return [note, table(header, rows), *without]


def coverage_lines(intervals: HeldOutIntervals | str, corpora: Sequence[str]) -> list[str]:
    """Returns the Markdown lines of a card: half-widths of the model's intervals, and coverage.

    Args:
        corpora: names of other corpora whose clips are among them.
    """
    if isinstance(intervals, str):
        return [intervals]
    profile = intervals.profile
    rows = []
    for entry in intervals.coverages:
        half = profile.half_width(np.array(_AT), entry.level)
        rows.append(
            [
                f"{entry.level:.0%}",
                *(f"±{format_points(float(value))}" for value in half),
                f"{entry.covered:.1%}",
                f"{entry.covered_by_source:.1%}",
                format_points(entry.width),
            ]
        )
    half_widths = [f"at {score:g}" for score in _AT]
    header = ["level", *half_widths, "held the label", "mean over sources", "mean width"]
    among = f", those of {', '.join(corpora)} included" if corpora else ""
    return [
        f"Conformal intervals across sources, as `score --interval 0.9` gives them, from "
        f"{profile.n_clips:,} held-out predictions of clips of {profile.n_sources} sources{among}. "
        f"Half-widths in points, at three scores; then how often such intervals held the label of "
        f"a source's clips, calibrated without that source, and their mean width:",
        "",
        *markdown_table(header, rows),
        "",
        f"The levels are for sources like these; one that is unlike all of them is held less often."
        f"{_caveat(profile.n_sources)}",
    ]


def _caveat(n_sources: int) -> str:
    """Returns what no calibration on so few sources can promise; "" with enough sources."""
    # With n exchangeable sources a new one is the most extreme of n + 1 with probability 1/(n + 1).
    most = n_sources / (n_sources + 1)
    if most >= LEVELS[-1]:
        return ""
    return f" From {n_sources} sources, no method can promise more than {most:.1%} of a new one."
