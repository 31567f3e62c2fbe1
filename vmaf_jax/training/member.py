"""One training, written for one fold: a mask, a key and a temperature to a student's variables.

Rows that the mask leaves out are zeroed before anything reads them, so not even a NaN in them can
reach the parameters.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.models import Student, Variables
from vmaf_jax.teacher.svr import SvrParams
from vmaf_jax.training.batches import Batch, ClipRows, Visible
from vmaf_jax.training.effects import apply_effects, with_effects, without_effects
from vmaf_jax.training.losses import Labels, masked_mean
from vmaf_jax.training.masks import frame_scaler, masked_scaler
from vmaf_jax.training.optimisers import Method, Objective, Rates
from vmaf_jax.training.queries import draw_rows
from vmaf_jax.training.recipes import Recipe


class Rows(NamedTuple):
    """Training data shared by all members.

    Attributes:
        features: what the network reads, rows `[n, d]` or clips `[n, t, d]`.
        targets: VMAF points, `[n]`.
        clips: of clips, what else is known of them; else None.
        start: variables that training starts from; None for fresh ones.
    """

    features: Float[Array | np.ndarray, "n *t d"]
    targets: Float[Array | np.ndarray, " n"]
    clips: ClipRows | None = None
    start: Variables | None = None


class Member(NamedTuple):
    """One training; with a leading axis, several.

    Attributes:
        mask: `[n]`, 1 on its training rows, 0 elsewhere.
        key: the source of its randomness.
        temperature: of its loss, no unit.
        rates: of its optimiser; None for those of the settings.
        dropout: the share of units left out; None for the student's own.
    """

    mask: Float[Array, " n"]
    key: Array
    temperature: Float[Array, ""]
    rates: Rates | None = None
    dropout: Float[Array, ""] | None = None


class _Training(NamedTuple):
    """What the steps of one member share; made anew by whatever runs some of them."""

    method: Method
    start: Variables
    scaler: dict[str, Array]
    draw: Callable[[Array], Batch]
    objective: Objective
    keys: Array


def train_member(
    rows: Rows, member: Member, teacher: SvrParams | None, *, student: Student, recipe: Recipe
) -> tuple[Variables, Float[Array, " steps"]]:
    """Trains one student; returns its variables and the loss of every step.

    Args:
        teacher: asked for labels (unclipped) by recipes that query it; else None.
    """
    training = _prepare(rows, member, teacher, student, recipe)
    state = training.method.init(with_effects(training.start, rows.clips))
    state, losses = _scan(training, state, training.keys)
    return _finish(training, state), _float32(losses)


def start_member(
    rows: Rows, member: Member, teacher: SvrParams | None, *, student: Student, recipe: Recipe
) -> tuple[Any, Array]:
    """The state before the first step, and the key of every step."""
    training = _prepare(rows, member, teacher, student, recipe)
    return training.method.init(with_effects(training.start, rows.clips)), training.keys


def advance_member(
    rows: Rows,
    member: Member,
    teacher: SvrParams | None,
    state: Any,
    keys: Array,
    *,
    student: Student,
    recipe: Recipe,
) -> tuple[Any, Float[Array, " s"]]:
    """The state after the steps of `keys`, and their losses, float32."""
    training = _prepare(rows, member, teacher, student, recipe)
    state, losses = _scan(training, state, keys)
    return state, _float32(losses)


def finish_member(
    rows: Rows,
    member: Member,
    teacher: SvrParams | None,
    state: Any,
    *,
    student: Student,
    recipe: Recipe,
) -> Variables:
    """The student's variables, float32, of the state after the last step."""
    return _finish(_prepare(rows, member, teacher, student, recipe), state)


def _scan(training: _Training, state: Any, keys: Array) -> tuple[Any, Array]:
    def step(state: Any, key: Array) -> tuple[Any, Array]:
        return training.method.step(state, key, training.draw, training.objective)

    return jax.lax.scan(step, state, keys)


def _finish(training: _Training, state: Any) -> Variables:
    params = without_effects(training.method.params(state))
    return _float32({"params": params, "scaler": training.scaler})


def _prepare(
    rows: Rows, member: Member, teacher: SvrParams | None, student: Student, recipe: Recipe
) -> _Training:
    def label(scores: Float[Array, " n"]) -> Labels:
        return recipe.loss.label(scores, member.temperature)

    training_row = member.mask > 0
    features = jnp.where(_like(training_row, rows.features), rows.features, 0.0)
    targets = jnp.where(training_row, rows.targets, 0.0)
    scaler = _scaler(features, member.mask, rows)
    visible = Visible(features, label(targets), member.mask, scaler["inv_std"], rows.clips)
    init_key, stream_key = jax.random.split(member.key)
    start = _start(student, init_key, visible, scaler, rows)

    def draw(key: Array) -> Batch:
        return recipe.draw(key, visible, label, teacher)

    def loss(params: Variables, batch: Batch, key: Array) -> Array:
        frames = None if batch.clips is None else jnp.asarray(batch.clips.frames)
        variables = {"params": without_effects(params), "scaler": scaler}
        outputs = student.outputs(
            variables, batch.features, frames, key=key, dropout=member.dropout
        )
        outputs = apply_effects(params, outputs, batch.clips)
        per_row = recipe.loss.per_row(outputs, batch.labels, member.temperature)
        value = masked_mean(per_row, batch.weight)
        return value + recipe.penalty(params, start, jnp.sum(member.mask))

    def score(params: Variables, features: Array) -> Array:
        return student.score({"params": params, "scaler": scaler}, features)

    keys = jax.random.split(stream_key, recipe.steps)
    method = recipe.method(member.rates)
    return _Training(method, start, scaler, draw, Objective(loss, score), keys)


def _like(rows: Array, features: Array | np.ndarray) -> Array:
    """`rows` `[n]` with axes of size 1 up to the rank of `features`."""
    return rows.reshape(-1, *(1,) * (features.ndim - 1))


def _scaler(features: Array, mask: Array, rows: Rows) -> dict[str, Array]:
    """The start's scaler, or that of the training rows (of their real frames)."""
    if rows.start is not None:
        return dict(rows.start["scaler"])
    if rows.clips is None:
        return masked_scaler(features, mask)
    return frame_scaler(features, mask, jnp.asarray(rows.clips.frames))


def _start(
    student: Student, key: Array, visible: Visible, scaler: dict[str, Array], rows: Rows
) -> Variables:
    """The given parameters, or fresh ones; prototypes start at training rows."""
    if rows.start is not None:
        return dict(rows.start["params"])
    params = student.init(key)["params"]
    if not student.spec.n_prototypes:
        return params
    mask, drawn = visible.mask, visible.features
    if visible.clips is not None:
        mask = (mask[:, None] * visible.clips.frames).reshape(-1)
        drawn = drawn.reshape(-1, drawn.shape[-1])
    chosen = draw_rows(key, mask, student.spec.n_prototypes)
    return student.start_at(params, (drawn[chosen] - scaler["mean"]) * scaler["inv_std"])


def _float32(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)
