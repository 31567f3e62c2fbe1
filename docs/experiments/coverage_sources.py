"""What nine sources of eight clips make of a level: the simulation of uncertainty.md.

python -m docs.experiments.coverage_sources

Corpora are simulated whose errors are of one kind, and each source is judged by intervals that were
calibrated on the other eight, as `coverage` does: once with the quantile as it is, one of the
residuals, and once interpolated between two of them. The same two on the demo's clips, for the
shipped models that carry predictions of them.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.conformal import (
    LEVELS,
    N_SHARES,
    ConformalProfile,
    HeldOutPredictions,
    pool_held_out,
)
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.reporting.page import markdown_table

CORPORA, SOURCES, CLIPS = 100, 9, 8
FAR = 0.03  # of the level, within which coverage is to be
MODELS = ("nano", "rbf", "tiny")
HEADER = ("corpora", "quantile", *(f"covered at {level:g}" for level in LEVELS))


def simulated(seed: int) -> HeldOutPredictions:
    """Normal errors, of one size for all scores, half of whose variance a source's clips share."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(SOURCES), CLIPS)
    predicted = rng.uniform(10, 90, len(source))
    error = (rng.normal(0, 1, SOURCES)[source] + rng.normal(0, 1, len(source))) / np.sqrt(2)
    return HeldOutPredictions(source, predicted, predicted + error)


def as_it_is(residuals: HeldOutPredictions) -> ConformalProfile:
    """The quantile is a residual."""
    return residuals.profile


def interpolated(residuals: HeldOutPredictions) -> ConformalProfile:
    """The quantile lies between two residuals, linear in the share of weight that they reach."""
    values = residuals.scaled_residuals()
    order = np.argsort(values)
    reached = np.cumsum(residuals.weight[order]) / residuals.weight.sum()
    quantile = np.interp(np.arange(1, N_SHARES + 1) / N_SHARES, reached, values[order])
    return dataclasses.replace(residuals.profile, quantile=quantile)


QUANTILES = {as_it_is: "as it is", interpolated: "interpolated"}


def covered(
    residuals: HeldOutPredictions, make: Callable[[HeldOutPredictions], ConformalProfile]
) -> npt.NDArray[np.float64]:
    """The share of clips held at each of `LEVELS`, each source by the profile of the others."""
    held = np.zeros((len(LEVELS), len(residuals.label)), bool)
    for source in range(residuals.n_sources):
        rows = residuals.source == source
        profile = make(residuals.without(source))
        for k, level in enumerate(LEVELS):
            low, high = profile.bounds(residuals.predicted[rows], level)
            held[k, rows] = (low <= residuals.label[rows]) & (residuals.label[rows] <= high)
    return held.mean(axis=1)


def simulations() -> list[list[str]]:
    """Over the simulated corpora: mean, standard deviation, and how many are far off."""
    lines = []
    for make, words in QUANTILES.items():
        shares = np.array([covered(simulated(seed), make) for seed in range(CORPORA)])
        far = (np.abs(shares - np.array(LEVELS)) > FAR + 1e-12).sum(0)
        lines += [
            [f"{CORPORA} simulated, mean", words, *(f"{v:.3f}" for v in shares.mean(0))],
            ["standard deviation", words, *(f"{v:.3f}" for v in shares.std(0, ddof=1))],
            [f"more than {100 * FAR:g} points off", words, *map(str, far)],
        ]
    return lines


def of_the_demo(model: str) -> list[list[str]]:
    """A shipped model on the demo's clips."""
    rows = read_held_out(Path("checkpoints") / model / "external_demo.parquet")
    residuals = pool_held_out(rows, {}, "mean")
    assert residuals is not None, f"{model} has no predictions of clips"  # noqa: S101
    return [
        [f"`{model}` on the demo", words, *(f"{v:.3f}" for v in covered(residuals, make))]
        for make, words in QUANTILES.items()
    ]


if __name__ == "__main__":
    lines = simulations()
    lines += [line for model in MODELS for line in of_the_demo(model)]
    print("\n".join(markdown_table(HEADER, lines)))
