"""Programs of features and their gradients: kept for the next process, compiled without a word."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vmaf_jax
from vmaf_jax.features import AdmSettings, adm, clip_features, vif
from vmaf_jax.teacher import pixels

VIEWS = (AdmSettings(),)

SCRIPT = """
import jax, jax.monitoring, jax.numpy as jnp, numpy as np
hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event.endswith("compilation_cache/cache_hits") else 0
)
jnp.arange(3).sum().block_until_ready()  # JAX settles here that there is no cache
from vmaf_jax.features import clip_features
rng = np.random.default_rng(0)
reference = jnp.asarray(rng.uniform(0, 255, (2, 40, 48)), jnp.float32)
assert jnp.isfinite(clip_features(reference, reference * 0.9)).all()
print(len(hits), jax.config.jax_compilation_cache_dir)
"""


def run_script(**settings):
    """Hits in the cache, its folder, and what was printed on standard error."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # compiled once, run twice
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", SCRIPT],
        env=environment | settings, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    hits, folder = done.stdout.split(maxsplit=1)
    return int(hits), folder.strip(), done.stderr


def test_second_process_finds_the_program_in_the_cache(tmp_path):
    first, second = (run_script(VMAF_JAX_CACHE=str(tmp_path)) for _ in range(2))
    assert first[1:] == second[1:] == (str(tmp_path / "xla"), "")
    assert first[0] == 0 < second[0]


def test_a_cache_of_the_callers_own_is_left_to_him(tmp_path):
    own = str(tmp_path / "own")
    code = (
        "import jax\nfrom vmaf_jax.environment import keep_programs_by_default as keep\n"
        "keep()\nprint(jax.config.jax_compilation_cache_dir)"
    )
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": own, "VMAF_JAX_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == own


def test_a_known_reference_is_searched_for_nan_before_the_program(capfd):
    """XLA would fold the search while compiling, with an alarm at large sizes."""
    reference = np.random.default_rng(0).uniform(0, 255, (3, 32, 40)).astype(np.float32)
    reference[1, 5, 6] = np.nan

    def score(distorted):
        return vmaf_jax.vmaf(reference, distorted, clip=False)

    distorted = np.nan_to_num(reference, nan=7.0)
    assert np.isnan(np.asarray(jax.jit(score)(distorted))).tolist() == [False, True, False]
    text = jax.jit(score).lower(distorted).as_text()
    both = jax.jit(lambda x, y: vmaf_jax.vmaf(x, y, clip=False)).lower(reference, distorted)
    searches = [part.count("tensor<3x32x40xi1>") for part in (text, both.as_text())]
    assert 0 < searches[0] < searches[1]
    assert capfd.readouterr().err == ""


def weigh_vif(ratios):
    return (ratios * jnp.array([1.0, 2.0, -1.0, 0.5])).sum()


