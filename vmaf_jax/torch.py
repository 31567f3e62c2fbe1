"""VMAF and VMAF-NEG as a loss in PyTorch: JAX computes scores and gradients, DLPack carries them.

    loss = -vmaf_jax.torch.vmaf(reference, distorted, model="vmaf_v0.6.1neg", clip=False).mean()
    loss.backward()

Tensors are shared between the two, not copied, where they lie in memory that both can use. Extra:
`pip install 'vmaf-jax[torch]'`.
"""

from collections.abc import Callable
from typing import Any

from vmaf_jax.errors import InputError

try:
    import torch
except ImportError as error:
    raise InputError("PyTorch is not installed; pip install 'vmaf-jax[torch]'.") from error

import jax
import jax.numpy as jnp

from vmaf_jax.teacher.pixels import vmaf as vmaf_of_arrays


def vmaf(
    reference: Any,
    distorted: Any,
    *,
    model: str = "vmaf_v0.6.1",
    bits: int = 8,
    clip: bool = True,
) -> Any:
    """A VMAF model's score of each frame, a tensor `[frames]` in VMAF points.

    Differentiable once, in either tensor. Where scores are clipped gradients are 0: train with
    `clip=False`.

    Args:
        reference, distorted: luma of consecutive frames, tensors `[frames, height, width]` of
            floating or integer type on the scale of `bits` (0-255 for 8).
        model, bits, clip: as for `vmaf_jax.vmaf`.

    Raises:
        InputError: as `vmaf_jax.vmaf`; or an argument is no tensor, or one lies on a device that
            JAX does not see.
    """
    for name, tensor in (("reference", reference), ("distorted", distorted)):
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{name}: expected a tensor, not {type(tensor).__name__}.")

    def score(ours: jax.Array, theirs: jax.Array) -> jax.Array:
        return vmaf_of_arrays(ours, theirs, model=model, bits=bits, clip=clip)

    return _Bridge.apply(score, reference, distorted)


class _Bridge(torch.autograd.Function):
    """A JAX function of two arrays as a differentiable function of two tensors."""

    @staticmethod
    def forward(
        ctx: Any, function: Callable[..., jax.Array], reference: Any, distorted: Any
    ) -> Any:
        arrays = [_to_jax(tensor) for tensor in (reference, distorted)]
        ctx.like = (reference, distorted)
        if not any(ctx.needs_input_grad):
            return _to_torch(function(*arrays), distorted)
        floats = [
            a if jnp.issubdtype(a.dtype, jnp.floating) else a.astype(jnp.float32) for a in arrays
        ]
        scores, ctx.pull = jax.vjp(function, *floats)
        return _to_torch(scores, distorted)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangent: Any) -> tuple[Any, ...]:
        gradients = ctx.pull(_to_jax(cotangent))
        wanted = ctx.needs_input_grad[1:]
        return (
            None,
            *(
                _to_torch(gradient, tensor).to(tensor.dtype) if needed else None
                for gradient, tensor, needed in zip(gradients, ctx.like, wanted, strict=True)
            ),
        )


def _to_jax(tensor: Any) -> jax.Array:
    plain = tensor.detach().contiguous()
    if plain.dtype in (torch.float64, torch.bfloat16, torch.float16):
        plain = plain.to(torch.float32)  # JAX computes features in float32
    try:
        return jax.dlpack.from_dlpack(plain)
    except (RuntimeError, BufferError, ValueError) as error:
        raise InputError(
            f"a tensor on {tensor.device}: JAX cannot take it ({str(error).splitlines()[0]}); move "
            f"it to the CPU, or install JAX for that device."
        ) from error


def _to_torch(array: jax.Array, like: Any) -> Any:
    return torch.from_dlpack(array).clone().to(like.device)
