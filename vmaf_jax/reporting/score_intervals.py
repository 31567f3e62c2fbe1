"""How sure a score is, as pages and cards say it: what intervals held of sources left out."""

from collections.abc import Mapping

import numpy as np

from vmaf_jax.evaluation.conformal import LEVELS, HeldOutIntervals
from vmaf_jax.reporting.page import markdown_table, table
from vmaf_jax.reporting.run_view import RunView, points
from vmaf_jax.reporting.svg import text

_AT = (20.0, 50.0, 80.0)  # predictions whose half-width a card gives, points


def score_intervals(run: RunView) -> list[str]:
    """The section of a run's page: for each level, how often intervals held the label, how wide."""
    intervals = run.intervals
    if isinstance(intervals, str):
        return [f"<p>{text(intervals)}</p>\n"]
    rows = [
        [
            f"{entry.level:.0%}",
            f"{entry.covered:.1%}",
            points(entry.width),
            f"{entry.naive_covered:.1%}",
            points(entry.naive_width),
        ]
        for entry in intervals.coverages
    ]
    header = ["level", "held the label", "mean width", "naive, held", "naive, mean width"]
    note = (
        f"<p>Intervals of {intervals.profile.n_clips:,} held-out clips, each calibrated on the "
        f"other sources of {intervals.profile.n_sources}, other corpora included. Naive: the "
        f"prediction with a multiple of the other sources' RMSE on both sides. "
        f"<code>score --interval 0.9</code> "
        f"gives such an interval of a new clip.</p>\n"
    )
    return [note, table(header, rows)]


def intervals_of_runs(runs: Mapping[str, RunView]) -> list[str]:
    """The section of a page that compares runs: the same, a row a run and level."""
    rows = []
    lines = []
    for name, run in runs.items():
        intervals = run.intervals
        if isinstance(intervals, str):
            lines.append(f"<p>{text(name)}: {text(intervals)}</p>\n")
            continue
        rows += [
            [
                name,
                f"{entry.level:.0%}",
                f"{entry.covered:.1%}",
                points(entry.width),
                f"{intervals.profile.n_clips:,} of {intervals.profile.n_sources} sources",
            ]
            for entry in intervals.coverages
        ]
    header = ["run", "level", "held the label", "mean width", "clips"]
    note = (
        "<p>Intervals of single clips, as <code>score --interval</code> gives them, each "
        "calibrated on the run's other sources, other corpora included.</p>\n"
    )
    return [*([note, table(header, rows)] if rows else []), *lines]


def interval_lines(intervals: HeldOutIntervals | str, corpora: list[str]) -> list[str]:
    """The same for a card, Markdown, with half-widths of the model's own intervals.

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
                *(f"±{points(float(value))}" for value in half),
                f"{entry.covered:.1%}",
                f"{entry.covered_by_source:.1%}",
                points(entry.width),
            ]
        )
    among = f", those of {', '.join(corpora)} included" if corpora else ""
    return [
        f"Conformal intervals across sources, as `score --interval 0.9` gives them, from "
        f"{profile.n_clips:,} held-out predictions of clips of {profile.n_sources} sources{among}. "
        f"Half-widths in points, at three scores; then how often such intervals held the label of "
        f"a source's clips, calibrated without that source, and their mean width:",
        "",
        *markdown_table(
            [
                "level",
                *(f"at {score:g}" for score in _AT),
                "held the label",
                "mean over sources",
                "mean width",
            ],
            rows,
        ),
        "",
        f"The levels are for sources like these; one that is unlike all of them is held less often."
        f"{_promise(profile.n_sources)}",
    ]


def _promise(n_sources: int) -> str:
    """What no calibration on so few sources can promise; "" where the levels are below it."""
    most = n_sources / (n_sources + 1)
    if most >= LEVELS[-1]:
        return ""
    return f" From {n_sources} sources, no method can promise more than {most:.1%} of a new one."
