"""VMAF and VMAF-NEG as a loss in PyTorch: JAX computes scores and gradients, passed by DLPack.

    loss = -vmaf_jax.torch.vmaf(reference, distorted, model="vmaf_v0.6.1neg", clip=False).mean()
    loss.backward()

Tensors are shared, not copied, where they lie in memory that both libraries can use. Needs the
extra `torch`: `pip install 'vmaf-jax[torch]'`.
"""

from collections.abc import Callable
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.extras import name_missing_extra

with name_missing_extra():
    import torch
with name_missing_extra():
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
) -> torch.Tensor:
    """Computes the score of each frame by a VMAF model, a tensor `[frames]` in VMAF points.

    The result is differentiable once, in either tensor. The gradient of a clipped score is 0, so
    train with `clip=False`.

    Args:
        reference, distorted: luma of consecutive frames, tensors `[frames, height, width]` of
            floating or integer type on the scale of `bits` (0-255 for 8).
        model, bits, clip: as for `vmaf_jax.vmaf`.

    Raises:
        InputError: as `vmaf_jax.vmaf`; or an argument is not a tensor, or is on a device that JAX
            does not see.
    """
    for name, tensor in (("reference", reference), ("distorted", distorted)):
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{name}: expected a tensor, not {type(tensor).__name__}.")

    def score(reference: jax.Array, distorted: jax.Array) -> jax.Array:
        return vmaf_of_arrays(reference, distorted, model=model, bits=bits, clip=clip)

    return _JaxFunction.apply(score, reference, distorted)


class _JaxFunction(torch.autograd.Function):
    """A JAX function of two arrays as a differentiable function of two tensors."""

    @staticmethod
    def forward(
        ctx: Any,
        function: Callable[[jax.Array, jax.Array], jax.Array],
        reference: torch.Tensor,
        distorted: torch.Tensor,
    ) -> torch.Tensor:
        first, second = _to_jax(reference), _to_jax(distorted)
        ctx.inputs = (reference, distorted)
        if not any(ctx.needs_input_grad):
            return _to_torch(function(first, second), distorted)
        # JAX differentiates in floating types alone.
        scores, ctx.vjp = jax.vjp(function, _to_float(first), _to_float(second))
        return _to_torch(scores, distorted)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients = ctx.vjp(_to_jax(cotangent))
        needed = ctx.needs_input_grad[1:]
        first, second = (
            _to_torch(gradient, tensor).to(tensor.dtype) if wanted else None
            for gradient, tensor, wanted in zip(gradients, ctx.inputs, needed, strict=True)
        )
        return None, first, second  # the function itself has no gradient


def _to_float(array: jax.Array) -> jax.Array:
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.float32)


def _to_jax(tensor: torch.Tensor) -> jax.Array:
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


def _to_torch(array: jax.Array, like: torch.Tensor) -> torch.Tensor:
    # A copy: PyTorch may write to its tensors, and JAX's arrays never change.
    return torch.from_dlpack(array).clone().to(like.device)
