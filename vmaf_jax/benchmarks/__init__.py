"""Timings of our own parts, taken side by side with what they replace."""

from importlib import import_module
from typing import Any

from vmaf_jax.errors import InputError, did_you_mean

_BENCHMARKS = {
    "extract": ("extraction", "bench_extract"),
    "train": ("training", "bench_train"),
    "inference": ("inference", "bench_inference"),
    "features": ("features", "bench_features"),
    "processes": ("processes", "bench_processes"),
    "v1": ("v1", "bench_v1"),
    "mcp": ("mcp_server", "bench_mcp"),
    "onnxruntime-versions": ("onnxruntime_versions", "bench_versions"),
}


def run_benchmark(name: str, repeats: int | None = None) -> dict[str, Any]:
    """The report of one benchmark; `repeats` by default as many as it needs.

    Raises:
        InputError: there is no such benchmark, or something that it needs is missing.
    """
    if name not in _BENCHMARKS:
        raise InputError(
            f"bench {name}: expected one of {', '.join(_BENCHMARKS)}."
            f"{did_you_mean(name, _BENCHMARKS)}"
        )
    module, function = _BENCHMARKS[name]
    run = getattr(import_module(f"vmaf_jax.benchmarks.{module}"), function)
    return run(**({} if repeats is None else {"repeats": repeats}))
