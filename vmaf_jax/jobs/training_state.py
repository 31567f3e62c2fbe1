"""Trainings on disk: their state every so many seconds, found again, never trusted blindly.

Beside the result folder `NAME` stands `NAME.state`, with a folder for each of the last two states
of the program that trains, and one for the result of each program that is through. The folder goes
when the result is written.
"""

import re
import shutil
import time
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import numpy as np

from vmaf_jax import stopping
from vmaf_jax.errors import InputError
from vmaf_jax.files import make_dir, take_lock
from vmaf_jax.jobs.report import Report
from vmaf_jax.jobs.saved_arrays import UnfitError, read_arrays, training_digest, write_arrays
from vmaf_jax.training.pieces import Keeper, Leaves

_KEPT = 2
_LOCK = "lock"
# The lock, states, results, and what a killed process left of writing them.
_OWN_ENTRY = re.compile(
    rf"{_LOCK}|\d{{9}}|result-[0-9a-f]{{16}}|\.(?:\d{{9}}|result-).*\.(?:tmp|old)"
)


@runtime_checkable
class KeptState(Protocol):
    """What is kept of a job's trainings, as the job calls it."""

    def of(self, *parts: Any) -> "KeptState":
        """Names the training by everything that its result follows from."""

    @property
    def keeper(self) -> Keeper | None:
        """What the loop hands states to; None where none are kept."""

    def result(self) -> dict[str, Any] | None:
        """What this training came to, where it is through already."""

    def end(self, arrays: dict[str, Any]) -> None:
        """This training is over, with this result."""

    def remove(self) -> None:
        """The job's result is written."""


class TrainingState:
    """The states of a job's trainings; a `Keeper` for the loop, and a lock on the folder.

    Use it as a context: it gives the lock back.

    Args:
        run_dir: the result folder.
        every_s: seconds between states; None to train each program in one call.
        several: whether the job trains several programs, and keeps the results of each.

    Raises:
        InputError: another process trains into the same folder, or it holds other things.
    """

    def __init__(
        self, run_dir: Path, every_s: float | None, report: Report, *, several: bool = False
    ) -> None:
        self.folder = run_dir.absolute().with_name(f"{run_dir.absolute().name}.state")
        self.training = ""
        self._every_s, self._report, self._several = every_s, report, several
        self._last = time.monotonic()
        self._lock = self._take_lock()
        programs = "finished programs are kept, run it again to go on."
        newest = "no result was written; the newest saved state, if any, is kept."
        stopping.leaves_behind(programs if several else newest)

    def __enter__(self) -> "TrainingState":
        return self

    def __exit__(self, *_: object) -> None:
        stopping.end_looking()
        self._lock.close()

    def _take_lock(self) -> IO[bytes]:
        if self.folder.is_symlink():
            raise InputError(f"{self.folder}: a link, in the place of saved states; remove it.")
        for path in make_dir(self.folder).iterdir():
            if not _OWN_ENTRY.fullmatch(path.name):
                raise InputError(
                    f"{path}: no saved state, in a folder that is removed with the states; move it "
                    f"away, or choose another run folder."
                )
        busy = (
            f"{self.folder}: another training saves its state here; wait for it, or choose another "
            f"run folder."
        )
        return take_lock(self.folder / _LOCK, busy)

    def of(self, *parts: Any) -> "TrainingState":
        """Names the training: states and results of another one are not taken up.

        Args:
            parts: everything that its result follows from; trees of arrays, or text.
        """
        way = "in one call" if self._every_s is None else "in pieces"  # they round otherwise
        self.training = training_digest(*parts, way)
        return self

    @property
    def keeper(self) -> "TrainingState | None":
        """What the loop hands states to; None where none are kept."""
        return None if self._every_s is None else self

    def result(self) -> dict[str, Any] | None:
        """What this training came to, where it is through already."""
        place = self._result_place
        if not self._several or not place.exists():
            return None
        try:
            return read_arrays(place, self.training)
        except UnfitError as damage:
            self._report.say(f"{place}: {damage}; it is trained again")
            return None

    def restore(self, like: Leaves) -> Leaves | None:
        """The newest sound state of this training; says what it takes up, and what is damaged."""
        stopping.begin_looking()
        self._last = time.monotonic()
        for place in self._states():
            try:
                leaves = self._read(place, like)
            except UnfitError as damage:
                self._report.say(
                    f"{place}: {damage}; the state before it is taken, if there is one"
                )
                continue
            self._report.say(f"goes on after step {int(place.name)}, from {place}")
            return leaves
        return None

    def due(self) -> bool:
        """Whether the interval is over, or the program is to end."""
        if self._every_s is None:
            return False
        return stopping.requested() or time.monotonic() - self._last >= self._every_s

    def keep(self, state: Leaves, step: int) -> None:
        """Writes a state; ends the program if it was told to."""
        self.write(state, step)
        stopping.saved()

    def write(self, state: Leaves, step: int) -> None:
        """Writes a state, drops all but the last two."""
        arrays = {_name(k): leaf for k, leaf in enumerate(state)}
        write_arrays(self.folder / f"{step:09d}", arrays, self.training)
        for place in self._states()[_KEPT:]:
            shutil.rmtree(place, ignore_errors=True)
        self._last = time.monotonic()

    def end(self, arrays: dict[str, Any]) -> None:
        """This training is over: a request to end no longer waits for a state.

        Args:
            arrays: its result, kept where others follow.
        """
        stopping.end_looking()
        if self._several:
            write_arrays(self._result_place, arrays, self.training)
            for place in self._states():
                shutil.rmtree(place, ignore_errors=True)

    def remove(self) -> None:
        """The result is written: the states go."""
        shutil.rmtree(self.folder, ignore_errors=True)
        stopping.leaves_behind("the run folder is written.")

    @property
    def _result_place(self) -> Path:
        return self.folder / f"result-{self.training[:16]}"

    def _states(self) -> list[Path]:
        """Folders of states, newest first."""
        names = (path for path in self.folder.iterdir() if path.name.isdecimal())
        return sorted(names, reverse=True)

    def _read(self, place: Path, like: Leaves) -> Leaves:
        tree = read_arrays(place, self.training)
        leaves = [np.array(tree[_name(k)]) for k in range(len(tree))]
        if [(a.shape, a.dtype) for a in leaves] != [(a.shape, a.dtype) for a in like]:
            raise UnfitError("of other shapes")
        return leaves


def _name(k: int) -> str:
    return f"leaf_{k:04d}"
