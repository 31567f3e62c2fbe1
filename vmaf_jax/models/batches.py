"""Rows through a jitted function, always as many at a time, so that it compiles once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]


def in_batches(function: Callable[[Rows], Rows], rows: Rows, size: int) -> Rows:
    """`function` over `rows` `[n, d]`, `size` at a time; the last row fills the last batch."""
    padding = -len(rows) % size
    padded = np.concatenate([rows, np.repeat(rows[-1:], padding, axis=0)])
    parts = [function(padded[k : k + size]) for k in range(0, len(padded), size)]
    return np.concatenate(parts)[: len(rows)]
