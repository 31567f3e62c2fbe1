"""The state of a training of several processes: the first keeps it on disk, all take it up alike.

Whether it is time to save, and what was saved, the processes agree on between two calls of the
program; so each of them can be told to end, and all of them end when it is saved.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vmaf_jax import stopping
from vmaf_jax.environment import is_first_process, several_processes
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.jobs.training_state import KeptState, TrainingState
from vmaf_jax.training.pieces import Leaves


@contextlib.contextmanager
def kept_state(
    run_dir: Path | None, every_s: float | None, report: Report = silent, *, several: bool = False
) -> Iterator[KeptState | None]:
    """Where a job keeps its trainings; None where it keeps nothing.

    Args:
        run_dir: the result folder; None in a process that writes none.
        every_s, several: as for `TrainingState`.

    Raises:
        InputError: another program trains into the same folder, or one process of several is to
            save and another is not.
    """
    with contextlib.ExitStack() as opened:

        def own() -> TrainingState | None:
            if run_dir is None or not is_first_process():
                return None
            return opened.enter_context(TrainingState(run_dir, every_s, report, several=several))

        if several_processes():
            saving = _of_every_process(every_s is not None)
            if saving.any() and not saving.all():
                raise InputError("--save-every: start every process with it, or none.")
        if every_s is None and not several:
            yield None
        elif several_processes():
            yield AgreedState(own(), saves=every_s is not None)
        else:
            yield own()


class AgreedState:
    """A `KeptState` that all processes of a training call alike.

    Args:
        first: the state on disk, in the first process; None in the others.
        saves: whether the training is saved while it runs.
    """

    def __init__(self, first: TrainingState | None, *, saves: bool) -> None:
        self._first, self._saves = first, saves

    def of(self, *parts: Any) -> "AgreedState":
        """As `TrainingState.of`."""
        if self._first is not None:
            self._first.of(*parts)
        return self

    @property
    def keeper(self) -> "AgreedState | None":
        """As `TrainingState.keeper`."""
        return self if self._saves else None

    def result(self) -> dict[str, Any] | None:
        """As `TrainingState.result`, in every process."""
        flat = _from_first(None if self._first is None else _flat(self._first.result()))
        return None if flat is None else unflatten_dict(flat, sep="/")

    def restore(self, like: Leaves) -> Leaves | None:
        """As `TrainingState.restore`, in every process."""
        stopping.begin_looking()
        names = [f"leaf_{k:04d}" for k in range(len(like))]
        leaves = None if self._first is None else self._first.restore(like)
        arrays = _from_first(None if leaves is None else dict(zip(names, leaves, strict=True)))
        return None if arrays is None else [arrays[name] for name in names]

    def due(self) -> bool:
        """Whether the interval is over, or a process is to end."""
        own = stopping.requested() if self._first is None else self._first.due()
        return bool(_of_every_process(own).any())

    def keep(self, state: Leaves, step: int) -> None:
        """Writes a state; ends every process if one was told to."""
        if self._first is not None:
            self._first.write(state, step)
        if _of_every_process(stopping.requested()).any():
            stopping.end_saved()

    def end(self, arrays: dict[str, Any]) -> None:
        """As `TrainingState.end`."""
        stopping.end_looking()
        if self._first is not None:
            self._first.end(arrays)

    def remove(self) -> None:
        """The result is written: the states go."""
        if self._first is not None:
            self._first.remove()


def _of_every_process(flag: bool) -> np.ndarray:
    """What each process says; waits for all of them."""
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(np.array([flag])))


def _from_first(arrays: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the first process has, in every process.

    Args:
        arrays: by name; of the first process, the others' is not looked at.
    """
    from jax.experimental.multihost_utils import broadcast_one_to_all

    packed = io.BytesIO()
    if arrays is not None:
        np.savez(packed, allow_pickle=False, **arrays)
    size = int(broadcast_one_to_all(np.array(packed.tell(), np.int64)))
    if size == 0:
        return None
    own = np.frombuffer(packed.getvalue() if is_first_process() else bytes(size), np.uint8)
    with np.load(io.BytesIO(np.asarray(broadcast_one_to_all(own)).tobytes())) as unpacked:
        return {name: unpacked[name] for name in unpacked.files}


def _flat(arrays: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if arrays is None else flatten_dict(arrays, sep="/")
