"""Separable filters over the last two axes, as sums of shifted slices.

A picture is mirrored once, about its edge samples (they are not repeated), and then filtered
without padding: mirroring commutes with filtering, so the samples are those of mirroring before
each pass. XLA on CPU runs a convolution of one channel thirty times slower than these sums.
Source: libvmaf's common/convolution_internal.h (the mirror), vif_tools.c (columns come first).
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import CustomVJPPrimal, SymbolicZero
from jaxtyping import Array, Float, Shaped

Taps = tuple[float, ...]


def smooth(x: Float[Array, "*b h w"], taps: Taps, *, stride: int = 1) -> Float[Array, "*b h2 w2"]:
    """Filters both axes of the mirrored picture, columns first; keeps every `stride`-th sample."""
    x = mirror(x, len(taps) // 2)
    return correlate(correlate(x, taps, -2, stride), taps, -1, stride)


def mirror(x: Float[Array, "*b h w"], radius: int) -> Float[Array, "*b h2 w2"]:
    """Returns pictures with `radius` more samples on each side, mirrored about the edge ones."""
    for axis in (-1, -2):  # rows last: they are copied whole, so the larger copy is the fast one
        n = x.shape[axis]
        head = jax.lax.slice_in_dim(x, 1, radius + 1, axis=axis)
        tail = jax.lax.slice_in_dim(x, n - 1 - radius, n - 1, axis=axis)
        x = jnp.concatenate([jnp.flip(head, axis), x, jnp.flip(tail, axis)], axis)
    return x


def filter_once(
    x: Float[Array, "b h w"], taps: Float[np.ndarray, "taps columns"], *, transposed: bool = False
) -> Float[Array, "b h2 w2"]:
    """Filters both axes, columns first, without mirroring, for results of many uses.

    XLA on CPU computes a value anew for each of its uses where it deems that cheap. The result of
    a loop it computes once, and so the columns, which are one array.

    Args:
        taps: Of each column of the smaller picture, or `[taps, 1]` of all.
        transposed: Apply the transpose, for symmetric taps. Sums are then rounded once, not each
            product: half the work.
    """
    frame = len(taps) - 1 if transposed else 0

    def pad(x: Array, axis: int) -> Array:
        return jnp.pad(x, [(0, 0)] * (x.ndim + axis) + [(frame, frame)] + [(0, 0)] * (-1 - axis))

    def along(x: Array, axis: int) -> Array:
        parts = _shifted(x, len(taps), axis, 1)
        products = [
            jnp.asarray(tap[: part.shape[-1]], x.dtype) * part
            for tap, part in zip(taps, parts, strict=True)
        ]
        return sum(products if transposed else map(rounded, products))  # type: ignore[return-value]

    columns = along(pad(x, -2), -2)
    return jax.lax.map(lambda rows: along(rows, -1), pad(columns, -1))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def correlate(
    x: Float[Array, "*b h w"], taps: Taps, axis: int, stride: int
) -> Float[Array, "*b h2 w2"]:
    """Computes `sum(taps[k] * x[stride * i + k])` along one axis, for all whole windows.

    Its gradient is such a sum too; JAX's own would be as many padded pictures as there are taps.
    """
    return sum(  # type: ignore[return-value]
        rounded(tap * part)
        for tap, part in zip(taps, _shifted(x, len(taps), axis, stride), strict=True)
    )


def rounded(product: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Returns `product` as its type rounds it, whatever it is added to.

    XLA fuses a product with the sum that it goes into, which is nearer the truth and not what
    libvmaf computes. Local variances are small differences, and the side of a threshold on which
    they fall shows. XLA leaves a product with two uses alone; the comparison is the second use.
    """
    return jnp.where(product == product, product, 0)


def _shifted(x: Float[Array, "*b h w"], n: int, axis: int, stride: int) -> list[Array]:
    span = x.shape[axis] - n + 1
    return [jax.lax.slice_in_dim(x, k, k + span, stride=stride, axis=axis) for k in range(n)]


def _correlate_forward(
    x: Float[Array, "*b h w"], taps: Taps, axis: int, stride: int
) -> tuple[Float[Array, "*b h2 w2"], int]:
    return correlate(x, taps, axis, stride), x.shape[axis]


