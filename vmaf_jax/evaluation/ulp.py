"""ULP distance of float32 numbers: how many representable floats lie between them."""

import numpy as np
import numpy.typing as npt


def ordered(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Each float32 as an integer, in the same order; both zeros are 0, neighbours differ by 1."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.int32).astype(np.int64)
    # A negative float's bits count away from the smallest int32.
    return np.where(bits < 0, np.int64(-(2**31)) - bits, bits)


def ulp_distance(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Floats between `a` and `b`, counted over the ordered integers, `[n]`, >= 0."""
    return np.abs(ordered(a) - ordered(b))
