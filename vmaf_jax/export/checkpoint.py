"""A student's variables on disk, through Orbax.

Plain files per array (no OCDBT, whose file names are random), time stamps set to zero: the same
variables give the same bytes.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.files import atomic_path, holds_plain_files
from vmaf_jax.models import Student, Variables

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

_METADATA = "_CHECKPOINT_METADATA"


def save_checkpoint(path: Path, variables: Variables) -> None:
    """Writes `variables` to the folder `path`, atomically, replacing what was there."""
    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(logging.ERROR)
    with atomic_path(path) as temporary:
        tree = jax.tree.map(np.asarray, dict(variables))
        with checkpointer_alone() as checkpointer:
            checkpointer.save(temporary.absolute(), args=ocp.args.PyTreeSave(tree))
        metadata = json.loads((temporary / _METADATA).read_text())
        for key in ("init_timestamp_nsecs", "commit_timestamp_nsecs"):
            metadata[key] = 0
        (temporary / _METADATA).write_text(json.dumps(metadata))


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
