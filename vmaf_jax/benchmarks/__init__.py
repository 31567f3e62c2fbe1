"""Timings of the engine and the functions that users run, beside what they replace."""

from vmaf_jax.benchmarks.timing import Figures
from vmaf_jax.errors import check_choice

NAMES = ("extract", "train", "inference", "features")


def run_benchmark(name: str, repeats: int | None = None) -> Figures:
    """Runs one of `NAMES`.

    Args:
        repeats: Samples of each subject; None takes the benchmark's own number.

    Raises:
        InputError: There is no such benchmark, or something that it needs is missing.
    """
    check_choice(f"bench {name}", name, NAMES)
    # Imports stand here because `train` sets up JAX's devices before anything may import models.
    match name:
        case "extract":
            from vmaf_jax.benchmarks.scoring import bench_extract

            return bench_extract(repeats or 21)
        case "train":
            from vmaf_jax.benchmarks.training import bench_train

            return bench_train(repeats or 3)
        case "inference":
            from vmaf_jax.benchmarks.scoring import bench_inference

            return bench_inference(repeats or 31)
    from vmaf_jax.benchmarks.scoring import bench_features

    return bench_features(repeats or 7)
