"""Checks of luma and chroma samples before anything is computed from them.

Values that no decoder gives (floats on 0-1, 10-bit samples said to be 8) would give a score all the
same, and a wrong one.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

from vmaf_jax.errors import InputError

_SLACK = 1.0  # steps beyond the range, which filters and optimisers overshoot by


def check_samples(bits: int, **pictures: Any) -> None:
    """Checks type and range of each of `pictures`; of traced ones, the type alone.

    Raises:
        TypeError: not an array of integers or floats; names the argument.
        InputError: values outside the range of `bits`, or on 0-1; integers of another depth.
    """
    for name, picture in pictures.items():
        if not hasattr(picture, "dtype") or not hasattr(picture, "shape"):
            raise TypeError(f"{name}: expected an array, received {type(picture).__name__}")
        is_float = jnp.issubdtype(picture.dtype, jnp.floating)
        if not is_float and not jnp.issubdtype(picture.dtype, jnp.integer):
            raise TypeError(f"{name}: expected integers or floats, received {picture.dtype}")
        if bits not in (8, 10, 12):
            raise InputError(f"bits {bits}: expected 8, 10 or 12.")
        said = {1: bits == 8, 2: bits > 8 or picture.dtype != jnp.uint16}  # by bytes a sample
        if not is_float and not said.get(picture.dtype.itemsize, True):
            raise InputError(
                f"{name}: {picture.dtype} samples with bits={bits}; pass the bits they have."
            )
        if not isinstance(picture, jax.core.Tracer) and picture.size:
            with jax.ensure_compile_time_eval():  # a known picture inside somebody's jit
                _check_range(name, picture, bits, is_float=is_float)


def to_few_types(picture: Shaped[Array | np.ndarray, "..."]) -> Shaped[Array | np.ndarray, "..."]:
    """Converts samples to one of few types, since a program is compiled for each.

    `uint8` and `uint16`, the decoders' own, stay; other integers become `int32`, half precision
    `float32`.
    """
    if jnp.issubdtype(picture.dtype, jnp.floating):
        kind = jnp.promote_types(picture.dtype, jnp.float32)
    else:
        kind = picture.dtype if picture.dtype in (jnp.uint8, jnp.uint16) else jnp.int32
    return picture if picture.dtype == kind else picture.astype(kind)


class Clip(NamedTuple):
    """A pair of clips that can be measured.

    Attributes:
        reference, distorted: Luma `[t, h, w]`, or planes of it, of types of `to_few_types`.
        nan: Which frames of each plane of both hold a NaN, where that is known before the program.
    """

    reference: Any
    distorted: Any
    nan: tuple[Bool[Array | np.ndarray, " t"] | None, ...]


def make_clip(reference: Any, distorted: Any) -> Clip:
    """Returns a clip of pictures, or of tuples of planes, that were checked."""
    planes = jax.tree.leaves((reference, distorted))
    return Clip(reference, distorted, tuple(find_nan_frames(plane, *planes) for plane in planes))


def nan_frames(clip: Clip) -> Bool[Array, " t"]:
    """Returns which frames hold a NaN in any plane: the features' limits would hide it."""
    planes = jax.tree.leaves(clip[:2])
    found = jnp.zeros(len(planes[0]), bool)
    for plane, known in zip(planes, clip.nan, strict=True):
        if jnp.issubdtype(plane.dtype, jnp.floating):
            found |= jnp.isnan(plane).any((1, 2)) if known is None else known
    return found


def find_nan_frames(picture: Any, *others: Any) -> Any:
    """Returns which frames of floats `[t, h, w]` hold a NaN, where that is known; else None.

    A known picture of a program that is traced for `others` is a constant of it. XLA would look
    for its NaN while it compiles, slowly and with a warning.
    """
    if not jnp.issubdtype(picture.dtype, jnp.floating) or isinstance(picture, jax.core.Tracer):
        return None
    if not any(isinstance(other, jax.core.Tracer) for other in others):
        return None
    return np.isnan(np.asarray(picture)).any((1, 2))


def _check_range(name: str, picture: Any, bits: int, *, is_float: bool) -> None:
    on_cpu = isinstance(picture, jax.Array) and {d.platform for d in picture.devices()} == {"cpu"}
    if on_cpu and picture.dtype != jnp.bfloat16:  # in which NumPy would warn of a NaN
        picture = np.asarray(picture)  # not copied, and searched sooner than by JAX
    library: Any = np if isinstance(picture, np.ndarray) else jnp
    low, high = float(library.min(picture)), float(library.max(picture))
    if np.isnan(low):  # scores of those frames are NaN; the others must be possible
        low, high = float(library.nanmin(picture)), float(library.nanmax(picture))
    most = 2**bits - 1
    if low < -_SLACK or high > most + _SLACK:
        raise InputError(
            f"{name}: values from {low:g} to {high:g}, expected 0 to {most} with bits={bits}."
        )
    if is_float and 0 < high <= 1 and not bool(library.isin(picture, np.array([0, 1])).all()):
        raise InputError(
            f"{name}: values from {low:g} to {high:g} look like a scale of 0-1; multiply by {most}."
        )
