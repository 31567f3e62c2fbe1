"""Optional packages: the extra that brings each of them, and the message that names it.

`pip install vmaf-jax` scores, extracts and evaluates; JAX and what trains, exports and plots come
with `vmaf-jax[train]`.
"""

import contextlib
from collections.abc import Iterator

from vmaf_jax.errors import InputError

_EXTRA_OF = {
    **dict.fromkeys(("jax", "flax", "optax", "orbax", "jax2onnx", "matplotlib"), "train"),
    **dict.fromkeys(("mcp", "anyio"), "mcp"),
    "ray": "ray",
    **dict.fromkeys(("torch", "torchmetrics"), "torch"),
}


@contextlib.contextmanager
def name_missing_extra() -> Iterator[None]:
    """Turns the import of a missing optional package into a line that names its extra.

    Raises:
        InputError: A package of an extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRA_OF:
            raise
        raise InputError(
            f"this needs {package}, which is not installed; "
            f"pip install 'vmaf-jax[{_EXTRA_OF[package]}]'."
        ) from error
