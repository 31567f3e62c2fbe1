"""Saved states of trainings: written on a schedule, agreed by all processes, resumed exactly.

A folder holds Orbax's files, and a list of their digests with that of the training they belong to.

Beside the result folder `NAME` stands `NAME.state`, with a folder for each of the last two states
of the program that trains, and one for the result of each program that is through. The folder goes
when the result is written.

Whether it is time to save, and what was saved, the processes agree on between two calls of the
program; so each of them can be told to end, and all of them end when it is saved.
"""

import contextlib
import hashlib
import io
import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Protocol, runtime_checkable

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vmaf_jax import interrupts
from vmaf_jax.environment import is_first_process, several_processes
from vmaf_jax.errors import InputError
from vmaf_jax.export.checkpoint import checkpointer_alone, save_checkpoint
from vmaf_jax.files import (
    atomic_path,
    holds_plain_files,
    make_dir,
    read_limited,
    take_lock,
    write_text,
)
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.training.pieces import Keeper, Leaves

_ARRAYS, _LIST = "state", "digests.json"
_MAX_LIST_BYTES = 64 << 20


class UnfitError(Exception):
    """Arrays that cannot be taken up, and why."""


def training_digest(*parts: Any) -> str:
    """SHA-256 of everything that a training's result follows from: machine, versions, `parts`.

    Args:
        parts: trees of arrays, or text.
    """
    digest = hashlib.sha256()
    devices = [f"{device.platform}:{device.device_kind}" for device in jax.devices()]
    versions = [metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")]
    for text in (*devices, *versions, *(part for part in parts if isinstance(part, str))):
        digest.update(f"{text}\n".encode())
    for leaf in jax.tree.leaves([part for part in parts if not isinstance(part, str)]):
        key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.ascontiguousarray(jax.random.key_data(leaf) if key else leaf)
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_arrays(place: Path, arrays: dict[str, Any], training: str) -> None:
    """Writes a tree of arrays to the folder `place`, atomically.

    Args:
        training: the digest of what they belong to.
    """
    with atomic_path(place) as temporary:
        temporary.mkdir()
        save_checkpoint(temporary / _ARRAYS, arrays)
        contents = {"training": training, "files": _digests(temporary / _ARRAYS)}
        write_text(temporary / _LIST, json.dumps(contents, indent=1))


def read_arrays(place: Path, training: str) -> dict[str, Any]:
    """The tree in the folder `place`.

    Raises:
        UnfitError: damaged, or of another training.
    """
    try:
        contents = json.loads(read_limited(place / _LIST, "DIGESTS_BYTES", _MAX_LIST_BYTES))
        files, owner = contents["files"], contents["training"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnfitError(f"damaged (no list of digests: {error})") from error
    if owner != training:
        raise UnfitError("of another training (its settings, rows or machine differ)")
    if not holds_plain_files(place / _ARRAYS) or files != _digests(place / _ARRAYS):
        raise UnfitError("damaged (a file differs from its digest)")
    with checkpointer_alone() as checkpointer:
        return dict(checkpointer.restore(place / _ARRAYS))


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder`, by its path there."""
    files: Iterable[Path] = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


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
        self, run_dir: Path, every_s: float | None, progress: Progress, *, several: bool = False
    ) -> None:
        self.folder = run_dir.absolute().with_name(f"{run_dir.absolute().name}.state")
        self.training = ""
        self._every_s, self._progress, self._several = every_s, progress, several
        self._last = time.monotonic()
        self._lock = self._take_lock()
        self._training = contextlib.ExitStack()

    def __enter__(self) -> "TrainingState":
        return self

    def __exit__(self, *_: object) -> None:
        self._training.close()
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
            self._progress.say(f"{place}: {damage}; it is trained again")
            return None

    def restore(self, like: Leaves) -> Leaves | None:
        """The newest sound state of this training; says what it takes up, and what is damaged."""
        self._training.enter_context(interrupts.interruptible())
        self._last = time.monotonic()
        for place in self._states():
            try:
                leaves = self._read(place, like)
            except UnfitError as damage:
                self._progress.say(
                    f"{place}: {damage}; the state before it is taken, if there is one"
                )
                continue
            self._progress.say(f"goes on after step {int(place.name)}, from {place}")
            return leaves
        return None

    def due(self) -> bool:
        """Whether the interval is over, or the program is to end."""
        if self._every_s is None:
            return False
        return interrupts.save_requested() or time.monotonic() - self._last >= self._every_s

    def keep(self, state: Leaves, step: int) -> None:
        """Writes a state; ends the program if it was told to."""
        self.write(state, step)
        interrupts.end_if_requested()

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
        self._training.close()
        if self._several:
            write_arrays(self._result_place, arrays, self.training)
            for place in self._states():
                shutil.rmtree(place, ignore_errors=True)

    def remove(self) -> None:
        """The result is written: the states go."""
        shutil.rmtree(self.folder, ignore_errors=True)

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


@contextlib.contextmanager
def kept_state(
    run_dir: Path | None,
    every_s: float | None,
    progress: Progress = NO_PROGRESS,
    *,
    several: bool = False,
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
            return opened.enter_context(TrainingState(run_dir, every_s, progress, several=several))

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
        self._training = contextlib.ExitStack()

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
        self._training.enter_context(interrupts.interruptible())
        names = [f"leaf_{k:04d}" for k in range(len(like))]
        leaves = None if self._first is None else self._first.restore(like)
        arrays = _from_first(None if leaves is None else dict(zip(names, leaves, strict=True)))
        return None if arrays is None else [arrays[name] for name in names]

    def due(self) -> bool:
        """Whether the interval is over, or a process is to end."""
        own = interrupts.save_requested() if self._first is None else self._first.due()
        return bool(_of_every_process(own).any())

    def keep(self, state: Leaves, step: int) -> None:
        """Writes a state; ends every process if one was told to."""
        if self._first is not None:
            self._first.write(state, step)
        if _of_every_process(interrupts.save_requested()).any():
            interrupts.request_save()
            interrupts.end_if_requested()

    def end(self, arrays: dict[str, Any]) -> None:
        """As `TrainingState.end`."""
        self._training.close()
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
