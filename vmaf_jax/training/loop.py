"""Training as one compiled program: a member's training, mapped over members.

A member is one training: a fold's mask, a key, a temperature. `train_member` is written for one;
`train_members` maps it over all folds, seeds and temperatures at once and spreads that axis over
the devices there are. Where all of them are more than the devices' memory holds, they train in
groups, one after another, by the same program: what a member becomes does not depend on the others.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Student, Variables
from vmaf_jax.teacher.svr import SvrParams
from vmaf_jax.training.member import Member, Rows, train_member
from vmaf_jax.training.optimisers import Rates
from vmaf_jax.training.pieces import Inputs, Keeper, bytes_of, compile_pieces
from vmaf_jax.training.recipes import Recipe, make_recipe
from vmaf_jax.training.settings import TrainingSettings
from vmaf_jax.training.sharding import Spread, members_that_fit, training_bytes


@dataclasses.dataclass(frozen=True)
class Trained:
    """What `train_members` gives.

    Attributes:
        variables: stacked.
        losses: `[m, steps]`.
        groups: the members that trained together, `[groups, width]`.
        compile_s, train_s: seconds.
    """

    variables: Variables
    losses: np.ndarray
    groups: np.ndarray
    compile_s: float
    train_s: float

    def member(self, k: int) -> Variables:
        """The variables of member `k`."""
        return jax.tree.map(lambda leaf: leaf[k], self.variables)


def make_members(
    masks: np.ndarray,
    seeds: Sequence[int],
    temperatures: Sequence[float],
    rates: Sequence[Rates] | None = None,
    dropouts: Sequence[float] | None = None,
) -> Member:
    """All combinations of seeds, temperatures and masks `[f, n]`, in that order of nesting.

    Every fold of a seed starts from the same initial weights, so folds differ in their data alone.

    Args:
        rates: of the optimiser, one a temperature; None for those of the settings.
        dropouts: shares of units left out, one a temperature; None for the student's.
    """
    grid = [(s, t, f) for s in seeds for t in range(len(temperatures)) for f in range(len(masks))]
    points = [t for _, t, _ in grid]
    mask: Any = np.stack([masks[f] for _, _, f in grid]).astype(np.bool_)  # on the host, in bytes
    return Member(
        mask=mask,
        key=jnp.stack([jax.random.key(s) for s, _, _ in grid]),
        temperature=_on_host(temperatures)[points],
        rates=None if rates is None else Rates(*np.array(rates, np.float32)[points].T),
        dropout=None if dropouts is None else _on_host(dropouts)[points],
    )


def _on_host(values: Sequence[float]) -> Any:
    return np.array(values, np.float32)


def cross_validation_members(
    masks: np.ndarray,
    seeds: Sequence[int],
    temperatures: Sequence[float],
    rates: Sequence[Rates] | None = None,
    dropouts: Sequence[float] | None = None,
) -> Member:
    """`make_members`, then one member a temperature on all rows, of the first seed."""
    points = temperatures, rates, dropouts
    folds = make_members(masks, seeds, *points)
    final = make_members(np.ones_like(masks[:1]), seeds[:1], *points)

    def joined(*leaves: Any) -> Any:
        hosts = all(isinstance(leaf, np.ndarray) for leaf in leaves)
        return np.concatenate(leaves) if hosts else jnp.concatenate(leaves)

    return jax.tree.map(joined, folds, final)


@dataclasses.dataclass(frozen=True)
class Compiled:
    """The program that trains all members, ready to run.

    Attributes:
        run: trains, and returns stacked variables and losses once they are there.
        groups: the members of each call, the last one again to fill it.
        compile_s: what compiling it took.
    """

    run: Callable[[], tuple[Variables, np.ndarray]]
    groups: np.ndarray
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
        InputError: `VMAF_JAX_MAX_TRAINING_BYTES` is no number.
    """
    if settings.strategy == "teacher_queries" and teacher is None:
        raise ValueError("strategy teacher_queries: pass the teacher's parameters")
    spread, recipe = Spread.over_all_devices(), make_recipe(settings, feature_set)
    wide = recipe.precision == jnp.float64
    rows, teacher = _floats((rows, teacher), recipe.precision)
    with jax.enable_x64(wide):
        on_devices = spread.put((rows, teacher), spread.shared)

    def own(group: np.ndarray) -> Member:
        return _floats(jax.tree.map(lambda leaf: leaf[group], members), recipe.precision)

    def inputs(group: np.ndarray) -> Inputs:
        with jax.enable_x64(wide):
            return on_devices[0], spread.put(own(group), spread.split), on_devices[1]

    def compiled(group: np.ndarray) -> Any:
        parts: dict[str, Any] = {"student": student, "recipe": recipe}
        with jax.enable_x64(wide):
            shared, split = (_shapes((rows, teacher)), _shapes(own(group)))
            shapes = shared[0], split, shared[1]
            if keeper is None:
                return _compile_whole(shapes, spread, **parts)
            return compile_pieces(shapes, spread, **parts)

    started = time.perf_counter()
    m = len(members.temperature)
    groups = _groups(m, -(-m // spread.n_devices), spread.n_devices)
    program = compiled(groups[0])
    per_device = groups.shape[1] // spread.n_devices
    fitting = members_that_fit(per_device, program.bytes_taken, training_bytes(jax.local_devices()))
    if fitting < per_device:
        groups = _groups(m, fitting, spread.n_devices)
        program = compiled(groups[0])
    spread.wait()  # for the others to have compiled theirs
    compile_s = time.perf_counter() - started

    def run() -> tuple[Variables, np.ndarray]:
        calls = [functools.partial(inputs, group) for group in groups]
        variables, losses = program.run(calls, keeper)
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:m], *variables)
        return joined, np.concatenate(losses)[:m]

    return Compiled(run, groups, compile_s)