def _correlate_backward(
    taps: Taps, axis: int, stride: int, length: int, gradient: Float[Array, "*b h2 w2"]
) -> tuple[Float[Array, "*b h w"]]:
    """Returns the gradient: each `stride`-th sample of the input saw every `stride`-th tap."""
    reach = math.ceil(len(taps) / stride)
    taps = taps + (0.0,) * (reach * stride - len(taps))
    shape = list(gradient.shape)
    shape[axis] = reach - 1
    zeros = jnp.zeros(shape, gradient.dtype)
    framed = jnp.concatenate([zeros, gradient, zeros], axis)
    parts = [_fused(framed, taps[k::stride][::-1], axis) for k in range(stride)]
    if stride > 1:
        shape[axis] = stride * parts[0].shape[axis]
        inputs = jnp.stack(parts, gradient.ndim + axis + 1).reshape(shape)
    else:
        (inputs,) = parts
    missing = length - inputs.shape[axis]
    if missing > 0:
        shape[axis] = missing
        return (jnp.concatenate([inputs, jnp.zeros(shape, gradient.dtype)], axis),)
    return (jax.lax.slice_in_dim(inputs, 0, length, axis=axis),)


def _fused(x: Float[Array, "*b h w"], taps: Taps, axis: int) -> Float[Array, "*b h2 w2"]:
    """Computes `correlate` with stride 1 in half the time: its sums are rounded once."""
    shifted = _shifted(x, len(taps), axis, 1)
    return sum(tap * part for tap, part in zip(taps, shifted, strict=True))  # type: ignore[return-value]


correlate.defvjp(_correlate_forward, _correlate_backward)


def differentiate_distorted(
    function: Callable[..., Array],
    value_and_saved: Callable[..., tuple[Array, Any]],
    pull: Callable[[Any, Any, Array], Array],
) -> Callable[..., Array]:
    """Returns `function(reference, distorted, setting)` with a gradient in closed form.

    JAX's own derivative of a feature saves some 200 maps a frame, and takes several times as long
    to compile. It stays in force where the reference has a gradient too.

    Args:
        value_and_saved: Returns the value of the same arguments, and what `pull` takes.
        pull: From the setting, that and the value's gradient, returns the one of `distorted`.
    """

    def forward(reference: CustomVJPPrimal, distorted: CustomVJPPrimal, setting: Any) -> Any:
        pair = reference.value, distorted.value
        if not reference.perturbed:
            value, saved = value_and_saved(*pair, setting)
            return value, (saved, None)
        value, pull_both = jax.vjp(lambda x, y: function(x, y, setting), *pair)
        return value, (None, pull_both)

    def backward(setting: Any, saved: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
        closed, pull_both = saved
        if isinstance(gradient, SymbolicZero):
            return None, None
        if pull_both is not None:
            return tuple(pull_both(gradient))
        return None, pull(setting, closed, gradient)

    differentiable = jax.custom_vjp(function, nondiff_argnums=(2,))
    differentiable.defvjp(forward, backward, symbolic_zeros=True)
    return differentiable


def unstack(x: Float[Array, "b h w"]) -> list[Float[Array, "h w"]]:
    """Returns the pictures of a stack; its gradient is one concatenation, of indexing a sum."""
    return [part[0] for part in jnp.split(x, len(x))]


def join_columns(pictures: Sequence[Shaped[Array, "*b _ _"]]) -> Shaped[Array, "*b h w"]:
    """Returns pictures side by side, with zeros below the lower ones."""
    height = max(picture.shape[-2] for picture in pictures)
    none = [(0, 0)] * (pictures[0].ndim - 2)
    filled = [jnp.pad(p, [*none, (0, height - p.shape[-2]), (0, 0)]) for p in pictures]
    return jnp.concatenate(filled, -1)


def split_columns(x: Shaped[Array, "*b w"], widths: Sequence[int]) -> list[Shaped[Array, "*b _"]]:
    """Returns the parts of so many columns."""
    return jnp.split(x, np.cumsum(widths)[:-1].tolist(), -1)
