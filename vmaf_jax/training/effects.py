"""Priors of a training: the start of its parameters, and each experiment's use of the scale.

Viewers of one laboratory test use the scale in their own way, so training may fit an offset and a
gain to each experiment, drawn to 0 and 1 by Gaussian priors, and drops them in use. The anchor
draws parameters to where they started, so that few sources cannot lead them far.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.features.checks import OUTPUT_RANGE
from vmaf_jax.models import Variables
from vmaf_jax.models.heads import SCORE_CENTRE, SCORE_SPAN
from vmaf_jax.models.viewing_distance import move_scores
from vmaf_jax.training.batches import ClipRows

_EFFECTS = "experiments"
OFFSET_SD, GAIN_SD = 0.2, 0.1  # of the priors: 5 VMAF points (head units of 25), and 10 %
_RESIDUAL_SD = 0.56  # of a clip's error, head units: how much one clip weighs against a prior

Penalty = Callable[[Variables, Variables, Array], Float[Array, ""] | float]


def with_effects(params: Variables, clips: ClipRows | None) -> Variables:
    """Returns `params` and, where clips name experiments, an offset and a gain of 0 for each."""
    if clips is None or not clips.experiment.shape[1]:
        return params
    zeros = jnp.zeros(clips.experiment.shape[1])
    return {**params, _EFFECTS: {"offset": zeros, "gain": zeros}}


def without_effects(params: Variables) -> Variables:
    """Returns the student's own part of `params`."""
    return {name: value for name, value in params.items() if name != _EFFECTS}


def apply_effects(
    params: Variables, outputs: Float[Array, "n k"], clips: ClipRows | None
) -> Float[Array, "n k"]:
    """Applies the offset and gain of each clip's experiment to outputs."""
    if clips is None or _EFFECTS not in params:
        return outputs
    effects = params[_EFFECTS]
    gain = jnp.dot(clips.experiment, effects["gain"], precision="highest")
    offset = jnp.dot(clips.experiment, effects["offset"], precision="highest")
    return outputs * (1.0 + gain[:, None]) + offset[:, None]


def apply_distance(
    gain: Float[Array, ""], outputs: Float[Array, "n k"], clips: ClipRows
) -> Float[Array, "n k"]:
    """Moves the outputs of clips to the distance of their viewers, as `viewing_distance` says.

    Args:
        gain: of the student.
    """
    # Beyond the ends of the scale, where outputs may be while training, scores stay as they are.
    scores = SCORE_CENTRE + SCORE_SPAN * outputs
    inside = jnp.clip(scores, *OUTPUT_RANGE)
    moved = move_scores(inside, gain * jnp.asarray(clips.log_distance)[:, None])
    return outputs + (moved - inside) / SCORE_SPAN


def make_penalty(anchor: float) -> Penalty:
    """Returns the penalty on parameters, from them, their start and the number of rows.

    Args:
        anchor: weight of the squared distance from the start, >= 0.
    """

    def penalty(params: Variables, start: Variables, n_rows: Array) -> Float[Array, ""] | float:
        value: Array | float = 0.0
        if anchor:
            student = without_effects(params)
            moved = jax.tree.map(lambda now, then: jnp.sum(jnp.square(now - then)), student, start)
            value += anchor * sum(jax.tree.leaves(moved))
        if _EFFECTS in params:
            effects = params[_EFFECTS]
            prior = jnp.sum(jnp.square(effects["offset"] / OFFSET_SD))
            prior += jnp.sum(jnp.square(effects["gain"] / GAIN_SD))
            value += _RESIDUAL_SD**2 * prior / n_rows
        return value

    return penalty
