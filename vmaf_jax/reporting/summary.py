"""A run in words: one sentence on how good it is, three figures, and what to beware of.

Words are of sizes that the sentence names, in VMAF points; nothing here judges what viewers see.
"""

import dataclasses
import math

import numpy as np

from vmaf_jax.evaluation.by_source import PooledErrors, pooled_errors
from vmaf_jax.evaluation.metrics import HIGH_END, LOW_END, range_rmse, rmse
from vmaf_jax.reporting.run_view import RunView, as_voted, number_at, part, points
from vmaf_jax.tables.categories import encode

_FEW_SOURCES, _FEW_ROWS, _MUCH_WORSE = 5, 10, 3.0
_SIZES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)  # VMAF points


@dataclasses.dataclass(frozen=True)
class Tile:
    """A figure at the top of a page: what it answers, the figure, a line below."""

    question: str
    figure: str
    note: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The top of a run's page.

    Attributes:
        sentence: how good the run is.
        tiles: how good, on what, how sure.
        warnings: what a reader would otherwise miss.
    """

    sentence: str
    tiles: tuple[Tile, Tile, Tile]
    warnings: tuple[str, ...]


def verdict(run: RunView) -> Verdict:
    """What the run's predictions say."""
    rows = run.held_out
    whole = pooled_errors(rows)
    error = rows.predicted - rows.label
    worst = int(np.argmax(np.abs(error)))
    interval = whole.rmse_interval
    sure = math.isfinite(interval.low)
    n_clips = len(set(zip(rows.source.tolist(), rows.clip.tolist(), strict=True)))
    n_seeds = len(np.unique(rows.seed))
    n_rows = len(rows.label) // n_seeds
    counted = f"{n_clips:,} clips" + (f", {n_rows:,} rows" if n_rows != n_clips else "")
    reach = f"{points(interval.low)} to {points(interval.high)}" if sure else "unknown"
    return Verdict(
        sentence=_sentence(run, whole),
        tiles=(
            Tile(
                "How good?",
                f"{points(whole.rmse)}",
                f"points of RMSE against {run.label_words}{as_voted(run, whole.rmse)}; PLCC "
                f"{whole.plcc:.5f}",
            ),
            Tile(
                "On what?",
                f"{whole.n_sources} unseen {_plural('source', whole.n_sources)}",
                f"{counted}, {n_seeds} {_plural('seed', n_seeds)}; each row predicted by a student "
                f"that never saw its source",
            ),
            Tile(
                "How sure?",
                reach,
                f"95 % interval of that RMSE over sources; worst row {points(abs(error[worst]))} "
                f"off"
                if sure
                else "fewer than three sources give no interval",
            ),
        ),
        warnings=tuple(_warnings(run, whole)),
    )


def _sentence(run: RunView, whole: PooledErrors) -> str:
    size = next((s for s in _SIZES if whole.rmse <= s), None)
    near = f"to within {size:g} {_plural('point', size)}" if size else "only to tens of points"
    sentence = (
        f"On sources it never saw, this student agrees with {run.label_words} {near} "
        f"(root mean square, on 0–100)"
    )
    if run.external:
        parts = [f"{n} {points(rmse(r.predicted, r.label))}" for n, r in run.external.items()]
        sentence += f"; on other corpora: {', '.join(parts)}"
    ulp = number_at(run.parity, "max_ulp")
    distance = number_at(run.parity, "max_abs")
    if distance == 0 and ulp == 0:
        sentence += ". Its exported file gives the same bits as JAX"
    elif distance is not None:
        sentence += f". Its exported file differs from JAX by at most {points(distance)} points"
    return sentence + "."


def _warnings(run: RunView, whole: PooledErrors) -> list[str]:
    rows, lines = run.held_out, []
    if isinstance(judgement := part(run.metrics, "beside").get("verdict"), str):
        lines.append(judgement)
    if whole.n_sources < _FEW_SOURCES:
        lines.append(
            f"Only {whole.n_sources} {_plural('source', whole.n_sources)} were held out: the "
            f"figure may be far from what new content gives."
        )
    for name, ends in (("0 to 20", LOW_END), ("80 to 100", HIGH_END)):
        inside = (rows.label >= ends[0]) & (rows.label <= ends[1])
        count = int(inside.sum()) // len(np.unique(rows.seed))
        if count < _FEW_ROWS:
            lines.append(
                f"Only {count} of the held-out rows score {name}: that end is hardly known."
            )
        elif range_rmse(rows.predicted, rows.label, *ends).rmse > _MUCH_WORSE * whole.rmse:
            lines.append(
                f"Where labels are {name}, errors are more than {_MUCH_WORSE:g} times larger."
            )
    for name, other in run.external.items():
        if rmse(other.predicted, other.label) > _MUCH_WORSE * whole.rmse:
            lines.append(f"On {name} errors are more than {_MUCH_WORSE:g} times larger.")
    limits = part(run.parity, "limits")
    for key, what in (("max_abs", "points"), ("max_ulp", "ULP")):
        value, limit = number_at(run.parity, key), number_at(limits, key)
        if value is not None and limit is not None and value > limit:
            lines.append(f"ONNX parity missed its limit: {value:g} {what}, {limit:g} allowed.")
    return lines


def limits(run: RunView) -> list[str]:
    """What the figures of a run do not say."""
    data = part(run.config, "data")
    training = part(run.config, "training")
    lines = ["It knows libvmaf's features of a frame and nothing else: what they miss, it misses."]
    if run.label == "mos":
        lines.append("It was fitted to the opinion scores of its table, and to no others.")
    else:
        lines.append(f"Agreement is with {run.label}, not with viewers.")
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
        f"Intervals take the {n_sources} sources as a sample of the content that is to come. If "
        f"yours is of another kind, they say little."
    )
    return lines


def _plural(word: str, n: int | float) -> str:
    return word if n == 1 else f"{word}s"
