"""How sure a score is: what `score --interval` of a run held, of the sources left out."""

from vmaf_jax.evaluation.clip_residuals import is_of_clips, residuals_of
from vmaf_jax.evaluation.conformal import Residuals, coverage
from vmaf_jax.reporting.frame import table
from vmaf_jax.reporting.run_view import RunView, points

LEVELS = (0.8, 0.9, 0.95)
_LEAST_SOURCES = 3  # two remain to calibrate by
_MOST_CLIPS = 2000  # whose distances from each other are looked at, source by source


def score_intervals(run: RunView) -> list[str]:
    """The section of the page: for each level, how often intervals held the label, how wide."""
    residuals = _residuals(run)
    if isinstance(residuals, str):
        return [f"<p>{residuals}</p>\n"]
    rows = []
    for level in LEVELS:
        entry = coverage(residuals, level)
        rows.append(
            [
                f"{level:.0%}",
                f"{entry.covered:.1%}",
                points(entry.width),
                f"{entry.naive_covered:.1%}",
                points(entry.naive_width),
            ]
        )
    header = ["level", "held the label", "mean width", "naive, held", "naive, mean width"]
    note = (
        f"<p>Intervals of {len(residuals.label):,} held-out clips, each calibrated on the other "
        f"sources of {residuals.n_sources}. Naive: the prediction with a multiple of the other "
        f"sources' RMSE on both sides. <code>score --interval 0.9</code> gives such an interval "
        f"of a new clip.</p>\n"
    )
    return [note, table(header, rows)]


def _residuals(run: RunView) -> Residuals | str:
    """Residuals of the held-out clips, or why the page has no intervals."""
    if not is_of_clips(run.held_out):
        return "Held out were frames; intervals are of clips, and are not shown here."
    residuals = residuals_of(run.held_out, {}, "mean")
    if residuals is None or residuals.n_sources < _LEAST_SOURCES:
        return f"Fewer than {_LEAST_SOURCES} sources calibrate no interval."
    if len(residuals.label) > _MOST_CLIPS:
        return f"More than {_MOST_CLIPS:,} clips; <code>score --interval</code> has the intervals."
    return residuals
