"""The state of a training on disk: saved every so many seconds, found again, never trusted blindly.

Beside the run folder `NAME` stands `NAME.state`, with a folder for each of the last two states:
Orbax's files, and a list of their digests with that of the training they belong to. A state appears
whole or not at all. The folder goes when the run is written.
"""

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np

from vmaf_jax import stopping
from vmaf_jax.errors import InputError
from vmaf_jax.export.checkpoint import save_checkpoint
from vmaf_jax.files import atomic_path, make_dir, write_text
from vmaf_jax.jobs.report import Report
from vmaf_jax.training.pieces import Leaves

_KEPT = 2
_LIST = "digests.json"


class TrainingState:
    """The states of one training; a `Keeper` for the loop, and a lock on the folder.

    Raises:
        InputError: another process trains into the same run folder.
    """

    def __init__(self, run_dir: Path, every_s: float, report: Report) -> None:
        self.folder = run_dir.absolute().with_name(f"{run_dir.absolute().name}.state")
        self.training = ""
        self._every_s, self._report = every_s, report
        self._last = time.monotonic()
        self._lock = self._take_lock()
        stopping.leaves_behind("no result was written; the newest saved state, if any, is kept.")

    def _take_lock(self) -> IO[bytes]:
        lock = (make_dir(self.folder) / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise InputError(
                f"{self.folder}: another training saves its state here; wait for it, or choose "
                f"another run folder."
            ) from error
        return lock

    def of(self, *parts: Any) -> "TrainingState":
        """Names the training: states of another one are not taken up.

        Args:
            parts: everything that its result follows from; trees of arrays, or text.
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
            digest.update(array.tobytes())
        self.training = digest.hexdigest()
        return self

    def restore(self, like: Leaves) -> Leaves | None:
        """The newest sound state of this training; says what it takes up, and what is damaged."""
        stopping.begin_looking()
        self._last = time.monotonic()
        for place in self._states():
            try:
                leaves = self._read(place, like)
            except _UnfitError as damage:
                self._report.say(
                    f"{place}: {damage}; the state before it is taken, if there is one"
                )
                continue
            self._report.say(f"goes on after step {int(place.name)}, from {place}")
            return leaves
        return None

    def due(self) -> bool:
        """Whether the interval is over, or the program is to end."""
        return stopping.requested() or time.monotonic() - self._last >= self._every_s

    def keep(self, state: Leaves, step: int) -> None:
        """Writes a state, drops all but the last two; ends the program if it was told to."""
        with atomic_path(self.folder / f"{step:09d}") as temporary:
            temporary.mkdir()
            save_checkpoint(temporary / "state", {_name(k): leaf for k, leaf in enumerate(state)})
            contents = {"training": self.training, "files": _digests(temporary / "state")}
            write_text(temporary / _LIST, json.dumps(contents, indent=1))
        for place in self._states()[_KEPT:]:
            shutil.rmtree(place, ignore_errors=True)
        self._last = time.monotonic()
        stopping.saved()

    def end(self) -> None:
        """Training is over: a request to end no longer waits for a state."""
        stopping.end_looking()

    def remove(self) -> None:
        """The run is written: its states go."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()
        stopping.leaves_behind("the run folder is written.")

    def _states(self) -> list[Path]:
        """Folders of states, newest first."""
        names = (path for path in self.folder.iterdir() if path.name.isdecimal())
        return sorted(names, reverse=True)

    def _read(self, place: Path, like: Leaves) -> Leaves:
        import orbax.checkpoint as ocp

        try:
            contents = json.loads((place / _LIST).read_text())
            files, training = contents["files"], contents["training"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _UnfitError(f"damaged (no list of digests: {error})") from error
        if training != self.training:
            raise _UnfitError("of another training (its settings, rows or machine differ)")
        if files != _digests(place / "state"):
            raise _UnfitError("damaged (a file differs from its digest)")
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False)) as checkpointer:
            tree = checkpointer.restore(place / "state")
        leaves = [np.array(tree[_name(k)]) for k in range(len(like))]
        if [(a.shape, a.dtype) for a in leaves] != [(a.shape, a.dtype) for a in like]:
            raise _UnfitError("of other shapes")
        return leaves


class _UnfitError(Exception):
    """A state that cannot be taken up, and why."""


def _name(k: int) -> str:
    return f"leaf_{k:04d}"


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file under `folder`, by its path there."""
    files: Iterable[Path] = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
