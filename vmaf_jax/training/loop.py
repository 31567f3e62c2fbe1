"""Training as one compiled program: a scan over steps, mapped over members.

A member is one training: a fold's mask, a key, a temperature. `train_member` is written for one;
`train_members` maps it over all folds, seeds and temperatures at once and spreads that axis over
the devices there are. Rows that a member's mask leaves out are zeroed before anything reads them,
so not even a NaN in them can reach its parameters.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.models import Student, Variables
from vmaf_jax.models.heads import BINS, SCORE_SPAN, head_score
from vmaf_jax.teacher.svr import SvrParams, svr_score
from vmaf_jax.training.levenberg_marquardt import LmState, lm_init, lm_step
from vmaf_jax.training.losses import SoftLabels, kl_loss, masked_mean, soft_labels, squared_error
from vmaf_jax.training.masks import masked_scaler
from vmaf_jax.training.optimiser import make_optimiser
from vmaf_jax.training.queries import draw_queries, draw_rows
from vmaf_jax.training.settings import TrainingSettings

Labels = Float[Array, " n"] | SoftLabels


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


class _AdamState(NamedTuple):
    params: Variables
    opt_state: optax.OptState


def train_member(
    rows: Rows,
    member: Member,
    teacher: SvrParams | None,
    *,
    student: Student,
    settings: TrainingSettings,
    feature_set: FeatureSet,
) -> tuple[Variables, Float[Array, " steps"]]:
    """Trains one student; returns its variables and the loss of every step.

    Args:
        teacher: asked for labels (unclipped) by the strategy `teacher_queries`; else None.
    """
    seen = member.mask > 0
    features = jnp.where(seen[:, None], rows.features, 0.0)
    targets = jnp.where(seen, rows.targets, 0.0)
    scaler = masked_scaler(features, member.mask)
    init_key, stream_key = jax.random.split(member.key)
    params = student.init(init_key)["params"]
    if student.n_prototypes:
        chosen = draw_rows(init_key, member.mask, student.n_prototypes)
        params = student.start_at(params, (features[chosen] - scaler["mean"]) * scaler["inv_std"])

    def soften(scores: Float[Array, " n"]) -> SoftLabels:
        bins = jnp.asarray(BINS)
        return soft_labels(scores, bins, sigma=settings.sigma, temperature=member.temperature)

    def labels_of(scores: Float[Array, " n"]) -> Labels:
        return soften(scores) if settings.loss == "kl" else scores

    own = labels_of(targets)  # once, not in every step

    def batch(key: Array) -> tuple[Array, Labels, Float[Array, " n"]]:
        if settings.batch_size is None:
            return features, own, member.mask
        weight = jnp.ones(settings.batch_size)
        if settings.strategy == "rows" or teacher is None:
            index = draw_rows(key, member.mask, settings.batch_size)
            return features[index], jax.tree.map(lambda leaf: leaf[index], own), weight
        asked = draw_queries(
            key, features, member.mask, scaler["inv_std"], feature_set, settings.batch_size
        )
        return asked, labels_of(svr_score(teacher, asked)), weight

    def loss(params: Variables, x: Array, labels: Labels, weight: Array, key: Array) -> Array:
        outputs = student.outputs({"params": params, "scaler": scaler}, x, key=key)
        if isinstance(labels, SoftLabels):
            each = kl_loss(outputs, labels, member.temperature)
        else:
            each = squared_error(head_score(student.head, outputs), labels)
        return masked_mean(each, weight)

    optimiser = make_optimiser(settings)

    def adam_step(state: _AdamState, key: Array) -> tuple[_AdamState, Array]:
        batch_key, dropout_key = jax.random.split(key)
        data = batch(batch_key)
        value, grads = jax.value_and_grad(loss)(state.params, *data, dropout_key)
        updates, opt_state = optimiser.update(grads, state.opt_state, state.params)
        return _AdamState(optax.apply_updates(state.params, updates), opt_state), value

    def least_squares_step(state: LmState, key: Array) -> tuple[LmState, Array]:
        def predict(params: Variables, x: Array) -> Array:
            return student.score({"params": params, "scaler": scaler}, x) / SCORE_SPAN

        x, scores, weight = batch(key)
        assert not isinstance(scores, SoftLabels)  # noqa: S101 (the settings allow scores alone)
        return lm_step(predict, state, x, scores / SCORE_SPAN, weight)

    keys = jax.random.split(stream_key, settings.steps)
    if settings.optimiser == "adamw":
        adam, losses = jax.lax.scan(adam_step, _AdamState(params, optimiser.init(params)), keys)
        params = adam.params
    else:
        fit, losses = jax.lax.scan(least_squares_step, lm_init(params), keys)
        params = fit.params
    return _float32({"params": params, "scaler": scaler}), _float32(losses)


def _float32(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)


@dataclasses.dataclass(frozen=True)
class Trained:
    """What `train_members` gives: stacked variables, losses `[m, steps]`, and the time it took."""

    variables: Variables
    losses: np.ndarray
    compile_s: float
    train_s: float

    def member(self, k: int) -> Variables:
        """The variables of member `k`."""
        return jax.tree.map(lambda leaf: leaf[k], self.variables)


def _floats(tree: Any, dtype: DTypeLike) -> Any:
    """Real numbers of `tree` in `dtype`; keys stay as they are."""

    def cast(leaf: Any) -> Any:
        real = jnp.issubdtype(leaf.dtype, jnp.floating)
        return jnp.asarray(leaf, dtype) if real else leaf

    return jax.tree.map(cast, tree)


def make_members(masks: np.ndarray, seeds: list[int], temperatures: list[float]) -> Member:
    """All combinations of seeds, temperatures and masks `[f, n]`, in that order of nesting.

    Every fold of a seed starts from the same initial weights, so folds differ in their data alone.
    """
    grid = [(s, t, f) for s in seeds for t in temperatures for f in range(len(masks))]
    return Member(
        mask=jnp.asarray(np.stack([masks[f] for _, _, f in grid]), jnp.float32),
        key=jnp.stack([jax.random.key(s) for s, _, _ in grid]),
        temperature=jnp.asarray([t for _, t, _ in grid], jnp.float32),
    )


def loso_members(masks: np.ndarray, seeds: list[int], temperatures: list[float]) -> Member:
    """`make_members`, then one member a temperature on all rows, of the first seed."""
    folds = make_members(masks, seeds, temperatures)
    final = make_members(np.ones_like(masks[:1]), seeds[:1], temperatures)
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), folds, final)


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The program that trains all members, ready to run.

    Attributes:
        run: trains, and returns stacked variables and losses once they are there.
        compile_s: what compiling it took.
    """

    run: Callable[[], tuple[Variables, np.ndarray]]
    compile_s: float


