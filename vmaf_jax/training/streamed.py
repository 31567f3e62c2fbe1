"""Training on a stream of batches that all members read.

Masks are by source, `[m, s]`, and a row says which source it is of: rows of the source that a
member holds out have no weight in it, and are zero before anything reads them.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Student, Variables
from vmaf_jax.training.batches import Batch
from vmaf_jax.training.loop import Trained
from vmaf_jax.training.losses import Labels
from vmaf_jax.training.optimisers import Objective, Rates
from vmaf_jax.training.pieces import Keeper, Leaves, piece_length
from vmaf_jax.training.queries import draw_rows
from vmaf_jax.training.recipes import Recipe, make_recipe
from vmaf_jax.training.settings import TrainingSettings
from vmaf_jax.training.sharding import Spread
from vmaf_jax.training.streams import Chunk, StreamRows, chunks, columns_of, prefetched

_SAMPLE = 4096  # rows that prototypes start at
_PREDICTED = 16384  # rows of a call


class StreamMember(NamedTuple):
    """One training; with a leading axis, several.

    Attributes:
        trains: 1 on the sources that it reads, `[s]`.
        key: the source of its randomness.
        temperature: of its loss, no unit.
        scaler: mean and reciprocal standard deviation of its rows, `[d]` each.
        rates: of its optimiser; None for those of the settings.
        dropout: the share of units left out; None for the student's own.
    """

    trains: Float[Array | np.ndarray, " s"]
    key: Array
    temperature: Float[Array | np.ndarray, ""]
    scaler: dict[str, Float[Array | np.ndarray, " d"]]
    rates: Rates | None = None
    dropout: Float[Array, ""] | None = None


def start(sample: Chunk, member: StreamMember, *, student: Student, recipe: Recipe) -> Any:
    """One member's state before the first step; prototypes start at rows of the `sample`."""
    init_key, _ = jax.random.split(member.key)
    params = student.init(init_key)["params"]
    if student.spec.n_prototypes:
        weight = member.trains[sample.source]
        chosen = draw_rows(init_key, weight, student.spec.n_prototypes)
        x = (jnp.asarray(sample.features)[chosen] - member.scaler["mean"]) * member.scaler[
            "inv_std"
        ]
        params = student.start_at(params, x)
    return recipe.method(member.rates).init(params)


def advance(
    chunk: Chunk,
    member: StreamMember,
    state: Any,
    first: Array,
    *,
    student: Student,
    recipe: Recipe,
) -> tuple[Any, Float[Array, " s"]]:
    """One member's state after the steps of a chunk, the number of whose first is `first`."""
    _, stream_key = jax.random.split(member.key)

    def label(scores: Float[Array, " n"]) -> Labels:
        return recipe.loss.label(scores, member.temperature)

    def loss(params: Variables, batch: Batch, key: Array) -> Array:
        variables = {"params": params, "scaler": member.scaler}
        outputs = student.outputs(variables, batch.features, key=key, dropout=member.dropout)
        per_row = recipe.loss.per_row(outputs, batch.labels, member.temperature)
        # A batch may be of the held-out source alone.
        return jnp.sum(per_row * batch.weight) / jnp.maximum(jnp.sum(batch.weight), 1.0)

    def score(params: Variables, features: Array) -> Array:
        return student.score({"params": params, "scaler": member.scaler}, features)

    method = recipe.method(member.rates)

    def step(state: Any, at: tuple[Array, Chunk]) -> tuple[Any, Array]:
        k, rows = at
        weight = member.trains[rows.source]
        training_row = weight > 0
        features = jnp.where(training_row[:, None], rows.features, 0.0)
        batch = Batch(features, label(jnp.where(training_row, rows.targets, 0.0)), weight)
        key = jax.random.fold_in(stream_key, k)
        return method.step(state, key, lambda _: batch, Objective(loss, score))

    numbers = first + jnp.arange(len(chunk.targets))
    return jax.lax.scan(step, state, (numbers, chunk))


