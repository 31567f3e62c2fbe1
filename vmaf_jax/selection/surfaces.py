"""Evaluation surfaces: what a candidate can be judged on besides its held-out error."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import scipy.stats

from vmaf_jax.corpora import demo
from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FLOAT_FEATURES
from vmaf_jax.runs.problem import Problem
from vmaf_jax.selection.findings import Surfaces
from vmaf_jax.selection.grid import Outcome
from vmaf_jax.teacher import DEFAULT_TEACHER, load_teacher

Floats = npt.NDArray[np.float64]


def compare_surfaces(outcomes: list[Outcome], problem: Problem) -> Surfaces:
    """Does an evaluation surface order the candidates as held-out error does?

    `external`: RMSE on frames of the demo corpus. `golden`: error on two clip means only, the pairs
    with the lowest and the highest score there. `cross_backend`: how differently from its teacher a
    candidate reacts when libvmaf's float extractors replace its integer ones on the same frames.
    `both` adds the ranks of the last two. Each with Spearman's correlation over candidates between
    it and the held-out RMSE.
    """
    clips = demo.load_clips()
    frames = extract_clips(clips)
    in_floats = extract_clips(clips, Request((), FLOAT_FEATURES)).features
    label, teacher = frames.label(DEFAULT_TEACHER), load_teacher(DEFAULT_TEACHER)
    step = teacher(in_floats) - teacher(frames.features)
    pooled = frames.mean_pool()
    means = pooled.label(DEFAULT_TEACHER)
    extremes = [
        (frames.clip == pooled.clip[k]) & (frames.source == pooled.source[k])
        for k in (int(np.argmin(means)), int(np.argmax(means)))
    ]
    surfaces: dict[str, list[float]] = {"external": [], "golden": [], "cross_backend": []}
    for outcome in outcomes:
        predict = _predictor(outcome)
        predicted = predict(frames.features)
        error = predicted - label
        surfaces["external"].append(rmse(predicted, label))
        surfaces["golden"].append(max(abs(float(error[rows].mean())) for rows in extremes))
        surfaces["cross_backend"].append(rmse(predict(in_floats) - predicted, step))
    ranks = [scipy.stats.rankdata(surfaces[name]) for name in ("golden", "cross_backend")]
    surfaces["both"] = (ranks[0] + ranks[1]).tolist()
    held_out = [rmse(outcome.predicted, problem.label) for outcome in outcomes]
    return Surfaces(
        candidates=[outcome.candidate.label for outcome in outcomes],
        held_out_rmse=held_out,
        values=surfaces,
        spearman_with_held_out={
            name: float(scipy.stats.spearmanr(values, held_out).statistic)
            for name, values in surfaces.items()
        },
        teacher_cross_backend_rmse=rmse(step, np.zeros_like(step)),
    )


def _predictor(outcome: Outcome) -> Callable[[Floats], Floats]:
    predict = jax.jit(outcome.student.predict)

    def scores(features: Floats) -> Floats:
        rows = jnp.asarray(features, jnp.float32)
        return np.asarray(predict(outcome.variables, rows), np.float64)

    return scores
