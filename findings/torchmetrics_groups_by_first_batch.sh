#!/usr/bin/env bash
# SSIM and MS-SSIM in one MetricCollection of torchmetrics, where the first batch holds identical pictures.
#
# Expected: each metric gives what it gives outside of the collection; metrics share their state only where they compute
# it alike (SSIM of two settings, or SSIM and MS-SSIM, do not).
# Seen: torchmetrics 1.9.0 groups metrics by whether their states are equal after the first batch. Of identical pictures
# they are (sums of ones), so both share one state from then on, and SSIM is given as MS-SSIM's figure, without a
# message; the same for SSIM with sigma 1.5 and 0.5. With a first batch that differs, all are right. A test set often
# begins with a lossless rung, or a clip with black frames. `compute_groups=False` keeps them apart.
# Versions: PyPI torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - <<'P'
import sys

import torch
from torchmetrics import MetricCollection
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure as MsSsim
from torchmetrics.image import StructuralSimilarityIndexMeasure as Ssim

torch.manual_seed(0)
reference = torch.rand(2, 1, 192, 192)
noisy = (reference + 0.1 * torch.randn_like(reference)).clip(0, 1)
METRICS = {
    "SSIM": lambda: Ssim(data_range=1.0),
    "SSIM, narrow": lambda: Ssim(data_range=1.0, sigma=0.5),
    "MS-SSIM": lambda: MsSsim(data_range=1.0),
}


def measure(names: list[str], first: torch.Tensor, groups: bool = True) -> dict[str, float]:
    """Returns what a collection of these metrics gives for a first batch, and then the noisy pictures."""
    collection = MetricCollection({name: METRICS[name]() for name in names}, compute_groups=groups)
    for batch in (first, noisy):
        collection.update(batch, reference)
    return {name: round(float(value), 4) for name, value in sorted(collection.compute().items())}


for pair in (["SSIM", "MS-SSIM"], ["SSIM", "SSIM, narrow"]):
    lone = {name: measure([name], reference)[name] for name in sorted(pair)}
    together, apart = measure(pair, reference), measure(pair, reference, groups=False)
    differing = measure(pair, noisy)
    print(f"alone {lone}\ntogether {together}\nfirst batch noisy {differing}")
    if apart != lone or differing != {name: measure([name], noisy)[name] for name in sorted(pair)}:
        sys.exit("the others changed")
    if len(set(lone.values())) != 2 or len(set(together.values())) != 1:
        sys.exit("this changed")
P
