"""A pixels model in ONNX Runtime beside JAX and libvmaf's float extractors, on the demo corpus.

    python -m benchmarks.pixels [--repeats 72] [--json]

Each clip is measured by the three, with `vmaf_v0.6.1`: `--repeats` is how many of the 72 clips.
Figures are the largest absolute differences of a frame, by feature, and of its score.
"""

import sys

import numpy as np

from benchmarks.command import run
from vmaf_jax import score
from vmaf_jax.benchmarks.timing import Figures, machine
from vmaf_jax.corpora import demo
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import FEATURES, FLOAT_FEATURES
from vmaf_jax.teacher import DEFAULT_TEACHER, load_teacher


def bench_pixels(repeats: int = 72) -> Figures:
    """Compares features and scores of the graph with those of JAX and libvmaf, frame by frame."""
    clips = demo.load_clips()[:repeats]
    teacher = load_teacher(DEFAULT_TEACHER)
    pixels = [
        score(clip.reference, clip.distorted, DEFAULT_TEACHER, backend="onnx").table.features
        for clip in clips
    ]
    others = {
        "JAX": extract_clips(clips, Request((), FEATURES), backend="jax"),
        "libvmaf, float": extract_clips(clips, Request((), FLOAT_FEATURES)),
    }
    ours = np.concatenate(pixels)
    figures: dict[str, float] = {}
    for name, table in others.items():
        gap = np.abs(ours - table.features).max(axis=0)
        figures |= {f"{name}: {f}": float(g) for f, g in zip(FEATURES, gap, strict=True)}
        apart = np.abs(np.asarray(teacher(ours)) - np.asarray(teacher(table.features)))
        figures[f"{name}: score, points"] = float(apart.max())
    return {"machine": machine(), "clips": len(clips), "frames": len(ours), **figures}


if __name__ == "__main__":
    sys.exit(run(bench_pixels))
