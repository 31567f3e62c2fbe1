"""What an accelerator computes is held to the CPU of the same machine."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import gpu
from vmaf_jax.features.frames import clip_features
from vmaf_jax.models import Student
from vmaf_jax.teacher import load_teacher

RNG = np.random.default_rng(0)


def both(compute, *arrays):
    """The results on the accelerator and on the CPU."""
    results = []
    for device in (jax.devices("gpu")[0], jax.devices("cpu")[0]):
        with jax.default_device(device):
            results.append(jax.device_get(compute(*jax.device_put(arrays, device))))
    return results


@pytest.mark.gpu
def test_features_are_those_of_the_cpu():
    reference = RNG.integers(16, 236, (3, 96, 128), np.uint8)
    distorted = np.clip(reference + RNG.normal(0, 8, reference.shape), 0, 255).astype(np.uint8)
    ours, cpu = both(clip_features, reference, distorted)
    # Sums over a frame are taken in another order, in float32.
    np.testing.assert_allclose(ours, cpu, rtol=0, atol=2e-5)


@pytest.mark.gpu
def test_vmaf_is_that_of_the_cpu():
    features = RNG.uniform([0.4, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 20], (1000, 6))
    ours, cpu = both(load_teacher("vmaf_v0.6.1"), features)
    np.testing.assert_allclose(ours, cpu, rtol=0, atol=1e-3)


@pytest.mark.gpu
def test_products_of_a_student_are_not_rounded_to_tf32():
    student = Student("tiny")
    variables = student.init(jax.random.key(0))
    rows = jnp.asarray(RNG.normal(0, 1, (4096, 6)), jnp.float32)
    ours, cpu = both(student.predict, variables, rows)
    # TF32 keeps 10 bits, an error of 1e-3 of the values; float32 in another order 1e-6.
    np.testing.assert_allclose(ours, cpu, rtol=0, atol=2e-5 * np.abs(cpu).max())


@pytest.mark.slow
def test_the_benchmark_of_a_machine_runs_every_stage_at_small_sizes(tmp_path):
    report = gpu.run_stages(tmp_path, 900, small=True)
    assert "failed with" not in json.dumps(report)
    assert "not run" not in json.dumps(report)
    assert "temperature search" in gpu.show_page(report)
