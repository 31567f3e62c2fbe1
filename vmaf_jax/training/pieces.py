"""A training in short calls of one program, between which its whole state can be kept.

The state is what the steps hand on: parameters and the optimiser's memory of the group that trains,
what the groups before it came to, the losses so far and the number of steps done. Keys follow from
a member's own; they are not kept. XLA rounds these programs otherwise than the one that trains in a
single call, but all calls alike, whatever their length: a training that was taken up again ends
with the bits of one that was not.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from vmaf_jax.training.member import advance_member, finish_member, start_member
from vmaf_jax.training.sharding import Spread

_MOST_STEPS = 250  # of a call
_CALLS = 20  # of a training, at the least

Leaves = list[np.ndarray]  # of a state, in one fixed order
Inputs = tuple[Any, Any, Any]  # rows, the members of a group, teacher


@runtime_checkable
class Keeper(Protocol):
    """Keeps states, and gives back the newest sound one."""

    def restore(self, like: Leaves) -> Leaves | None:
        """The newest sound state of this very training, shaped as `like`; None for none."""

    def due(self) -> bool:
        """Whether it is time to keep one."""

    def keep(self, state: Leaves, step: int) -> None:
        """Keeps the state after `step` steps; may end the program."""


def piece_length(steps: int) -> int:
    """Steps of a call: the most that divide `steps`, so that one program runs them all."""
    most = max(1, min(_MOST_STEPS, steps // _CALLS))
    return max(length for length in range(1, most + 1) if steps % length == 0)


@dataclasses.dataclass(frozen=True)
class Pieces:
    """The programs of a group's training, compiled: start, some steps, finish.

    Attributes:
        start: from inputs to the first state and every step's key.
        advance: from inputs, a state, the keys and the first step's number to a state and losses.
        finish: from inputs and the last state to variables.
        variables: what `finish` gives, as shapes.
        place: puts a state back on the devices.
        fetch: brings arrays to the host.
        steps, length: of the training, and of a call.
        bytes_taken: of each device.
    """

    start: Callable[..., tuple[Any, jax.Array]]
    advance: Callable[..., tuple[Any, jax.Array]]
    finish: Callable[..., Any]
    variables: Any
    place: Callable[[Any], Any]
    fetch: Callable[[Any], Any]
    steps: int
    length: int
    bytes_taken: int

    def run(
        self, groups: Sequence[Callable[[], Inputs]], keeper: Keeper
    ) -> tuple[list[Any], list[np.ndarray]]:
        """Trains group after group from the newest kept state on; variables and losses of each.

        Args:
            groups: each gives its inputs, on the devices.
        """
        inputs = groups[0]()
        state, keys = self.start(*inputs)
        leaves, structure = jax.tree.flatten(self.fetch(state))
        results, results_structure = jax.tree.flatten(
            [jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), self.variables) for _ in groups[1:]]
        )  # the last group's are never kept
        losses = np.zeros((len(groups), len(leaves[0]), self.steps), np.float32)
        like = [*leaves, *results, losses, np.zeros((), np.int64)]
        done = 0
        if (restored := keeper.restore(like)) is not None:
            *saved, losses, at = restored
            leaves, results, done = saved[: len(leaves)], saved[len(leaves) :], int(at)
            state = self.place(jax.tree.unflatten(structure, leaves))
        finished = jax.tree.unflatten(results_structure, results)

        def keep() -> None:
            leaves = jax.tree.leaves(self.fetch(state))
            keeper.keep([*leaves, *jax.tree.leaves(finished), losses, np.asarray(done)], done)

        for g in range(done // self.steps, len(groups)):
            if g:
                inputs = groups[g]()
                fresh, keys = self.start(*inputs)
                state = fresh if done % self.steps == 0 else state
            for k in range(done % self.steps, self.steps, self.length):
                state, some = self.advance(*inputs, state, keys, np.int32(k))
                losses[g, :, k : k + self.length] = self.fetch(some)
                done += self.length
                if done % self.steps and keeper.due():
                    keep()
            result = self.fetch(self.finish(*inputs, state))
            if g + 1 < len(groups):
                finished[g] = result
                if keeper.due():
                    keep()
        return [*finished, result], list(losses)


def compile_pieces(shapes: Inputs, spread: Spread, *, student: Any, recipe: Any) -> Pieces:
    """Compiles the training of a group of mapped members into short calls.

    Args:
        shapes: of rows, members and teacher.
    """
    shared, split = spread.shared, spread.split
    parts: dict[str, Any] = {"student": student, "recipe": recipe}
    sides = (shared, split, shared)
    length = piece_length(recipe.steps)

    def start(rows: Any, member: Any, teacher: Any) -> Any:
        return start_member(rows, member, teacher, **parts)

    def advance(rows: Any, member: Any, teacher: Any, state: Any, keys: Any, first: Any) -> Any:
        some = jax.lax.dynamic_slice_in_dim(keys, first, length)
        return advance_member(rows, member, teacher, state, some, **parts)

    def finish(rows: Any, member: Any, teacher: Any, state: Any) -> Any:
        return finish_member(rows, member, teacher, state, **parts)

    mapped = (None, 0, None)
    begin = jax.jit(jax.vmap(start, mapped), in_shardings=sides, out_shardings=split)
    state, keys = jax.eval_shape(begin, *shapes)
    more = jax.jit(
        jax.vmap(advance, (*mapped, 0, 0, None)),
        in_shardings=(*sides, split, split, shared),
        out_shardings=split,
        donate_argnums=3,
    )
    end = jax.jit(jax.vmap(finish, (*mapped, 0)), in_shardings=(*sides, split), out_shardings=split)
    advance_program = more.lower(*shapes, state, keys, np.int32(0)).compile()
    wide = recipe.precision == jnp.float64

    def place(state: Any) -> Any:
        with jax.enable_x64(wide):
            return spread.put(state, split)

    return Pieces(
        start=begin.lower(*shapes).compile(),
        advance=advance_program,
        finish=end.lower(*shapes, state).compile(),
        variables=jax.eval_shape(end, *shapes, state),
        place=place,
        fetch=spread.fetch,
        steps=recipe.steps,
        length=length,
        bytes_taken=bytes_of(advance_program),
    )


def bytes_of(program: Any) -> int:
    """What a compiled program takes on each device: arguments, results and what lies between."""
    stats = program.memory_analysis()
    if stats is None:
        return 0
    donated = getattr(stats, "alias_size_in_bytes", 0)
    sizes = (stats.argument_size_in_bytes, stats.output_size_in_bytes, stats.temp_size_in_bytes)
    return int(sum(sizes) - donated)
