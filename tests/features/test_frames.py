"""JAX's features against libvmaf's float extractors, and as functions; arrays that are refused."""

import functools
import subprocess

import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vmaf_jax
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.features import chunk_features, clip_features, motion2
from vmaf_jax.features.feature_set import FLOAT_FEATURES, NEG_FEATURES
from vmaf_jax.features.frames import check_samples, to_few_types
from vmaf_jax.teacher import load_teacher
from vmaf_jax.video.inputs import Video

N_FRAMES = 3
# libvmaf logs six decimals; the rest is the order of float32 sums. Measured: 2.3e-6.
LIMIT = 5e-6
GRAIN = "testsrc2=size={w}x{h}:rate=24,noise=alls=12:all_seed=1:allf=t"
NOISE = "color=gray:size={w}x{h}:rate=24,noise=alls=100:all_seed=2:allf=t"


def luma(path, width, height, bits):
    """Frames of a raw 4:2:0 file, as stored."""
    samples = np.fromfile(path, np.uint8 if bits == 8 else "<u2").reshape(-1)
    chroma = 2 * ((width + 1) // 2) * ((height + 1) // 2)
    frames = samples.reshape(-1, width * height + chroma)[:, : width * height]
    return frames.reshape(-1, height, width)


def make_pair(folder, ffmpeg, width, height, pix_fmt, source, harm):
    reference, distorted = folder / "reference.yuv", folder / "distorted.yuv"
    raw = ["-f", "rawvideo", "-pix_fmt", pix_fmt, "-s", f"{width}x{height}"]
    head = [ffmpeg, "-v", "error", "-y"]
    source = source.format(w=width, h=height)
    for line in (
        [*head, "-f", "lavfi", "-i", source, "-frames:v", str(N_FRAMES), *raw, str(reference)],
        [*head, *raw, "-i", str(reference), "-vf", harm, *raw, str(distorted)],
    ):
        subprocess.run(line, check=True)
    return tuple(Video(path, width, height, pix_fmt) for path in (reference, distorted))


@pytest.mark.parametrize(
    ("width", "height", "pix_fmt", "source", "harm"),
    [
        (177, 143, "yuv420p", GRAIN, "gblur=1.2"),
        (178, 98, "yuv420p10le", GRAIN, "gblur=1.2"),
        (130, 90, "yuv420p12le", GRAIN, "gblur=1.2"),
        (176, 144, "yuv420p", GRAIN, "null"),
        (176, 144, "yuv420p", "color=black:size={w}x{h}", "noise=alls=4:all_seed=3"),
        pytest.param(
            176, 144, "yuv420p", "color=white:size={w}x{h}", "null", marks=pytest.mark.slow
        ),
        (176, 144, "yuv420p", NOISE, "gblur=2"),
        pytest.param(96, 80, "yuv420p", GRAIN, "eq=contrast=1.3", marks=pytest.mark.slow),
        (17, 17, "yuv420p", NOISE, "gblur=1"),
        (64, 19, "yuv420p", GRAIN, "gblur=1"),
    ],
    ids=[
        *("odd", "10 bits", "12 bits", "identical", "black", "white", "noise", "contrast"),
        *("smallest", "low"),
    ],
)
def test_libvmaf_float_extractors_agree(tmp_path, ffmpeg, width, height, pix_fmt, source, harm):
    pair = make_pair(tmp_path, ffmpeg, width, height, pix_fmt, source, harm)
    truth = extract_pair(*pair, feature_set=FLOAT_FEATURES, teachers=(), cache=tmp_path / "cache")
    bits = {"yuv420p": 8, "yuv420p10le": 10, "yuv420p12le": 12}[pix_fmt]
    pictures = [luma(video.path, width, height, bits) for video in pair]
    ours = np.asarray(clip_features(*pictures, bits=bits))
    assert ours.shape == (N_FRAMES, 6)
    np.testing.assert_allclose(ours[:, :5], truth.features[:, :5], rtol=0, atol=LIMIT)
    np.testing.assert_allclose(ours[:, 5], truth.features[:, 5], rtol=2e-5, atol=LIMIT)
    if bits > 8:
        scores = vmaf_jax.vmaf(*pictures, bits=bits)
        expected = load_teacher("vmaf_v0.6.1")(truth.features)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-3)


