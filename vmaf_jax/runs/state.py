"""Saved states of trainings: written on a schedule, agreed by all processes, resumed exactly.

A folder holds Orbax's files, and a list of their digests with that of the training they belong to.
A student's variables are plain files per array (no OCDBT, whose file names are random), with time
stamps of zero: the same variables give the same bytes.

Beside the result folder `NAME` stands `NAME.state`, with a folder for each of the last two states
of the program that trains, and one for the result of each finished program. The folder goes
when the result is written.

Whether it is time to save, and what was saved, the processes agree on between two calls of the
program; so each of them can be ended by a signal, and all of them end when it is saved.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vmaf_jax import interrupts
from vmaf_jax.environment import is_first_process, several_processes
from vmaf_jax.errors import InputError
from vmaf_jax.files import (
    atomic_path,
    holds_plain_files,
    make_dir,
    read_limited,
    take_lock,
    write_text,
)
from vmaf_jax.models import Student, Variables
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.training.engine import Leaves

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

Arrays = dict[str, Any]  # a tree of arrays, by name
_ARRAYS, _LIST = "state", "digests.json"
_MAX_LIST_BYTES = 64 << 20
_METADATA = "_CHECKPOINT_METADATA"


class UnfitError(Exception):
    """Arrays that cannot be restored, and why."""


def training_digest(*parts: object) -> str:
    """Computes the SHA-256 of all that a training's result follows from: devices, versions, parts.

    Args:
        parts: trees of arrays, or text.
    """
    digest = hashlib.sha256()
    devices = [f"{device.platform}:{device.device_kind}" for device in jax.devices()]
    versions = [metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax")]
    texts = [part for part in parts if isinstance(part, str)]
    for text in (*devices, *versions, *texts):
        digest.update(f"{text}\n".encode())
    for leaf in jax.tree.leaves([part for part in parts if not isinstance(part, str)]):
        key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.ascontiguousarray(jax.random.key_data(leaf) if key else leaf)
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def write_arrays(place: Path, arrays: Arrays, training: str) -> None:
    """Writes a tree of arrays to the folder `place`, atomically.

    Args:
        training: the digest of what they belong to.
    """
    with atomic_path(place) as temporary:
        temporary.mkdir()
        _write_tree(temporary / _ARRAYS, arrays)
        contents = {"training": training, "files": _digests(temporary / _ARRAYS)}
        write_text(temporary / _LIST, json.dumps(contents, indent=1))


def read_arrays(place: Path, training: str) -> Arrays:
    """Reads the tree in the folder `place`.

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
    """Returns the SHA-256 of every file under `folder`, by its path there."""
    files: Iterable[Path] = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


_KEPT = 2  # states: where the last one is damaged, training goes on after the one before
_LOCK = "lock"
_FILE_BYTES = 8192  # of a leaf's files beside its numbers: blocks and a description
# The lock, states, results, and what a killed process left of writing them.
_OWN_ENTRY = re.compile(
    rf"{_LOCK}|\d{{9}}|result-[0-9a-f]{{16}}|\.(?:\d{{9}}|result-).*\.(?:tmp|old)"
)


