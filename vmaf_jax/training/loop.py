"""Training as one compiled program: a member's training, mapped over members.

A member is one training: a fold's mask, a key, a temperature. `train_member` is written for one;
`train_members` maps it over all folds, seeds and temperatures at once and spreads that axis over
the devices there are.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import DTypeLike

from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Student, Variables
from vmaf_jax.teacher.svr import SvrParams
from vmaf_jax.training.member import Member, Rows, train_member
from vmaf_jax.training.pieces import Keeper, compile_pieces
from vmaf_jax.training.recipes import make_recipe
from vmaf_jax.training.settings import TrainingSettings


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
    feature_set: FeatureSet,
    keeper: Keeper | None = None,
) -> Compiled:
    """Compiles the training of all members into one program over the devices there are.

    Args:
        keeper: of the state, between short calls of the program; None to train in one call.

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
    recipe = make_recipe(settings, feature_set)
    train_one = functools.partial(train_member, student=student, recipe=recipe)
    train_all = jax.jit(
        jax.vmap(train_one, in_axes=(None, 0, None)),
        in_shardings=(shared, split, shared),
        out_shardings=split,
    )
    with jax.enable_x64(recipe.precision == jnp.float64):
        members = jax.tree.map(lambda leaf: leaf[index], members)
        inputs = jax.device_put(
            _floats((rows, members, teacher), recipe.precision), (shared, split, shared)
        )
        started = time.perf_counter()
        if keeper is None:
            program = train_all.lower(*inputs).compile()
            train = functools.partial(program, *inputs)
        else:
            pieces = compile_pieces(inputs, (shared, split), student=student, recipe=recipe)
            train = functools.partial(pieces.run, keeper)
        compile_s = time.perf_counter() - started

    def run() -> tuple[Variables, np.ndarray]:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[:m], train())

    return Compiled(run, compile_s)


def train_members(
    rows: Rows,
    members: Member,
    teacher: SvrParams | None = None,
    *,
    student: Student,
    settings: TrainingSettings,
    feature_set: FeatureSet,
    keeper: Keeper | None = None,
) -> Trained:
    """Trains all members at once.

    Args:
        rows, teacher: in float64 where there is a choice; AdamW trains in float32 all the same.
        keeper: of the state while training; None to train in one call. The two differ by roundings;
            with a keeper, the bits depend neither on what it keeps nor on where it goes on.
    """
    compiled = compile_members(
        *(rows, members, teacher),
        student=student,
        settings=settings,
        feature_set=feature_set,
        keeper=keeper,
    )
    started = time.perf_counter()
    variables, losses = compiled.run()
    return Trained(variables, losses, compiled.compile_s, time.perf_counter() - started)
