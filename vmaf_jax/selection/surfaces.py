"""Evaluation surfaces: what a candidate can be judged on besides its held-out error."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from vmaf_jax.corpora import demo
from vmaf_jax.corpora.extraction import extract_clips
from vmaf_jax.features.feature_set import FLOAT_FEATURES
from vmaf_jax.selection.grid import Outcome, Problem
from vmaf_jax.teacher import load_teacher


def compare_surfaces(outcomes: list[Outcome], problem: Problem) -> dict[str, Any]:
    """Does an evaluation surface order the candidates as held-out error does?

    `external`: RMSE on frames of the demo corpus. `golden`: error on two clip means only, the pairs
    with the lowest and the highest score there. `cross_backend`: how differently from its teacher a
    candidate reacts when libvmaf's float extractors replace its integer ones on the same frames.
    `both` adds the ranks of the last two. Each with Spearman's correlation over candidates between
    it and the held-out RMSE.
    """
    clips = demo.load_clips()
    frames = extract_clips(clips)
    other = extract_clips(clips, feature_set=FLOAT_FEATURES, teachers=())
    teacher_name = next(iter(frames.labels))
    label = frames.labels[teacher_name]
    teacher = load_teacher(teacher_name)
    step = teacher(other.features) - teacher(frames.features)
    pooled = frames.mean_pool()
    ends = [
        int(np.argmin(pooled.labels[teacher_name])),
        int(np.argmax(pooled.labels[teacher_name])),
    ]
    held_out, external, golden, cross = [], [], [], []
    for outcome in outcomes:
        predict = jax.jit(outcome.student.predict)

        def ask(x: np.ndarray, predict: Any = predict, outcome: Outcome = outcome) -> np.ndarray:
            return np.asarray(predict(outcome.variables, jnp.asarray(x, jnp.float32)))

        ours = ask(frames.features)
        error = ours - label
        clip = [frames.clip == pooled.clip[k] for k in ends]
        source = [frames.source == pooled.source[k] for k in ends]
        golden.append(
            max(abs(float(error[c & s].mean())) for c, s in zip(clip, source, strict=True))
        )
        external.append(float(np.sqrt(np.mean(np.square(error)))))
        cross.append(float(np.sqrt(np.mean(np.square(ask(other.features) - ours - step)))))
        held_out.append(float(np.sqrt(np.mean(np.square(outcome.predicted - problem.label)))))

    def ranks(values: list[float]) -> np.ndarray:
        return np.asarray(scipy.stats.rankdata(values))

    both = list(ranks(golden) + ranks(cross))
    surfaces = {"external": external, "golden": golden, "cross_backend": cross, "both": both}
    return {
        "candidates": [outcome.candidate.label for outcome in outcomes],
        "held_out_rmse": held_out,
        "values": surfaces,
        "spearman_with_held_out": {
            name: float(scipy.stats.spearmanr(values, held_out).statistic)
            for name, values in surfaces.items()
        },
        "teacher_cross_backend_rmse": float(np.sqrt(np.mean(np.square(step)))),
    }
