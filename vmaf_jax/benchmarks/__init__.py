"""Timings of the engine and the functions that users run, beside what they replace."""

from vmaf_jax.benchmarks.timing import Figures
from vmaf_jax.errors import InputError, did_you_mean

NAMES = ("extract", "train", "inference", "features")


def run_benchmark(name: str, repeats: int | None = None) -> Figures:
    """Runs one of `NAMES`.

    Args:
        repeats: Samples of each subject; None takes the benchmark's own number.

    Raises:
        InputError: There is no such benchmark, or something that it needs is missing.
    """
    # Imports stand here because `train` sets up JAX's devices before anything may import models.
    match name:
        case "extract":
            from vmaf_jax.benchmarks.extraction import bench_extract

            return bench_extract(repeats or 21)
        case "train":
            from vmaf_jax.benchmarks.training import bench_train

            return bench_train(repeats or 3)
        case "inference":
            from vmaf_jax.benchmarks.inference import bench_inference

            return bench_inference(repeats or 31)
        case "features":
            from vmaf_jax.benchmarks.features import bench_features

            return bench_features(repeats or 7)
    raise InputError(
        f"bench {name}: expected one of {', '.join(NAMES)}.{did_you_mean(name, NAMES)}"
    )
