"""The training of one member: start, steps, finish. Written for one; the engine maps it.

A member is one training: the sources it trains on, a key, a temperature. Nothing of other sources
is read: rows are gathered from its own sources, or zeroed before anything reads them, so that not
even a NaN in them can reach the parameters.

Training may draw parameters to priors. Viewers of one laboratory test use the scale in their own
way, so an offset and a gain may be fitted to each experiment, drawn to 0 and 1 by Gaussian priors,
and are dropped in use. The anchor draws parameters to where they started, so that few sources
cannot lead them far.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import OUTPUT_RANGE, FeatureSet
from vmaf_jax.models import Student, Variables
from vmaf_jax.models.layers import SCORE_CENTRE, SCORE_SPAN
from vmaf_jax.models.viewing_distance import move_scores
from vmaf_jax.teacher.svr import SvrParams
from vmaf_jax.training.batches import (
    Batch,
    Batches,
    BatchSource,
    ClipRows,
    MemberRows,
    Rows,
    all_rows,
    drawn_rows,
    epochs,
    streamed_rows,
    teacher_queries,
)
from vmaf_jax.training.losses import LOSSES, Labels, Loss
from vmaf_jax.training.optimisers import (
    Method,
    Objective,
    Rates,
    State,
    gradient_method,
    least_squares_method,
)
from vmaf_jax.training.settings import TrainingSettings

Carry = tuple[State, Array]  # of loops over steps: the state, and the losses so far


class Member(NamedTuple):
    """One training; with a leading axis, several.

    Attributes:
        trains: 1 on the sources that it trains on, 0 elsewhere, `[k]`.
        key: the source of its randomness.
        temperature: of its loss, dimensionless.
        scaler: mean and reciprocal standard deviation of its rows, `[d]` each.
        rates: of its optimiser; None for those of the settings.
        dropout: the share of units left out; None for the student's own.
    """

    trains: Float[Array | np.ndarray, " k"]
    key: Array
    temperature: Float[Array | np.ndarray, ""]
    scaler: dict[str, Float[Array | np.ndarray, " d"]]
    rates: Rates | None = None
    dropout: Float[Array | np.ndarray, ""] | None = None


class Keys(NamedTuple):
    """Independent keys of one member."""

    weights: Array
    prototypes: Array
    batches: Array
    dropout: Array

    @staticmethod
    def of(member: Member) -> "Keys":
        """Splits the member's key."""
        return Keys(*jax.random.split(member.key, 4))


