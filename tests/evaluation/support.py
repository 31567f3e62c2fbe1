"""Held-out predictions of a run that never was."""

import numpy as np

from vmaf_jax.evaluation.cross_validation import HeldOut, concatenate


def run(n_sources=6, n_clips=4, n_frames=3, seeds=(0,), noise=1.0, draw=0):
    """Predictions with an error of the source, of the clip and of the row."""
    rng = np.random.default_rng(draw)
    parts = []
    for seed in seeds:
        grid = np.indices((n_sources, n_clips, n_frames)).reshape(3, -1)
        s, c, i = grid
        label = np.random.default_rng(99).uniform(0, 100, (n_sources, n_clips))[s, c]
        error = rng.normal(0, noise, n_sources)[s] + rng.normal(0, noise, len(s))
        source = np.array([f"s{k}" for k in s], object)
        clip = np.array([f"c{k}" for k in c], object)
        numbers = i.astype(np.int32), np.full(len(s), seed, np.int32)
        parts.append(HeldOut(source, clip, *numbers, label, label + error))
    return concatenate(parts)
