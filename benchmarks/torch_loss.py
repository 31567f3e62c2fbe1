"""Forward and backward of a VMAF loss: ours, torchmetrics' VMAF and vmaf-torch, in turn.

    python -m benchmarks.torch_loss [--repeats 3] [--json]

Needs PyTorch, torchmetrics, vmaf-torch and einops in this Python.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks.command import run, run_python
from vmaf_jax.benchmarks.scoring import raw_pair, read_luma
from vmaf_jax.benchmarks.timing import Figures, Timing, machine, summarize

try:
    import torch
    from torchmetrics.functional.video import video_multi_method_assessment_fusion
    from vmaf_torch import VMAF
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is not installed; pip install torch torchmetrics vmaf-torch einops.")

from vmaf_jax.torch import VmafLoss

_CLIPS, _FRAMES, _SIZE = 8, 5, 256
_MODEL = "vmaf_v0.6.1"  # torchmetrics has no other
_REST_S = 0.01  # in which idle threads of another runtime stop spinning
_OURS = "VmafLoss"
_FIRST_CALL = f"""
import sys, time, numpy, torch
from vmaf_jax.torch import VmafLoss
reference, distorted = (torch.from_numpy(clips) for clips in numpy.load(sys.argv[1]))
distorted.requires_grad_()
wall, processor = time.perf_counter(), time.process_time()
VmafLoss({_MODEL!r})(distorted, reference).backward()
print(time.perf_counter() - wall, time.process_time() - processor)
"""


def bench_torch_loss(repeats: int = 3) -> Figures:
    """Times a step on 8 clips of 5 frames 256x256 in seconds, and the first step of a process."""
    with raw_pair(_SIZE, _SIZE) as pair, tempfile.TemporaryDirectory() as folder:
        frames = read_luma(pair, _CLIPS * _FRAMES).astype(np.float32)
        clips = frames.reshape(2, _CLIPS, _FRAMES, 1, _SIZE, _SIZE)
        path = Path(folder) / "clips.npy"
        np.save(path, clips)
        os.environ["VMAF_JAX_CACHE"] = folder
        os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
        first, second = _first_call(path), _first_call(path)
        reference, distorted = (torch.from_numpy(part) for part in clips)
        subjects, scores = _subjects(reference, distorted)
        wall, processor = _time_in_turn(subjects, repeats)
    theirs = [name for name in subjects if name != _OURS]
    return {
        "machine": machine(),
        "versions": {p: metadata.version(p) for p in ("torch", "torchmetrics", "vmaf-torch")},
        "first call of a process": first,
        "first call of the next process": second,
        "wall clock": wall,
        "processor time": processor,
        "times as fast, wall clock": _ratios(wall, theirs),
        "times as fast, processor time": _ratios(processor, theirs),
        "mean score": scores,
    }


def _subjects(
    reference: torch.Tensor, distorted: torch.Tensor
) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """Returns a step of each, and a dictionary into which each writes its mean score."""
    ours, vmaf_torch = VmafLoss(_MODEL), VMAF()
    rgb = [
        (clips / 255).movedim(2, 1).expand(-1, 3, -1, -1, -1) for clips in (reference, distorted)
    ]
    scores: dict[str, float] = {}

    def step(name: str, clips: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor]) -> None:
        moving = clips.clone().requires_grad_()
        mean = score(moving).mean()
        mean.backward()
        scores[name] = float(mean.detach())

    def torchmetrics_score(moving: torch.Tensor) -> torch.Tensor:
        score: torch.Tensor = video_multi_method_assessment_fusion(moving, rgb[0])
        return score

    def flat_score(moving: torch.Tensor) -> torch.Tensor:
        score: torch.Tensor = vmaf_torch(reference.flatten(0, 1), moving.flatten(0, 1))
        return score

    flat = "vmaf-torch, frames of all clips as one clip"  # its fastest way, with another motion
    return {
        _OURS: lambda: step(_OURS, distorted, lambda moving: 100 - ours(moving, reference)),
        "torchmetrics": lambda: step("torchmetrics", rgb[1], torchmetrics_score),
        flat: lambda: step(flat, distorted, flat_score),
    }, scores


def _time_in_turn(
    subjects: Mapping[str, Callable[[], object]], repeats: int
) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Returns wall-clock and processor times; the latter tell more on a machine that is busy."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in subjects}
    subjects[_OURS]()  # compiles; the others have nothing to compile
    for _ in range(repeats):
        for name, subject in subjects.items():
            time.sleep(_REST_S)
            wall, processor = time.perf_counter(), time.process_time()
            subject()
            taken[name].append((time.perf_counter() - wall, time.process_time() - processor))
    walls, processors = (
        {name: summarize([pair[k] for pair in pairs]) for name, pairs in taken.items()}
        for k in (0, 1)
    )
    return walls, processors


def _ratios(times: Mapping[str, Timing], theirs: list[str]) -> dict[str, float]:
    return {name: times[name].median_s / times[_OURS].median_s for name in theirs}


def _first_call(clips: Path) -> Figures:
    """Times the first step of a new process, compiling included."""
    (wall, processor), _ = run_python(_FIRST_CALL, str(clips))
    return {"wall clock, s": wall, "processor time, s": processor}


if __name__ == "__main__":
    sys.exit(run(bench_torch_loss))
