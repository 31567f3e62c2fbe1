"""One training, written for one fold: a mask, a key and a temperature to a student's variables.

Rows that the mask leaves out are zeroed before anything reads them, so not even a NaN in them can
reach the parameters.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.models import Student, Variables
from vmaf_jax.teacher.svr import SvrParams
from vmaf_jax.training.batches import Batch, Seen
from vmaf_jax.training.losses import Labels, masked_mean
from vmaf_jax.training.masks import masked_scaler
from vmaf_jax.training.methods import Objective
from vmaf_jax.training.queries import draw_rows
from vmaf_jax.training.recipes import Recipe


class Rows(NamedTuple):
    """Training data shared by all members: raw features `[n, d]`, targets `[n]` in VMAF points."""

    features: Float[Array | np.ndarray, "n d"]
    targets: Float[Array | np.ndarray, " n"]


class Member(NamedTuple):
    """One training; with a leading axis, several.

    Attributes:
        mask: `[n]`, 1 on its training rows, 0 elsewhere.
        key: the source of its randomness.
        temperature: of its loss, no unit.
    """

    mask: Float[Array, " n"]
    key: Array
    temperature: Float[Array, ""]


def train_member(
    rows: Rows, member: Member, teacher: SvrParams | None, *, student: Student, recipe: Recipe
) -> tuple[Variables, Float[Array, " steps"]]:
    """Trains one student; returns its variables and the loss of every step.

    Args:
        teacher: asked for labels (unclipped) by recipes that query it; else None.
    """

    def label(scores: Float[Array, " n"]) -> Labels:
        return recipe.loss.label(scores, member.temperature)

    training_row = member.mask > 0
    features = jnp.where(training_row[:, None], rows.features, 0.0)
    targets = jnp.where(training_row, rows.targets, 0.0)
    scaler = masked_scaler(features, member.mask)
    seen = Seen(features, label(targets), member.mask, scaler["inv_std"])
    init_key, stream_key = jax.random.split(member.key)
    params = _start(student, init_key, seen, scaler)

    def draw(key: Array) -> Batch:
        return recipe.draw(key, seen, label, teacher)

    def loss(params: Variables, batch: Batch, key: Array) -> Array:
        outputs = student.outputs({"params": params, "scaler": scaler}, batch.features, key=key)
        return masked_mean(
            recipe.loss.per_row(outputs, batch.labels, member.temperature), batch.weight
        )

    def score(params: Variables, features: Array) -> Array:
        return student.score({"params": params, "scaler": scaler}, features)

    objective = Objective(loss, score)

    def step(state: Any, key: Array) -> tuple[Any, Array]:
        return recipe.method.step(state, key, draw, objective)

    keys = jax.random.split(stream_key, recipe.steps)
    state, losses = jax.lax.scan(step, recipe.method.init(params), keys)
    return _float32({"params": recipe.method.params(state), "scaler": scaler}), _float32(losses)


def _start(student: Student, key: Array, seen: Seen, scaler: dict[str, Array]) -> Variables:
    """Fresh parameters; prototypes start at training rows."""
    params = student.init(key)["params"]
    if not student.spec.n_prototypes:
        return params
    chosen = draw_rows(key, seen.mask, student.spec.n_prototypes)
    return student.start_at(params, (seen.features[chosen] - scaler["mean"]) * scaler["inv_std"])


def _float32(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)