class Span(NamedTuple):
    """The units `[first, last)` that a call trains, and what the number of rows says of a unit.

    Attributes:
        first, last: numbers of units.
        epoch_steps: of an epoch, for the member of a group that has most rows.
    """

    first: Array | np.ndarray
    last: Array | np.ndarray
    epoch_steps: Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class MemberTraining:
    """The functions that train one member.

    Attributes:
        student: what is trained.
        settings: how.
        batches: what each step is fed.
    """

    student: Student
    settings: TrainingSettings
    batches: Batches

    @property
    def wide(self) -> bool:
        """Whether it computes in float64; the result is float32."""
        # The matrix J'J of least squares has the square of the conditioning of J.
        return self.settings.optimiser == "levenberg_marquardt"

    @property
    def _loss(self) -> Loss:
        return LOSSES[self.settings.loss](self.settings.sigma)

    def _method(self, rows: Rows, member: Member, n_steps: ArrayLike) -> Method:
        if self.wide:
            return least_squares_method()
        shapes = self.student.param_shapes()
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        template = with_effects(zeros, rows.clips)
        return gradient_method(self.settings, template, n_steps, member.rates)

    def start(self, sample: Rows, member: Member) -> State:
        """Returns the state before the first step.

        Args:
            sample: rows in memory, at some of which prototypes start.
        """
        params = with_effects(self._initial_student(sample, member), sample.clips)
        return self._method(sample, member, 1).init(params)

    def _initial_student(self, sample: Rows, member: Member) -> Variables:
        """The given parameters, or fresh ones; prototypes start at training rows."""
        if sample.start is not None:
            return dict(sample.start["params"])
        keys = Keys.of(member)
        params: Variables = self.student.init(keys.weights)["params"]
        if not self.student.spec.n_prototypes:
            return params
        own = MemberRows(sample, member.trains)
        index_key, frame_key = jax.random.split(keys.prototypes)
        index = own.draw(index_key, self.student.spec.n_prototypes)
        drawn = jnp.asarray(sample.features)[index]
        if sample.clips is not None:
            real = jnp.log(jnp.asarray(sample.clips.frames)[index])
            frame = jax.random.categorical(frame_key, real)
            drawn = jnp.take_along_axis(drawn, frame[:, None, None], axis=1)[:, 0]
        scaled = (drawn - member.scaler["mean"]) * member.scaler["inv_std"]
        return self.student.start_at(params, scaled)

    def advance(
        self, rows: Rows, member: Member, teacher: SvrParams | None, state: State, span: Span
    ) -> tuple[State, Float[Array, " l"]]:
        """Trains some units; returns the state after them and their losses.

        Args:
            teacher: gives labels (unclipped) to batches that query it; else None.
        """
        keys = Keys.of(member)
        own = MemberRows(rows, member.trains)
        objective = self._objective(rows, member, own.n_rows)
        batches, count = self.batches, own.n_rows
        by_epoch = batches.steps is None
        n_steps: ArrayLike = batches.steps or 0
        if by_epoch:
            n_steps = batches.units * -(-count // (batches.batch_size or 1))
        method = self._method(rows, member, n_steps)

        def label(scores: Float[Array, " n"]) -> Labels:
            return self._loss.label(scores, member.temperature)

        def train_part(part: Array, carry: Carry, unit: Array, steps: Array) -> Carry:
            first = part * batches.part_steps
            source = BatchSource(own, member.scaler["inv_std"], keys.batches, label, teacher)
            at = batches.draw(source, unit, part)
            dropout_key = jax.random.fold_in(jax.random.fold_in(keys.dropout, unit), part)

            def train_step(k: Array, carry: Carry) -> Carry:
                state, losses = carry
                batch = at(k)
                key = jax.random.fold_in(dropout_key, k)
                moved, value = method.step(state, key, batch, objective)
                weight = jnp.sum(batch.weight)
                if batches.uneven:  # a batch without a row of the member changes nothing
                    moved = jax.tree.map(
                        lambda new, old: jnp.where(weight > 0, new, old), moved, state
                    )
                row = unit - span.first
                if by_epoch:
                    share = jnp.where(weight > 0, value * weight / count, 0.0)
                    return moved, losses.at[row, 0].add(share)
                return moved, losses.at[row, k].set(value)

            return jax.lax.fori_loop(
                0, jnp.minimum(batches.part_steps, steps - first), train_step, carry
            )

        def train_unit(unit: Array, carry: Carry) -> Carry:
            steps = batches.unit_steps(unit, jnp.asarray(span.epoch_steps))
            parts = -(-steps // batches.part_steps)
            return jax.lax.fori_loop(
                0, parts, lambda part, carry: train_part(part, carry, unit, steps), carry
            )

        dtype = jnp.float64 if self.wide else jnp.float32
        losses = jnp.zeros((batches.units_per_call, batches.losses_per_unit), dtype)
        state, losses = jax.lax.fori_loop(span.first, span.last, train_unit, (state, losses))
        return state, losses.reshape(-1).astype(jnp.float32)

    def _objective(self, rows: Rows, member: Member, count: Array) -> Objective:
        start: Variables = {}
        if self.settings.anchor:
            start = self._initial_student(rows, member)

        def loss(params: Variables, batch: Batch, key: Array) -> Array:
            frames = None if batch.clips is None else jnp.asarray(batch.clips.frames)
            variables = {"params": without_effects(params), "scaler": member.scaler}
            outputs = self.student.outputs(
                variables, batch.features, frames, key=key, dropout=member.dropout
            )
            if self.student.knows_distance and batch.clips is not None:
                gain = self.student.distance_gain(params)
                outputs = apply_distance(gain, outputs, batch.clips)
            outputs = apply_effects(params, outputs, batch.clips)
            per_row = self._loss.per_row(outputs, batch.labels, member.temperature)
            # A batch may hold rows of held-out sources alone, where the sum of weights is 0.
            weight = jnp.sum(batch.weight)
            total = jnp.dot(batch.weight, per_row, precision="highest")
            mean = total / jnp.where(weight > 0, weight, 1.0)
            return mean + penalty(params, start, count, anchor=self.settings.anchor)

        def score(params: Variables, features: Array) -> Array:
            return self.student.score({"params": params, "scaler": member.scaler}, features)

        return Objective(loss, score)

    def finish(self, sample: Rows, member: Member, state: State) -> Variables:
        """Returns the student's variables, float32, of the state after the last step.

        Args:
            member, state: on the host, of one member or of several.
        """
        # The state holds the parameters whatever the rates are; those of several members would not
        # fit the vector of one.
        method = self._method(sample, member._replace(rates=None), 1)
        params = without_effects(method.params(state))
        variables = {"params": params, "scaler": member.scaler}
        return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), variables)


@functools.cache  # one object for the same settings: programs are looked up by it
def make_batches(
    settings: TrainingSettings, feature_set: FeatureSet, n_rows: int, *, streamed: bool = False
) -> Batches:
    """Returns the batches that settings name.

    Args:
        n_rows: of the table.
        streamed: whether rows are read from the disk.
    """
    size = settings.batch_size
    if settings.epochs is not None:
        return epochs(settings.epochs, size or n_rows, n_rows)
    steps = settings.steps or 1
    if size is None:
        return all_rows(steps)
    if streamed:
        return streamed_rows(steps, size)
    if settings.strategy == "teacher_queries":
        return teacher_queries(steps, size, feature_set)
    return drawn_rows(steps, size)


_EFFECTS = "experiments"
OFFSET_SD, GAIN_SD = 0.2, 0.1  # of the priors: 5 VMAF points (head units of 25), and 10 %
_RESIDUAL_SD = 0.56  # of a clip's error, head units: how much one clip weighs against a prior


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


def penalty(
    params: Variables, start: Variables, n_rows: Array, *, anchor: float
) -> Float[Array, ""] | float:
    """Computes what the priors add to the loss of parameters.

    Args:
        start: where the student's own parameters started.
        n_rows: that the member trains on.
        anchor: weight of the squared distance from the start, >= 0.
    """
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
