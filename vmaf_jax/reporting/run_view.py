"""A run as its files have it: the values that pages and notebooks show.

Only the held-out predictions have to be there. Other files may be missing or damaged: `number_at`
gives None for what they lack, and the page says what it could not show.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.clip_pooling import OVER_FRAMES
from vmaf_jax.evaluation.conformal import HeldOutIntervals, held_out_intervals
from vmaf_jax.evaluation.cross_validation import HeldOut, PooledErrors, pooled_errors
from vmaf_jax.evaluation.metrics import HIGH_END, LOW_END, range_rmse, rmse
from vmaf_jax.printable import format_count, format_interval, format_points
from vmaf_jax.reporting.notebook import run_html
from vmaf_jax.reporting.page import Tile, header, paragraph, table
from vmaf_jax.tables.table import encode, votes_a_point


@dataclasses.dataclass(frozen=True)
class Curves:
    """Training losses at the steps that were logged.

    Attributes:
        steps: `[k]`, increasing.
        members: names of the members, `[m]`; the last is the final fit.
        losses: `[m, k]`; NaN where a file has none.
    """

    steps: npt.NDArray[np.int64]
    members: tuple[str, ...]
    losses: npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class RunView:
    """Values of a run that a page shows.

    Attributes:
        name: of the run.
        config: its settings; `config_text` the same as text.
        held_out: every held-out prediction.
        external: predictions of other corpora, by name.
        metrics, parity: the content of their files, empty without one.
        curves: of the training, if logged.
        missing: a line on each file that could not be shown.
        label_scale: the worst and the best vote behind 0 and 100, where people voted.
        pooling: of frames to a clip, by its full name; None where no file says.
    """

    name: str
    config: Mapping[str, object]
    config_text: str
    held_out: HeldOut
    external: Mapping[str, HeldOut]
    metrics: Mapping[str, object]
    parity: Mapping[str, object]
    curves: Curves | None
    missing: tuple[str, ...] = ()
    label_scale: tuple[float, float] | None = None
    pooling: str | None = None

    def _repr_html_(self) -> str:
        return run_html(self.name, self.held_out)

    @property
    def label(self) -> str:
        """The label that was learnt: a teacher's name, or `mos`."""
        data = object_at(self.config, "data")
        if data.get("label") == "mos":
            return "mos"
        return str(data.get("teacher") or data.get("label") or "the label")

    @property
    def label_words(self) -> str:
        """The label in words."""
        return "opinion scores" if self.label == "mos" else self.label

    @functools.cached_property
    def intervals(self) -> HeldOutIntervals | str:
        """Intervals of clips' scores with their coverage, or a sentence on why there are none."""
        # With no pooling known there is a clip's score only where rows are clips, as over frames.
        return held_out_intervals(self.held_out, self.external, self.pooling or OVER_FRAMES)


def number_at(document: Mapping[str, object], key: str) -> float | None:
    """Returns the finite number under a key; None where it is missing or something else."""
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def object_at(document: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Returns the object under a key; an empty one where it is missing or something else."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


_FEW_SOURCES, _FEW_ROWS, _MUCH_WORSE = 5, 10, 3.0
_SIZES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)  # VMAF points


def run_header(run: RunView) -> str:
    """Returns the top of a run's page: how good it is, by its held-out predictions.

    Tiles say accuracy, data and uncertainty; warnings are facts that a reader would otherwise miss.
    """
    rows = run.held_out
    errors = pooled_errors(rows)
    worst = float(np.max(np.abs(rows.predicted - rows.label)))
    has_interval = math.isfinite(errors.rmse_interval.low)
    n_clips = len(set(zip(rows.source.tolist(), rows.clip.tolist(), strict=True)))
    n_seeds = len(np.unique(rows.seed))
    n_rows = len(rows.label) // n_seeds
    counted = format_count(n_clips, "clip", ",")
    if n_rows != n_clips:
        counted += f", {format_count(n_rows, 'row', ',')}"
    tiles = (
        Tile(
            "How good?",
            format_points(errors.rmse),
            f"points of RMSE against {run.label_words}{_as_voted(run, errors.rmse)}; PLCC "
            f"{errors.plcc:.5f}",
        ),
        Tile(
            "On what?",
            format_count(errors.n_sources, "unseen source"),
            f"{counted}, {format_count(n_seeds, 'seed')}; each row predicted by a student "
            f"that never saw its source",
        ),
        Tile(
            "Uncertainty",
            format_interval(errors.rmse_interval) if has_interval else "unknown",
            f"95 % interval of that RMSE over sources; worst row {format_points(worst)} off"
            if has_interval
            else "fewer than three sources give no interval",
        ),
    )
    return header(run.name, _sentence(run, errors), tiles, [*_warnings(run, errors), *run.missing])