def test_gain_limits_are_those_of_the_neg_models(tmp_path, ffmpeg):
    pair = make_pair(tmp_path, ffmpeg, 176, 144, "yuv420p", GRAIN, "unsharp=5:5:1.5")
    truth = extract_pair(*pair, feature_set=NEG_FEATURES, teachers=(), cache=tmp_path / "cache")
    plain = extract_pair(*pair, teachers=(), cache=tmp_path / "cache")
    pictures = [luma(video.path, 176, 144, 8) for video in pair]
    ours = np.asarray(clip_features(*pictures, gain_limit=1.0))
    assert (plain.features[:, :5] - truth.features[:, :5]).min() > 0.01  # the limit shows
    # The truth is of the integer extractors, which differ by so much from the float ones.
    np.testing.assert_allclose(ours[:, :5], truth.features[:, :5], rtol=0, atol=2e-3)
    neg = vmaf_jax.vmaf(*pictures, model="vmaf_v0.6.1neg")
    assert (np.asarray(neg) < np.asarray(vmaf_jax.vmaf(*pictures)) - 2).all()


def moving(n=7, h=48, w=64, seed=0):
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, 256, (n, h, w), dtype=np.uint8)
    noise = rng.normal(0, 12, reference.shape)
    return reference, np.clip(reference + noise, 0, 255).astype(np.uint8)


chunk = jax.jit(chunk_features, static_argnames="block")


def test_chunks_of_any_size_give_the_same_bits():
    reference, distorted = moving()
    whole = np.asarray(clip_features(reference, distorted))
    for size in (1, 6):  # the tests below run the program of 6
        rows, previous = [], reference[0]
        for k in range(0, len(reference), size):
            part = slice(k, k + size)
            starts = np.arange(len(reference))[part] == 0
            rows.append(chunk(reference[part], distorted[part], previous, starts))
            previous = reference[part][-1]
        joined = np.concatenate(rows)
        joined[:, -1] = motion2(jnp.asarray(joined[:, -1]))
        np.testing.assert_array_equal(joined, whole)


def test_frames_side_by_side_are_the_same_frames():
    reference, distorted = moving(6)
    starts = np.arange(6) == 0
    alone = chunk(reference, distorted, reference[0], starts)
    three = chunk(reference, distorted, reference[0], starts, block=3)
    np.testing.assert_allclose(three, alone, rtol=2e-6, atol=1e-6)


def test_rows_after_the_count_leave_the_others_alone():
    reference, distorted = moving(6)
    starts = np.arange(6) == 0
    some = chunk(reference, distorted, reference[0], starts, count=3)
    every = chunk(reference, distorted, reference[0], starts)
    np.testing.assert_array_equal(some[:3], every[:3])


pictures = arrays.arrays(np.uint8, (2, 24, 20), elements=st.integers(0, 255))


@hypothesis.settings(max_examples=40)
@hypothesis.given(pictures)
def test_identical_pictures_give_one(picture):
    features = np.asarray(clip_features(picture, picture, gain_limit=1.0))
    # Where the reference has less variance than the noise (2), VIF loses 4/255^2 a unit of it.
    np.testing.assert_allclose(features[:, :5], 1, rtol=0, atol=2 * 4 / 255**2 + 2e-6)


@hypothesis.settings(max_examples=40)
@hypothesis.given(pictures, pictures)
def test_features_stay_in_range(reference, distorted):
    features = np.asarray(clip_features(reference, distorted, gain_limit=1.0))
    assert np.isfinite(features).all()
    assert (features >= -1e-6).all()
    assert (features[:, :5] <= 1 + 1e-5).all()  # with no gain counted, nothing beats the reference
    assert (features[:, 5] <= 255).all()


def scenes():
    reference, distorted = (clip.astype(np.float64) for clip in moving(2, 21, 26))
    return {
        "noise": (reference, distorted),
        "identical": (reference, reference),
        "black": (0 * reference, 0 * reference),
        "gain": (0.5 * reference + 60, 0.7 * reference + 40),
        "flat": (np.full_like(reference, 90.0), distorted),
    }


