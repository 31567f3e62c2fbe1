"""How timings are taken: everything in turn, so that a busy spell of the machine hits all alike."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from vmaf_jax.environment import processor

_LEVEL = 0.95
_REST_S = 0.002  # in which another runtime's idle threads stop spinning


def sample(
    subjects: Mapping[str, Callable[[], Any]], repeats: int, *, at_least_s: float = 0.0
) -> dict[str, dict[str, float]]:
    """Seconds of one call of each subject: median, and its 95 % interval (from 6 rounds up).

    Every round runs all subjects in another order. A subject's sample is the mean of as many calls
    as take `at_least_s`; each is called before, so that nothing compiles while it is timed.
    """
    calls = {name: _calls(subject, at_least_s) for name, subject in subjects.items()}
    times: dict[str, list[float]] = {name: [] for name in subjects}
    order = list(subjects)
    rng = np.random.default_rng(0)
    for _ in range(repeats):
        for name in rng.permutation(order).tolist():
            time.sleep(_REST_S)
            subject, n = subjects[name], calls[name]
            started = time.perf_counter()
            for _ in range(n):
                subject()
            times[name].append((time.perf_counter() - started) / n)
    return {name: summary(seconds) for name, seconds in times.items()}


def _calls(subject: Callable[[], Any], at_least_s: float) -> int:
    subject()
    started = time.perf_counter()
    subject()
    once = time.perf_counter() - started
    return max(1, round(at_least_s / once))


def summary(times: list[float]) -> dict[str, float]:
    """The median and its distribution-free interval (SciPy's, of order statistics).

    Below 6 times the interval is the whole range, and holds the median less often than 95 %.
    """
    interval = stats.quantile_test(times, p=0.5).confidence_interval(_LEVEL)
    return {
        "median_s": statistics.median(times),
        "low_s": float(np.nanmax([interval.low, min(times)])),
        "high_s": float(np.nanmin([interval.high, max(times)])),
        "repeats": len(times),
    }


def against(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Two summaries as one entry of a report, with the ratio of their medians."""
    return {
        "ours_s": ours["median_s"],
        "theirs_s": theirs["median_s"],
        "ratio": ours["median_s"] / theirs["median_s"],
        "repeats": ours["repeats"],
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {"cores": os.cpu_count(), "processor": processor(), "load": os.getloadavg()[0]}