def _groups(m: int, per_device: int, n_devices: int) -> np.ndarray:
    """Members of each call, `[groups, width]`: so many on every device, the last again to fill.

    Two on every device at least: XLA simplifies a batch of one away and rounds otherwise, and a
    member is to come out the same bits alone.
    """
    width = max(2, per_device) * n_devices
    n_groups = -(-m // width)
    return np.minimum(np.arange(n_groups * width), m - 1).reshape(n_groups, width)


def _floats(tree: Any, dtype: DTypeLike) -> Any:
    """Real numbers and masks of `tree` in `dtype`, on the host; keys stay as they are."""

    def cast(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        real = jnp.issubdtype(leaf.dtype, jnp.floating) or leaf.dtype == np.bool_
        return np.asarray(leaf, dtype) if real else leaf

    return jax.tree.map(cast, tree)


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


@dataclasses.dataclass(frozen=True)
class _Whole:
    """The program of a group's whole training."""

    program: Callable[..., tuple[Variables, jax.Array]]
    fetch: Callable[[Any], Any]
    bytes_taken: int

    def run(
        self, groups: Sequence[Callable[[], Inputs]], _keeper: Keeper | None
    ) -> tuple[list[Variables], list[np.ndarray]]:
        """Trains group after group; variables and losses of each."""
        results = [self.fetch(self.program(*inputs())) for inputs in groups]
        return [variables for variables, _ in results], [losses for _, losses in results]


def _compile_whole(shapes: Inputs, spread: Spread, *, student: Student, recipe: Recipe) -> _Whole:
    train_one = functools.partial(train_member, student=student, recipe=recipe)
    train_all = jax.jit(
        jax.vmap(train_one, in_axes=(None, 0, None)),
        in_shardings=(spread.shared, spread.split, spread.shared),
        out_shardings=spread.split,
    )
    program = train_all.lower(*shapes).compile()
    return _Whole(program, spread.fetch, bytes_of(program))


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
    train_s = time.perf_counter() - started
    return Trained(variables, losses, compiled.groups, compiled.compile_s, train_s)
