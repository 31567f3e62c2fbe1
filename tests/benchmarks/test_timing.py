import math

import numpy as np
import pytest

from vmaf_jax.benchmarks import run_benchmark
from vmaf_jax.benchmarks.timing import (
    compare,
    sample,
    summarize,
    throughput,
    to_lines,
)
from vmaf_jax.errors import InputError


def test_intervals_hold_the_median_as_often_as_they_say():
    draws = np.random.default_rng(0).exponential(size=(600, 31))
    timings = [summarize(draw.tolist()) for draw in draws]
    held = np.mean([timing.low_s <= math.log(2) <= timing.high_s for timing in timings])
    assert 0.93 <= held <= 0.99


def test_every_subject_is_called_alike():
    calls = {"a": 0, "b": 0}

    def subject(name):
        calls[name] += 1

    times = sample({name: lambda name=name: subject(name) for name in calls}, 5)
    assert calls["a"] == calls["b"] == 2 + 5  # twice before the clock runs
    assert set(times) == {"a", "b"}


def test_figures_become_lines():
    first, second = summarize([0.5, 1.0, 1.5]), summarize([2.0] * 7)
    figures = {
        "a": throughput(first, 30),
        "b": {"c": second, "d": compare(first, second), "e": 0.123456, "f": ["x", "y"]},
        "cores": 2,
        "fused": False,
    }
    assert to_lines(figures) == [
        "a: 1 s (all 500 ms to 1.5 s), 30 a second",
        "b, c: 2 s (95 % interval 2 s to 2 s)",
        "b, d: 1 s against 2 s, ratio 0.500 (median of 3)",
        "b, e: 0.1235",
        "b, f: x y",
        "cores: 2",
        "fused: False",
    ]


def test_unknown_benchmarks_are_named():
    with pytest.raises(InputError, match=r"bench nap: expected one of extract, train, inference"):
        run_benchmark("nap")