def compile_members(
    rows: Rows,
    members: Member,
    teacher: SvrParams | None = None,
    *,
    student: Student,
    settings: TrainingSettings,
    feature_set: FeatureSet = FEATURES,
) -> Compiled:
    """Compiles the training of all members into one program over the devices there are.

    Raises:
        ValueError: the strategy asks a teacher, and there is none.
    """
    if settings.strategy == "teacher_queries" and teacher is None:
        raise ValueError("strategy teacher_queries: pass the teacher's parameters")
    m = len(members.temperature)
    devices = jax.devices()
    # The last member again, to fill every device, with two at least: XLA simplifies a batch of one
    # away and rounds otherwise, and a member is to come out the same bits alone.
    padded = max(2, -(-m // len(devices))) * len(devices)
    index = np.minimum(np.arange(padded), m - 1)
    mesh = Mesh(np.array(devices), ("members",))
    split = NamedSharding(mesh, PartitionSpec("members"))
    shared = NamedSharding(mesh, PartitionSpec())
    one = functools.partial(
        train_member, student=student, settings=settings, feature_set=feature_set
    )
    every = jax.jit(
        jax.vmap(one, in_axes=(None, 0, None)),
        in_shardings=(shared, split, shared),
        out_shardings=split,
    )
    precision = jnp.float32 if settings.optimiser == "adamw" else jnp.float64
    with jax.enable_x64(precision == jnp.float64):
        members = jax.tree.map(lambda leaf: leaf[index], members)
        inputs = jax.device_put(
            _floats((rows, members, teacher), precision), (shared, split, shared)
        )
        started = time.perf_counter()
        program = every.lower(*inputs).compile()
        compile_s = time.perf_counter() - started

    def run() -> tuple[Variables, np.ndarray]:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[:m], program(*inputs))

    return Compiled(run, compile_s)


def train_members(
    rows: Rows,
    members: Member,
    teacher: SvrParams | None = None,
    *,
    student: Student,
    settings: TrainingSettings,
    feature_set: FeatureSet = FEATURES,
) -> Trained:
    """Trains all members at once.

    Args:
        rows, teacher: in float64 where there is a choice; AdamW trains in float32 all the same.
    """
    compiled = compile_members(
        rows, members, teacher, student=student, settings=settings, feature_set=feature_set
    )
    started = time.perf_counter()
    variables, losses = compiled.run()
    return Trained(variables, losses, compiled.compile_s, time.perf_counter() - started)
