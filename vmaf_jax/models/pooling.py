"""Poolings by the name that sidecars give them, such as `percentile 90`.

Loads no JAX for the poolings of shipped models, which score where it is not installed.
"""

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError

_LEVELLED = ("percentile", "soft_percentile")
_NAMES = ("mean", "harmonic_mean", "minkowski", *_LEVELLED)
OVER_FRAMES = "attention"  # a network's own pooling, inside its graph


def check_pooling(name: object, where: str) -> str:
    """Returns `name`, the full name of a pooling, with its level where it has one.

    Raises:
        InputError: It is none; the message begins with `where`.
    """
    words = name.split() if isinstance(name, str) else []
    if words and words[0] in _LEVELLED and len(words) == 2 and _is_level(words[1]):
        return str(name)
    if name in _NAMES[:3] or name == OVER_FRAMES:
        return str(name)
    raise InputError(
        f"{where}: pooling {name!r}: expected {', '.join(_NAMES)} (percentiles with their level, "
        f"as 'percentile 90') or {OVER_FRAMES}; export the model again."
    )


def _is_level(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and 0 <= float(text) <= 100


def pool(scores: npt.NDArray[np.float64], name: str) -> float:
    """Returns the score of a clip from its frames' `[t]`, VMAF points, by a pooling's full name."""
    kind, *level = name.split()
    # Those of the shipped models, by NumPy: a light install scores with them too.
    if kind == "mean":
        return float(np.mean(scores))
    if kind == "percentile":
        return float(np.percentile(scores, float(level[0])))
    import jax.numpy as jnp

    from vmaf_jax.models.frame_pooling import POOLINGS

    row = jnp.asarray(scores, jnp.float32)[None]
    pooled = POOLINGS[kind](row, jnp.ones_like(row), float(level[0]) if level else 0.0)
    return float(pooled[0])