def list_limits(run: RunView) -> list[str]:
    """Lists what the figures of a run do not say."""
    data, training = object_at(run.config, "data"), object_at(run.config, "training")
    lines = list(common_limits(run.label))
    if training.get("strategy") == "teacher_queries":
        lines.append(
            "Queries asked the teacher anywhere, held-out clips' surroundings included: the figure "
            "says how well a known function is approximated, not how a model fitted to labels does "
            "on new content."
        )
    if data.get("corpus") == "support_vectors" and not data.get("features"):
        lines.append(
            "The clips are the teacher's own support vectors; their sources are inferred from "
            "motion2."
        )
    n_sources = len(encode(run.held_out.source)[0])
    lines.append(
        f"Intervals take the {n_sources} sources as a sample of future content. If yours is of "
        f"another kind, they say little."
    )
    return lines


def common_limits(label: str) -> tuple[str, str]:
    """Returns the limits of every model in two sentences.

    Args:
        label: what it learnt, a teacher's name or `mos`.
    """
    features = "It knows libvmaf's features of a frame and nothing else: what they miss, it misses."
    if label == "mos":
        return features, "It was fitted to the opinion scores of its table, and to no others."
    return features, f"Agreement is with {label}, not with viewers."


def _sentence(run: RunView, errors: PooledErrors) -> str:
    size = next((s for s in _SIZES if errors.rmse <= s), None)
    near = f"to within {format_count(size, 'point', 'g')}" if size else "only to tens of points"
    sentence = (
        f"On sources it never saw, this student agrees with {run.label_words} {near} "
        f"(root mean square, on 0–100)"
    )
    if run.external:
        parts = [
            f"{name} {format_points(rmse(rows.predicted, rows.label))}"
            for name, rows in run.external.items()
        ]
        sentence += f"; on other corpora: {', '.join(parts)}"
    ulp, distance = number_at(run.parity, "max_ulp"), number_at(run.parity, "max_abs")
    if distance == 0 and ulp == 0:
        sentence += ". Its exported file gives the same bits as JAX"
    elif distance is not None:
        most = format_points(distance)
        sentence += f". Its exported file differs from JAX by at most {most} points"
    return sentence + "."


def _as_voted(run: RunView, error: float) -> str:
    """Returns an error on the scale that people voted on, in brackets; "" for other labels."""
    if run.label != "mos" or run.label_scale is None:
        return ""
    low, high = run.label_scale
    return f" ({error * votes_a_point(run.label_scale):.3f} votes on {low:g} to {high:g})"


def _warnings(run: RunView, errors: PooledErrors) -> list[str]:
    rows, lines = run.held_out, []
    if isinstance(judgement := object_at(run.metrics, "beside").get("verdict"), str):
        lines.append(judgement)
    if errors.n_sources < _FEW_SOURCES:
        lines.append(
            f"No more than {format_count(errors.n_sources, 'source')} held out: the "
            f"figure may be far from what new content gives."
        )
    for name, ends in (("0 to 20", LOW_END), ("80 to 100", HIGH_END)):
        inside = (rows.label >= ends[0]) & (rows.label <= ends[1])
        count = int(inside.sum()) // len(np.unique(rows.seed))
        if count < _FEW_ROWS:
            lines.append(
                f"Only {count} of the held-out rows score {name}: that end is hardly known."
            )
        elif range_rmse(rows.predicted, rows.label, *ends).rmse > _MUCH_WORSE * errors.rmse:
            lines.append(
                f"Where labels are {name}, errors are more than {_MUCH_WORSE:g} times larger."
            )
    for name, other in run.external.items():
        if rmse(other.predicted, other.label) > _MUCH_WORSE * errors.rmse:
            lines.append(f"On {name} errors are more than {_MUCH_WORSE:g} times larger.")
    limits = object_at(run.parity, "limits")
    for key, what in (("max_abs", "points"), ("max_ulp", "ULP")):
        value, limit = number_at(run.parity, key), number_at(limits, key)
        if value is not None and limit is not None and value > limit:
            lines.append(f"ONNX parity missed its limit: {value:g} {what}, {limit:g} allowed.")
    return lines


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
    columns = ["run", "level", "held the label", "mean width"]
    columns += ["naive, held", "naive, mean width", "held-out clips"]
    note = (
        "<p>Intervals of single clips, as <code>score --interval 0.9</code> gives them, each "
        "calibrated on the run's other sources, other corpora included. Naive: the prediction with "
        "a multiple of the other sources' RMSE on both sides.</p>\n"
    )
    return [note, table(columns, rows), *without]