WEIGHTS = np.random.default_rng(1).normal(size=6)


# Compiled quickly rather than well: one program each for values and both gradients.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@functools.partial(jax.jit, static_argnums=2, compiler_options=QUICK)
def value_and_gradients(reference, distorted, gain_limit):
    def total(*pair):
        return (clip_features(*pair, gain_limit=gain_limit) @ WEIGHTS).sum()

    return jax.value_and_grad(total, (0, 1))(reference, distorted)


@pytest.mark.slow  # in float32; the test below holds them in float64
def test_gradients_are_finite_everywhere():
    for name, pair in scenes().items():
        single = (jnp.asarray(picture, jnp.float32) for picture in pair)
        _, (_, gradient) = value_and_gradients(*single, 100.0)
        assert jnp.isfinite(gradient).all()
        assert name in ("identical", "black") or jnp.abs(gradient).max() > 0


def slope(pair, k, direction, gain_limit, step=1e-5):
    """The central difference of the weighted sum as picture `k` moves along `direction`."""
    ends = []
    for sign in (1, -1):
        moved = [picture + sign * step * direction * (j == k) for j, picture in enumerate(pair)]
        ends.append(float(value_and_gradients(*moved, gain_limit)[0]))
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize(
    "gain_limit", [100.0, pytest.param(1.0, marks=pytest.mark.slow)], ids=["plain", "NEG"]
)
def test_gradients_are_right(gain_limit):
    """Against central differences in float64, along random directions, of both pictures."""
    with jax.enable_x64(True):
        for name, k in [("noise", 1), ("gain", 1), ("flat", 1), ("noise", 0), ("gain", 0)]:
            pair = [jnp.asarray(picture) for picture in scenes()[name]]
            direction = np.random.default_rng(2).normal(size=pair[0].shape)
            _, gradients = value_and_gradients(*pair, gain_limit)
            along = float((gradients[k] * direction).sum())
            expected = slope(pair, k, direction, gain_limit)
            assert along == pytest.approx(expected, rel=1e-4, abs=1e-8)
        for pair in scenes().values():
            _, gradients = value_and_gradients(*map(jnp.asarray, pair), gain_limit)
            assert all(jnp.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (((2, 32, 32), (2, 32, 33)), {}, r"shapes \(2, 32, 32\) and \(2, 32, 33\); expected luma"),
        (((32, 32), (32, 32)), {}, r"expected luma of the same \[frames, height, width\]"),
        (((0, 32, 32), (0, 32, 32)), {}, r"expected luma of the same"),
        (((1, 16, 40), (1, 16, 40)), {}, r"pictures of 40x16 are too small; .* at least 17"),
        (((1, 32, 32), (1, 32, 32)), {"bits": 9}, r"bits 9: expected 8, 10 or 12"),
        (((1, 32, 32), (1, 32, 32)), {"gain_limit": 0.5}, r"gain_limit 0.5: expected at least 1"),
    ],
)
def test_bad_luma_is_named(arguments, settings, message):
    with pytest.raises(InputError, match=message):
        clip_features(*(np.zeros(shape, np.uint8) for shape in arguments), **settings)


@pytest.mark.parametrize(
    ("picture", "bits", "message"),
    [
        (np.full((1, 2, 2), 1023, np.uint16), 8, "pass the bits they have"),
        (np.full((1, 2, 2), 300.0), 8, "expected 0 to 255"),
        (np.full((1, 2, 2), 0.5), 8, "multiply by 255"),
    ],
)
def test_samples_of_another_scale_are_refused(picture, bits, message):
    with pytest.raises(InputError, match=message):
        check_samples(bits, luma=picture)


def test_programs_see_few_types():
    assert to_few_types(np.zeros(1, np.uint16)).dtype == np.uint16
    assert to_few_types(np.zeros(1, np.int64)).dtype == np.int32
    assert to_few_types(np.zeros(1, np.float16)).dtype == np.float32