def train_streamed(
    rows: StreamRows,
    members: StreamMember,
    *,
    student: Student,
    settings: TrainingSettings,
    feature_set: FeatureSet,
    buffer_rows: int,
    keeper: Keeper | None = None,
) -> Trained:
    """Trains all members on one stream of batches.

    Args:
        settings: of strategy `rows`, with a `batch_size`, by AdamW.
        buffer_rows: rows that are shuffled among each other; twice as many are held.
        keeper: of the state, between chunks; None to keep none. The bits are the same.
    """
    if settings.batch_size is None:
        raise ValueError("streamed rows: set a batch_size")
    spread = Spread.over_all_devices()
    m = len(members.temperature)
    padded = max(2, -(-m // spread.n_devices)) * spread.n_devices  # as `compile_members` fills them
    index = np.minimum(np.arange(padded), m - 1)
    members = spread.put(jax.tree.map(lambda leaf: leaf[index], members), spread.split)
    parts: dict[str, Any] = {"student": student, "recipe": make_recipe(settings, feature_set)}
    some = np.linspace(0, len(rows.targets) - 1, _SAMPLE).astype(np.int64)
    sample = spread.put(columns_of(rows, [some]), spread.shared)
    started = time.perf_counter()
    begin = jax.jit(
        jax.vmap(functools.partial(start, **parts), (None, 0)), out_shardings=spread.split
    )
    position = _Position(begin(sample, members), np.zeros((padded, settings.steps), np.float32))
    position.take_up(keeper, spread)
    program: Callable[..., Any] | None = None
    compile_s = 0.0
    for first, chunk in _numbered(rows, settings, buffer_rows, position.done, spread):
        if program is None:
            step = _mapped(spread, **parts)
            program = step.lower(chunk, members, position.state, np.int32(first)).compile()
            spread.wait()  # for the others to have compiled theirs
            compile_s = time.perf_counter() - started
            started = time.perf_counter()
        position.state, losses = program(chunk, members, position.state, np.int32(first))
        position.done = first + len(chunk.targets)
        position.losses[:, first : position.done] = spread.fetch(losses)
        if keeper is not None and position.done < settings.steps and keeper.due():
            keeper.keep(position.leaves(spread), position.done)
    params = parts["recipe"].method(None).params(spread.fetch(position.state))
    variables = {"params": params, "scaler": spread.fetch(members.scaler)}
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32)[:m], variables)
    together = np.arange(m)[None]
    return Trained(
        variables, position.losses[:m], together, compile_s, time.perf_counter() - started
    )


@dataclasses.dataclass
class _Position:
    """Where a training stands.

    Attributes:
        state: of all members, on the devices.
        losses: of every member and step, `[m, steps]`.
        done: steps.
    """

    state: Any
    losses: npt.NDArray[np.float32]
    done: int = 0

    def leaves(self, spread: Spread) -> Leaves:
        """All of it, as a keeper takes it."""
        return [*jax.tree.leaves(spread.fetch(self.state)), self.losses, np.asarray(self.done)]

    def take_up(self, keeper: Keeper | None, spread: Spread) -> None:
        """Goes on from the newest state that was kept, if there is one."""
        if keeper is None or (saved := keeper.restore(self.leaves(spread))) is None:
            return
        *leaves, self.losses, done = saved
        state = jax.tree.unflatten(jax.tree.structure(self.state), leaves)
        self.state, self.done = spread.put(state, spread.split), int(done)


def _numbered(
    rows: StreamRows, settings: TrainingSettings, buffer_rows: int, done: int, spread: Spread
) -> Iterator[tuple[int, Chunk]]:
    """Chunks on the devices from step `done` on, each with the number of its first step."""
    length = piece_length(settings.steps)
    stream = chunks(
        rows,
        batch_size=settings.batch_size or 0,
        steps=length,
        buffer_rows=buffer_rows,
        seed=settings.seeds[0],
        first=done // length,
    )
    firsts = range(done, settings.steps, length)

    def put(chunk: Chunk) -> Chunk:
        return Chunk(*spread.put(chunk, spread.shared))

    return zip(firsts, prefetched(stream, len(firsts), put), strict=True)


def _mapped(spread: Spread, *, student: Student, recipe: Recipe) -> Any:
    """`advance` of all members, whose state is given up to it."""
    one = functools.partial(advance, student=student, recipe=recipe)
    return jax.jit(
        jax.vmap(one, (None, 0, 0, None)),
        in_shardings=(spread.shared, spread.split, spread.split, spread.shared),
        out_shardings=spread.split,
        donate_argnums=2,
    )


def predict_by_source(
    rows: StreamRows, member_of: npt.NDArray[np.int64], variables: Variables, student: Student
) -> npt.NDArray[np.float32]:
    """Each row's score, clipped, VMAF points, `[n]`, by the member that its source has.

    Args:
        member_of: of each source, `[s]`.
    """
    predicted = np.zeros(len(rows.targets), np.float32)
    order = np.argsort(rows.source, kind="stable")
    ends = np.cumsum(np.bincount(rows.source, minlength=len(member_of)))
    predict = jax.jit(student.predict)
    for k, (begin, end) in enumerate(zip(np.r_[0, ends[:-1]], ends, strict=True)):
        own = jax.tree.map(lambda leaf, k=k: leaf[member_of[k]], variables)
        for at in range(begin, end, _PREDICTED):
            index = order[at : min(at + _PREDICTED, end)]
            x = np.zeros((_PREDICTED, rows.features.shape[1]), np.float32)
            x[: len(index)] = rows.features[index]
            predicted[index] = np.asarray(predict(own, x))[: len(index)]
    return predicted