class TrainingState:
    """The saved states of a job's trainings, called alike by every process of it.

    The first process holds the folder and a lock on it; the others learn from it what was restored
    and when to save. Use it as a context: it gives the lock back.

    Args:
        run_dir: the result folder; not looked at in other processes than the first.
        every_s: seconds between states; None to save none.
        several: whether the job trains several programs, and keeps the results of each.

    Raises:
        InputError: another process trains into the same folder, or it holds other things.
    """

    def __init__(
        self,
        run_dir: Path | None,
        every_s: float | None,
        progress: Progress = NO_PROGRESS,
        *,
        several: bool = False,
    ) -> None:
        self.training = ""
        self._every_s, self._progress, self._several = every_s, progress, several
        self._last = time.monotonic()
        self.folder: Path | None = None
        self._lock: IO[bytes] | None = None
        self._interruptible = contextlib.ExitStack()
        if run_dir is not None and is_first_process():
            self.folder = run_dir.absolute().with_name(f"{run_dir.absolute().name}.state")
            self._lock = _lock_folder(self.folder)

    def __enter__(self) -> "TrainingState":
        return self

    def __exit__(self, *_: object) -> None:
        self._interruptible.close()
        if self._lock is not None:
            if self.folder is not None and [p.name for p in self.folder.glob("*")] == [_LOCK]:
                self.remove()  # nothing was saved
            self._lock.close()

    def of(self, *parts: object) -> "TrainingState":
        """Names the training: states and results of another one are not taken up.

        Args:
            parts: everything that its result follows from; trees of arrays, or text.
        """
        if self.folder is not None:
            self.training = training_digest(*parts)
        return self

    @property
    def saver(self) -> "TrainingState | None":
        """The `Saver` of the engine; None where no states are saved."""
        return None if self._every_s is None else self

    def result(self) -> Arrays | None:
        """Returns the result of this training, in every process, where it is finished already."""
        found = None
        if self.folder is not None and self._several and self._result_folder.exists():
            try:
                found = read_arrays(self._result_folder, self.training)
            except UnfitError as damage:
                self._progress.say(f"{self._result_folder}: {damage}; it is trained again")
        flat = _from_first(None if found is None else flatten_dict(found, sep="/"))
        return None if flat is None else unflatten_dict(flat, sep="/")

    def restore(self, like: Leaves) -> Leaves | None:
        """Returns the newest sound state, in every process; names it, and what is damaged."""
        self._interruptible.enter_context(interrupts.interruptible())
        self._last = time.monotonic()
        names = [_name(k) for k in range(len(like))]
        leaves = None if self.folder is None else self._restore(like)
        arrays = _from_first(None if leaves is None else dict(zip(names, leaves, strict=True)))
        return None if arrays is None else [arrays[name] for name in names]

    def _restore(self, like: Leaves) -> Leaves | None:
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
        """Whether the interval is over, or a process is to end."""
        if self._every_s is None:
            return False
        over = self.folder is not None and time.monotonic() - self._last >= self._every_s
        return _in_any_process(interrupts.save_requested() or over)

    def save(self, state: Leaves, step: int) -> None:
        """Writes a state, drops all but the last two; ends every process after a signal to one."""
        if self.folder is not None:
            arrays = {_name(k): leaf for k, leaf in enumerate(state)}
            write_arrays(self.folder / f"{step:09d}", arrays, self.training)
            for place in self._states()[_KEPT:]:
                shutil.rmtree(place, ignore_errors=True)
            self._last = time.monotonic()
        if _in_any_process(interrupts.save_requested()):
            interrupts.request_save()
            interrupts.end_if_requested()

    def end(self, arrays: Arrays) -> None:
        """Notes that this training is over: a request to end no longer waits for a state.

        Args:
            arrays: its result, kept where others follow.
        """
        self._interruptible.close()
        if self.folder is not None and self._several:
            write_arrays(self._result_folder, arrays, self.training)
            for place in self._states():
                shutil.rmtree(place, ignore_errors=True)

    def remove(self) -> None:
        """Removes the folder: the job's result is written."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _result_folder(self) -> Path:
        return (self.folder or Path()) / f"result-{self.training[:16]}"

    def _states(self) -> list[Path]:
        """Folders of states, newest first."""
        if self.folder is None:
            return []
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


def _lock_folder(folder: Path) -> IO[bytes]:
    if folder.is_symlink():
        raise InputError(f"{folder}: a link, in the place of saved states; remove it.")
    for path in make_dir(folder).iterdir():
        if not _OWN_ENTRY.fullmatch(path.name):
            raise InputError(
                f"{path}: no saved state, in a folder that is removed with the states; move it "
                f"away, or choose another run folder."
            )
    busy = (
        f"{folder}: another training saves its state here; wait for it, or choose another "
        f"run folder."
    )
    return take_lock(folder / _LOCK, busy)


@contextlib.contextmanager
def open_state(
    run_dir: Path | None,
    every_s: float | None,
    progress: Progress = NO_PROGRESS,
    *,
    several: bool = False,
) -> Iterator[TrainingState | None]:
    """Opens the saved states of a job; gives None where it saves nothing.

    Args:
        run_dir: the result folder; None in a process that writes none.
        every_s, several: as for `TrainingState`.

    Raises:
        InputError: another program trains into the same folder, or one process of several is to
            save and another is not.
    """
    saves = every_s is not None
    every = _of_every_process(saves)
    if every.any() != every.all():
        raise InputError("--save-every: start every process with it, or none.")
    if not saves and not several:
        yield None
        return
    with TrainingState(run_dir, every_s, progress, several=several) as state:
        yield state


def _in_any_process(flag: bool) -> bool:
    """Whether any process says so; waits for all of them."""
    return bool(_of_every_process(flag).any())


def _of_every_process(flag: bool) -> np.ndarray:
    if not several_processes():
        return np.array([flag])
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(np.array([flag])))


def _from_first(arrays: Arrays | None) -> Arrays | None:
    """Returns what the first process has, in every process.

    Args:
        arrays: by name; of the first process, the others' is not looked at.
    """
    if not several_processes():
        return arrays
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


def save_checkpoint(path: Path, variables: Variables) -> None:
    """Writes `variables` to the folder `path`, atomically, replacing what was there.

    Raises:
        InputError: the place is full or not writable.
    """
    with atomic_path(path) as temporary:
        _write_tree(temporary, variables)


def _write_tree(path: Path, variables: Variables) -> None:
    """Writes a tree of arrays to the new folder `path`.

    Raises:
        OSError: the place is full or not writable.
    """
    import orbax.checkpoint as ocp

    # Orbax's thread logs the traceback of a failed write, which is told in one line.
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    tree = jax.tree.map(np.asarray, dict(variables))
    # TensorStore's threads write on after a failure, into folders that are being removed, so that
    # a full disk is found before they start.
    leaves = jax.tree.leaves(tree)
    with path.open("xb") as file:
        if hasattr(os, "posix_fallocate"):
            size = sum(leaf.nbytes + _FILE_BYTES for leaf in leaves) + _FILE_BYTES
            os.posix_fallocate(file.fileno(), 0, size)
    path.unlink()
    try:
        with checkpointer_alone() as checkpointer:
            checkpointer.save(path.absolute(), args=ocp.args.PyTreeSave(tree))
    except ValueError as error:  # TensorStore's, of a failed write
        shutil.rmtree(path.with_name(f"{path.name}.orbax-checkpoint-tmp"), ignore_errors=True)
        if (code := re.search(r"os_error_code='(\d+)'", str(error))) is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from error
    metadata = json.loads((path / _METADATA).read_text())
    for key in ("init_timestamp_nsecs", "commit_timestamp_nsecs"):
        metadata[key] = 0
    (path / _METADATA).write_text(json.dumps(metadata))


def checkpointer_alone() -> "ocp.Checkpointer":
    """Opens Orbax's reader and writer, which waits for no other process of a training."""
    import orbax.checkpoint as ocp

    alone = ocp.options.MultiprocessingOptions()
    if jax.distributed.is_initialized():
        me = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
        )
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def load_checkpoint(path: Path, student: Student) -> Variables:
    """Reads variables that fit `student`.

    Raises:
        InputError: missing, damaged, or of another student.
    """
    logging.getLogger("absl").setLevel(logging.ERROR)
    if not path.is_dir():
        raise InputError(f"{path}: no such checkpoint; train again.")
    if not holds_plain_files(path):
        raise InputError(f"{path}: holds something other than files; copy the checkpoint again.")
    try:
        with checkpointer_alone() as checkpointer:
            tree = checkpointer.restore(path.absolute())
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: damaged checkpoint ({reason}); train again.") from error
    with jax.enable_x64(False):  # whatever the host program has switched on
        expected = jax.eval_shape(student.init, jax.random.key(0))

    def types(variables: Variables) -> Variables:
        return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), variables)

    if types(tree) != types(dict(expected)):
        raise InputError(
            f"{path}: parameters of another student than the config says; train again."
        )
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)):
        raise InputError(f"{path}: a parameter is not finite; train again.")
    return tree
