"""VMAF as a metric of torchmetrics, with the scores of `vmaf_jax.vmaf`.

    metric = vmaf_jax.torchmetrics.VmafMetric()
    metric.update(distorted, reference)  # clips [batch, frames, 1, height, width]
    metric.compute()

Needs the extra `torch`: `pip install '.[torch]'` in a clone.
"""

from typing import Any

from vmaf_jax.errors import InputError, name_missing_extra
from vmaf_jax.torch import check_reduction, vmaf

with name_missing_extra():
    import torch
    import torchmetrics


class VmafMetric(torchmetrics.Metric):
    """VMAF of luma clips, in VMAF points; higher is better.

    Args:
        model, bits, clip: as for `vmaf_jax.vmaf`.
        reduction: `mean` over all frames, or `none`, which gives `[clips, frames]` as torchmetrics'
            own VMAF does; all clips then have as many frames.
        kwargs: of `torchmetrics.Metric`, e.g. `dist_sync_on_step`.

    Raises:
        InputError: an unknown reduction; of `update`, as `vmaf_jax.torch.vmaf`, or clips of
            another length than before where none are reduced.
    """

    is_differentiable = True  # of `forward`, in both tensors
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 100.0

    total: torch.Tensor
    n_frames: torch.Tensor
    scores: list[torch.Tensor]

    def __init__(
        self,
        model: str = "vmaf_v0.6.1",
        *,
        bits: int = 8,
        clip: bool = True,
        reduction: str = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_reduction(reduction)
        self.model, self.bits, self.clip, self.reduction = model, bits, clip, reduction
        # A MetricCollection updates only one of the metrics whose states have the same names and,
        # after the first batch, the same values, which two models or limits can give.
        settings = f"settings: {model}, bits={bits}, clip={clip}"
        self.add_state(settings, default=torch.zeros(()), dist_reduce_fx="max")
        if reduction == "mean":
            # Float32 would lose hundredths of a point over millions of frames.
            zero = torch.zeros((), dtype=torch.float64)
            self.add_state("total", default=zero, dist_reduce_fx="sum")
            self.add_state(
                "n_frames", default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum"
            )
        else:
            self.add_state("scores", default=[], dist_reduce_fx="cat")

    def update(self, preds: torch.Tensor, target: torch.Tensor) -> None:
        """Adds distorted clips and their references, both `[batch, frames, 1, height, width]`."""
        scores = vmaf(target, preds, model=self.model, bits=self.bits, clip=self.clip)
        scores = scores.reshape(-1, scores.shape[-1])  # of a lone clip too
        if self.reduction == "mean":
            self.total = self.total + scores.double().sum()
            self.n_frames = self.n_frames + scores.numel()
            return
        if self.scores and self.scores[0].shape[-1] != scores.shape[-1]:
            raise InputError(
                f"clips of {scores.shape[-1]} frames after clips of {self.scores[0].shape[-1]}; "
                f"pass reduction='mean', or cut them to one length."
            )
        self.scores.append(scores)

    def compute(self) -> torch.Tensor:
        """Returns the mean score, or the score of each frame."""
        if self.reduction == "mean":
            return (self.total / self.n_frames).float()
        return torchmetrics.utilities.dim_zero_cat(self.scores)
