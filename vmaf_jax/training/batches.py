"""What a training step is fed: every row, some rows, or questions that the teacher answers."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.teacher.svr import SvrParams, svr_score
from vmaf_jax.training.losses import Labels
from vmaf_jax.training.queries import draw_queries, draw_rows


class ClipRows(NamedTuple):
    """What is known of clips beside their features.

    Attributes:
        frames: 1 on real frames, `[n, t]`.
        weight: of each clip in the loss, >= 0, `[n]`.
        experiment: 1 at the experiment of each clip, `[n, e]`; `e` is 0 where that is left out.
    """

    frames: Float[Array | np.ndarray, "n t"]
    weight: Float[Array | np.ndarray, " n"]
    experiment: Float[Array | np.ndarray, "n e"]


class Visible(NamedTuple):
    """What a member may see of the rows; those outside its mask are zero.

    Attributes:
        features: what the network reads, rows `[n, d]` or clips `[n, t, d]`.
        labels: of the loss, one a row.
        mask: `[n]`, 1 on training rows.
        inv_std: reciprocal standard deviation of the training rows, `[d]`.
        clips: of clips, what else is known of them.
    """

    features: Float[Array, "n *t d"]
    labels: Labels
    mask: Float[Array, " n"]
    inv_std: Float[Array, " d"]
    clips: "ClipRows | None" = None


class Batch(NamedTuple):
    """Rows of one step: features `[b, d]` or `[b, t, d]`, labels, the weight of each row `[b]`."""

    features: Float[Array, "b *t d"]
    labels: Labels
    weight: Float[Array, " b"]
    clips: "ClipRows | None" = None


LabelOf = Callable[[Float[Array, " n"]], Labels]  # from scores, VMAF points
Draw = Callable[[Array, Visible, LabelOf, SvrParams | None], Batch]


def every_row(_key: Array, visible: Visible, _label: LabelOf, _teacher: SvrParams | None) -> Batch:
    """All rows, in every step."""
    weight = visible.mask if visible.clips is None else visible.mask * visible.clips.weight
    return Batch(visible.features, visible.labels, weight, visible.clips)


def some_rows(count: int) -> Draw:
    """`count` rows of the mask, drawn anew in every step."""

    def draw(key: Array, visible: Visible, _label: LabelOf, _teacher: SvrParams | None) -> Batch:
        index = draw_rows(key, visible.mask, count)
        labels, clips = jax.tree.map(lambda leaf: leaf[index], (visible.labels, visible.clips))
        weight = jnp.ones(count) if clips is None else clips.weight
        return Batch(visible.features[index], labels, weight, clips)

    return draw


def teacher_queries(count: int, feature_set: FeatureSet) -> Draw:
    """`count` new feature vectors in every step, labelled by the teacher, unclipped."""

    def draw(key: Array, visible: Visible, label: LabelOf, teacher: SvrParams | None) -> Batch:
        if teacher is None:
            raise ValueError("strategy teacher_queries: pass the teacher's parameters")
        queries = draw_queries(
            key, visible.features, visible.mask, visible.inv_std, feature_set, count
        )
        return Batch(queries, label(svr_score(teacher, queries)), jnp.ones(count))

    return draw
