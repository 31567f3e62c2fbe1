"""VMAF and VMAF-NEG as a loss in PyTorch: JAX computes scores and gradients, passed by DLPack.

    criterion = vmaf_jax.torch.VmafLoss(crop=(256, 256))
    criterion(distorted, reference).backward()  # clips [batch, frames, 1, height, width]

Tensors are shared, not copied, where they lie in memory that both libraries can use. Needs the
extra `torch`: `pip install '.[torch]'` in a clone. `vmaf_jax.torchmetrics` has the metric.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from vmaf_jax.errors import InputError, name_missing_extra

with name_missing_extra():
    import torch
with name_missing_extra():
    import jax
    import jax.numpy as jnp

    from vmaf_jax.teacher.pixels import luma_scores_and_slopes
    from vmaf_jax.teacher.pixels import vmaf as vmaf_of_arrays

_REDUCTIONS = ("mean", "none")


def vmaf(
    reference: torch.Tensor,
    distorted: torch.Tensor,
    *,
    model: str = "vmaf_v0.6.1",
    bits: int = 8,
    clip: bool = True,
) -> torch.Tensor:
    """Computes the score of each frame by a VMAF model, in VMAF points.

    The result is differentiable once, in either tensor. The gradient of a clipped score is 0, so
    train with `clip=False`.

    Args:
        reference, distorted: luma on the scale of `bits` (0-255 for 8), tensors of floating or
            integer type: consecutive frames `[frames, height, width]`, or clips
            `[batch, frames, 1, height, width]`, which are measured one by one.
        model, bits, clip: as for `vmaf_jax.vmaf`.

    Returns:
        A float32 tensor `[frames]`, or `[batch, frames]`.

    Raises:
        InputError: as `vmaf_jax.vmaf`; or an argument is not a tensor, has another shape, or is on
            a device that JAX does not see.
    """
    for name, tensor in (("reference", reference), ("distorted", distorted)):
        if not isinstance(tensor, torch.Tensor):
            raise InputError(f"{name}: expected a tensor, not {type(tensor).__name__}.")
    score = functools.partial(vmaf_of_arrays, model=model, bits=bits, clip=clip)
    slopes = functools.partial(luma_scores_and_slopes, model=model, bits=bits, clip=clip)
    if reference.ndim == 3:
        return _Scores.apply(score, slopes, reference[None], distorted[None])[0]
    _check_clips(reference, distorted)
    return _Scores.apply(score, slopes, reference[:, :, 0], distorted[:, :, 0])


class VmafLoss(torch.nn.Module):
    """The distance of the score from 100, in VMAF points, of clips `[batch, frames, 1, h, w]`.

    Scores are not clipped, so that the gradient lasts beyond 100, where the loss is negative.

    Args:
        model: as for `vmaf_jax.vmaf`; NEG by default, as plain VMAF rewards sharpening.
        bits: 8, 10 or 12; samples are on that scale (0-255 for 8).
        crop: height and width of a part of each clip that is measured instead of the whole; the
            same in all of its frames, drawn anew for each clip by PyTorch's generator, and the
            middle after `eval()`. None measures whole pictures.
        reduction: `mean` over frames and clips, or `none`, which gives `[batch, frames]`.

    Raises:
        InputError: an unknown reduction; when called, as `vmaf`, or a crop larger than the picture.
    """

    def __init__(
        self,
        model: str = "vmaf_v0.6.1neg",
        *,
        bits: int = 8,
        crop: tuple[int, int] | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        self.model, self.bits, self.crop, self.reduction = model, bits, crop, reduction

    def forward(self, distorted: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Computes the loss; `distorted` and `reference` in the order of PyTorch's own losses."""
        if self.crop is not None:
            _check_clips(reference, distorted)
            distorted, reference = self._cut(distorted, reference, self.crop)
        scores = vmaf(reference, distorted, model=self.model, bits=self.bits, clip=False)
        loss = 100 - scores
        return loss.mean() if self.reduction == "mean" else loss

    def _cut(
        self, distorted: torch.Tensor, reference: torch.Tensor, crop: tuple[int, int]
    ) -> list[torch.Tensor]:
        """Returns both cut to the same place, another one for each clip while training."""
        spare = [n - size for n, size in zip(distorted.shape[-2:], crop, strict=True)]
        if min(*spare, *crop) < 0:
            height, width = distorted.shape[-2:]
            raise InputError(
                f"crop {crop[1]}x{crop[0]}: expected a part of the pictures of {width}x{height}."
            )
        corners = [
            [int(torch.randint(n + 1, ())) if self.training else n // 2 for n in spare]
            for _ in distorted
        ]
        return [
            torch.stack(
                [
                    clip[..., top : top + crop[0], left : left + crop[1]]
                    for clip, (top, left) in zip(clips, corners, strict=True)
                ]
            )
            for clips in (distorted, reference)
        ]


def check_reduction(reduction: str) -> None:
    """Raises InputError unless `reduction` is known."""
    if reduction not in _REDUCTIONS:
        raise InputError(f"reduction {reduction!r}: expected {' or '.join(_REDUCTIONS)}.")


def _check_clips(reference: torch.Tensor, distorted: torch.Tensor) -> None:
    if reference.shape != distorted.shape or reference.ndim != 5 or reference.shape[2] != 1:
        raise InputError(
            f"reference and distorted have shapes {list(reference.shape)} and "
            f"{list(distorted.shape)}; expected luma of the same [batch, frames, 1, height, width]."
        )
    if not len(reference):
        raise InputError("reference and distorted hold no clip; pass at least one.")


class _Scores(torch.autograd.Function):
    """Scores of clips by JAX as a differentiable function of batches of tensors."""

    @staticmethod
    def forward(
        ctx: Any,
        score: Callable[[jax.Array, jax.Array], jax.Array],
        scores_and_slopes: Callable[..., list[tuple[jax.Array, jax.Array]]],
        reference: torch.Tensor,
        distorted: torch.Tensor,
    ) -> torch.Tensor:
        first, second = _to_jax(reference), _to_jax(distorted)
        needed = ctx.needs_input_grad[2:]
        if not any(needed):
            return _to_torch(list(map(score, first, second)), distorted)
        # JAX differentiates in floating types alone.
        first, second = ([_to_float(clip) for clip in clips] for clips in (first, second))
        ctx.inputs = (reference, distorted)
        if needed[0]:
            results = [
                _differentiate(score, x, y, both=needed[1])
                for x, y in zip(first, second, strict=True)
            ]
            scores, ctx.pulls = zip(*results, strict=True)
        else:
            scores, ctx.slopes = zip(*scores_and_slopes(first, second), strict=True)
        return _to_torch(scores, distorted)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        _, distorted = ctx.inputs
        if not ctx.needs_input_grad[2]:
            slopes = _to_torch(ctx.slopes, distorted)
            return None, None, None, slopes.mul_(cotangent[..., None, None]).to(distorted.dtype)
        pulled = [pull(part) for pull, part in zip(ctx.pulls, _to_jax(cotangent), strict=True)]
        gradients = [
            _to_torch(parts, tensor).to(tensor.dtype)
            for parts, tensor in zip(zip(*pulled, strict=True), ctx.inputs, strict=False)
        ]
        # The functions themselves have no gradient.
        return None, None, gradients[0], gradients[1] if ctx.needs_input_grad[3] else None


def _differentiate(
    score: Callable[[jax.Array, jax.Array], jax.Array],
    reference: jax.Array,
    distorted: jax.Array,
    *,
    both: bool,
) -> tuple[jax.Array, Callable[[jax.Array], tuple[jax.Array, ...]]]:
    """Returns scores, and what maps their cotangent to the reference's gradient, or to both."""
    if both:
        return jax.vjp(score, reference, distorted)
    return jax.vjp(lambda x: score(x, distorted), reference)


def _to_float(array: jax.Array) -> jax.Array:
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.float32)


def _to_jax(batch: torch.Tensor) -> list[jax.Array]:
    """Returns an array for each item of a batch."""
    plain = batch.detach()
    if plain.dtype in (torch.float64, torch.bfloat16, torch.float16):
        plain = plain.to(torch.float32)  # JAX computes features in float32
    try:
        return [jax.dlpack.from_dlpack(part.contiguous()) for part in plain]
    except (RuntimeError, BufferError, ValueError) as error:
        raise InputError(
            f"a tensor on {batch.device}: JAX cannot take it ({str(error).splitlines()[0]}); move "
            f"it to the CPU, or install JAX for that device."
        ) from error


def _to_torch(arrays: Sequence[jax.Array], like: torch.Tensor) -> torch.Tensor:
    """Returns arrays as one batch: a copy, since PyTorch may write to it and JAX's never change."""
    return torch.stack([torch.from_dlpack(array) for array in arrays]).to(like.device)