@pytest.mark.parametrize(
    ("closed", "plain"),
    [
        (lambda x, y: adm.frame_adm(x, y, 1.0), lambda x, y: adm._plain_adm(x, y, 1.0)),
        pytest.param(
            lambda x, y: adm.frame_adm(x, y, 100.0),
            lambda x, y: adm._plain_adm(x, y, 100.0),
            marks=pytest.mark.slow,
        ),
        (
            lambda x, y: adm.frame_adm3(x, y, VIEWS)[0],
            lambda x, y: adm._plain_adm3(x, y, VIEWS)[0],
        ),
        pytest.param(
            lambda x, y: weigh_vif(vif.frame_vif(x, y, 100.0)),
            lambda x, y: weigh_vif(vif._plain_vif(x, y, 100.0)),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["adm of NEG", "adm", "adm3", "vif"],
)
def test_gradient_of_the_distorted_picture_is_that_of_plain_differentiation(closed, plain):
    """JAX's own derivative of the same formulas, edges of clips and flat parts included."""
    rng = np.random.default_rng(0)
    noisy = rng.integers(0, 256, (35, 42)).astype(np.float32)
    other = np.clip(noisy + rng.normal(0, 5, noisy.shape), 0, 255).round().astype(np.float32)
    ours, theirs = (jax.jit(jax.value_and_grad(function, 1)) for function in (closed, plain))
    flat = np.full_like(noisy, 90)
    for pair in [(noisy, other), (noisy, noisy), (noisy, 0.8 * noisy + 20), (flat, noisy)]:
        (value, gradient), (expected, truth) = ours(*pair), theirs(*pair)
        assert float(value) == pytest.approx(float(expected), rel=2e-6)
        limit = 2e-5 * float(np.abs(truth).max())  # float32 sums in another order
        np.testing.assert_allclose(gradient, truth, rtol=0, atol=limit)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vmaf_v0.6.1", "vmaf_v0.6.1neg"])
def test_gradient_of_scores_is_that_through_the_features(model):
    """The one that is computed with the scores, and the chain of the model's and the features'."""
    rng = np.random.default_rng(0)
    reference = rng.uniform(0, 255, (3, 24, 30)).astype(np.float32)
    distorted = np.clip(reference * 0.9 + rng.normal(8, 9, reference.shape), 0, 255)
    distorted = distorted.astype(np.float32)
    teacher = vmaf_jax.load_teacher(model)
    limit = teacher.feature_set.gain_limit

    def through_features(y):
        rows = clip_features(reference, y, gain_limit=limit)
        return pixels._scores(rows, model=model, clip=False)

    weights = np.array([1, -2, 0.5], np.float32)
    ours, pull = jax.vjp(lambda y: vmaf_jax.vmaf(reference, y, model=model, clip=False), distorted)
    theirs, expected = jax.vjp(through_features, distorted)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4)  # another order of float32 sums
    (gradient,), (truth,) = pull(weights), expected(weights)
    np.testing.assert_allclose(gradient, truth, rtol=0, atol=1e-3 * float(np.abs(truth).max()))
    # Forwards too: the change of each score along a direction.
    direction = rng.normal(0, 1, distorted.shape).astype(np.float32)
    moved, change = jax.jvp(
        lambda y: vmaf_jax.vmaf(reference, y, model=model, clip=False), (distorted,), (direction,)
    )
    # Inside a program of the caller's, XLA fuses with other options than for one of our own.
    np.testing.assert_array_max_ulp(np.asarray(moved), np.asarray(ours), maxulp=1)
    assert float((change * weights).sum()) == pytest.approx(
        float((gradient * direction).sum()), 1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("cambi_gradient", ["stopped", "soft"])
def test_gradient_of_v1_scores_is_that_through_the_features(cambi_gradient):
    """CAMBI is a program of its own there; half of the picture is flat, so that it has a slope."""
    rng = np.random.default_rng(0)
    shapes = [(2, 240, 320), (2, 120, 160), (2, 120, 160)]
    reference = tuple(rng.uniform(60, 200, shape).astype(np.float32) for shape in shapes)
    luma, *chroma = (plane * 0.9 + 9 for plane in reference)
    luma[:, :, :160] = 100 + np.arange(160) // 32
    model = "vmaf_v1.0.16_3d0h"

    def through_features(y):
        rows = vmaf_jax.features.v1_features(
            tuple(4 * plane for plane in reference),
            (4 * y, *(4 * p for p in chroma)),
            bits=10,
            cambi_gradient=cambi_gradient,
        )
        return pixels._scores(rows, model=model, clip=False)

    def score(y):
        return vmaf_jax.vmaf(
            reference, (y, *chroma), model=model, clip=False, cambi_gradient=cambi_gradient
        )

    weights = np.array([1, -2], np.float32)
    (ours, pull), (theirs, expected) = (jax.vjp(f, luma) for f in (score, through_features))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4)
    (gradient,), (truth,) = pull(weights), expected(weights)
    assert np.abs(truth).max() > 0
    np.testing.assert_allclose(gradient, truth, rtol=0, atol=1e-3 * float(np.abs(truth).max()))
