"""Timings taken side by side, and the figures of a benchmark."""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import scipy.stats

from vmaf_jax.environment import processor

_LEVEL = 0.95
_REST_S = 0.002  # in which the idle threads of another runtime stop spinning


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of one call.

    Attributes:
        median_s: Median of the samples.
        low_s, high_s: 95 % interval of the median; with fewer than six samples their whole range,
            which holds the median less often.
        repeats: Number of samples.
    """

    median_s: float
    low_s: float
    high_s: float
    repeats: int


@dataclasses.dataclass(frozen=True)
class Throughput(Timing):
    """Seconds of one call, and rows (or frames) a second at the median."""

    rows_per_s: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Medians of two subjects in seconds, and their ratio, `ours_s / theirs_s`."""

    ours_s: float
    theirs_s: float
    ratio: float
    repeats: int


Figure: TypeAlias = "Timing | Comparison | str | float | int | Sequence[str] | Figures"
Figures: TypeAlias = Mapping[str, Figure]


def sample(
    subjects: Mapping[str, Callable[[], object]], repeats: int, *, at_least_s: float = 0.0
) -> dict[str, Timing]:
    """Times subjects in turn, so that a busy spell of the machine hits all of them alike.

    Every round calls all subjects in another order. Each is called twice before the clock runs, so
    that nothing compiles while it is timed.

    Args:
        at_least_s: Each sample is the mean of as many calls as take so long, in seconds.
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
    return {name: summarize(seconds) for name, seconds in times.items()}


def _calls(subject: Callable[[], object], at_least_s: float) -> int:
    subject()
    started = time.perf_counter()
    subject()
    once = time.perf_counter() - started
    return max(1, round(at_least_s / once))


def summarize(times: Sequence[float]) -> Timing:
    """Computes the median and its distribution-free interval, from SciPy's test of a quantile."""
    interval = scipy.stats.quantile_test(times, p=0.5).confidence_interval(_LEVEL)
    return Timing(
        median_s=statistics.median(times),
        # SciPy gives NaN where too few samples bound the median on that side.
        low_s=float(np.nanmax([interval.low, min(times)])),
        high_s=float(np.nanmin([interval.high, max(times)])),
        repeats=len(times),
    )


def throughput(timing: Timing, rows: int) -> Throughput:
    """Adds the rate of a call that works on `rows` rows or frames."""
    return Throughput(**vars(timing), rows_per_s=rows / timing.median_s)


def compare(ours: Timing, theirs: Timing) -> Comparison:
    """Computes the ratio of two medians."""
    ratio = ours.median_s / theirs.median_s
    return Comparison(ours.median_s, theirs.median_s, ratio, ours.repeats)


def machine() -> dict[str, Figure]:
    """Returns the number of cores, the processor and the load that the figures were taken on."""
    return {"cores": os.cpu_count() or 1, "processor": processor(), "load": os.getloadavg()[0]}


def to_lines(figures: Figures, path: str = "") -> list[str]:
    """Formats every figure as a line for people; nested ones are named `outer, inner`."""
    lines = []
    for key, value in figures.items():
        name = f"{path}, {key}" if path else key
        match value:
            case Comparison():
                ours, theirs = _format_time(value.ours_s), _format_time(value.theirs_s)
                ratio = f"ratio {value.ratio:.3f} (median of {value.repeats})"
                lines.append(f"{name}: {ours} against {theirs}, {ratio}")
            case Timing():
                rate = value.rows_per_s if isinstance(value, Throughput) else None
                shown = "" if rate is None else f", {_format_rate(rate)} a second"
                kind = "95 % interval" if value.repeats >= 6 else "all"
                ends = f"{kind} {_format_time(value.low_s)} to {_format_time(value.high_s)}"
                lines.append(f"{name}: {_format_time(value.median_s)} ({ends}){shown}")
            case Mapping():
                lines += to_lines(value, name)
            case float():
                lines.append(f"{name}: {value:.4g}")
            case str() | bool() | int():
                lines.append(f"{name}: {value}")
            case _:
                lines.append(f"{name}: {' '.join(value)}")
    return lines


def _format_rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _format_time(seconds: float) -> str:
    """Formats a time in seconds, milliseconds or microseconds."""
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
