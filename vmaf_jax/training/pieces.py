"""A training in short calls of one program, between which its whole state can be kept.

The state is what the steps hand on: parameters and the optimiser's memory of every member, the
losses so far and the number of steps done. Keys follow from a member's own; they are not kept.
XLA rounds these programs otherwise than the one that trains in a single call, but all calls alike,
whatever their length: a training that was taken up again ends with the bits of one that was not.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from vmaf_jax.training.member import advance_member, finish_member, start_member

_MOST_STEPS = 250  # of a call
_CALLS = 20  # of a training, at the least

Leaves = list[np.ndarray]  # of a state, in one fixed order


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
    """The programs of a training, compiled: start, some steps, finish.

    Attributes:
        start: the first state and every step's key.
        advance: from a state, the keys and the first step's number to a state and losses `[m, s]`.
        finish: from the last state to variables.
        place: puts a state's leaves back on the devices.
        steps, length: of the training, and of a call.
    """

    start: Callable[[], tuple[Any, jax.Array]]
    advance: Callable[[Any, jax.Array, jax.Array], tuple[Any, jax.Array]]
    finish: Callable[[Any], Any]
    place: Callable[[Any], Any]
    steps: int
    length: int

    def run(self, keeper: Keeper) -> tuple[Any, np.ndarray]:
        """Trains from the newest kept state on; variables, and losses `[m, steps]`."""
        state, keys = self.start()
        leaves, structure = jax.tree.flatten(state)
        losses = np.zeros((len(leaves[0]), self.steps), np.float32)
        like = [*(np.asarray(leaf) for leaf in leaves), losses, np.zeros((), np.int64)]
        first = 0
        if (restored := keeper.restore(like)) is not None:
            *leaves, losses, at = restored
            state, first = self.place(jax.tree.unflatten(structure, leaves)), int(at)
        for k in range(first, self.steps, self.length):
            state, some = self.advance(state, keys, jnp.int32(k))
            losses[:, k : k + self.length] = np.asarray(some)
            done = k + self.length
            if keeper.due() and done < self.steps:
                leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
                keeper.keep([*leaves, losses, np.asarray(done, np.int64)], done)
        return self.finish(state), losses


def compile_pieces(
    inputs: tuple[Any, Any, Any], shardings: tuple[Any, Any], *, student: Any, recipe: Any
) -> Pieces:
    """Compiles a training of mapped members into short calls.

    Args:
        inputs: rows, members and teacher, on their devices.
        shardings: of what members share, and of what has their axis.
    """
    shared, split = shardings
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
    start_program = begin.lower(*inputs).compile()
    state, keys = start_program(*inputs)
    more = jax.jit(
        jax.vmap(advance, (*mapped, 0, 0, None)),
        in_shardings=(*sides, split, split, shared),
        out_shardings=split,
        donate_argnums=3,
    )
    first = jnp.int32(0)
    advance_program = more.lower(*inputs, state, keys, first).compile()
    end = jax.jit(jax.vmap(finish, (*mapped, 0)), in_shardings=(*sides, split), out_shardings=split)
    finish_program = end.lower(*inputs, state).compile()
    wide = recipe.precision == jnp.float64

    def place(state: Any) -> Any:
        with jax.enable_x64(wide):
            return jax.device_put(state, split)

    return Pieces(
        start=lambda: start_program(*inputs),
        advance=lambda state, keys, k: advance_program(*inputs, state, keys, k),
        finish=lambda state: finish_program(*inputs, state),
        place=place,
        steps=recipe.steps,
        length=length,
    )
