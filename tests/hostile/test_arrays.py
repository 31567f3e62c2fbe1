"""Arrays that are not luma on the scale that they are said to be on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vmaf_jax
from vmaf_jax.errors import InputError
from vmaf_jax.features import clip_features

SIZE = (2, 24, 24)


def luma(low=16, high=235, kind=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(low, high, SIZE).astype(kind)


def with_one(value, kind=np.float32):
    picture = luma(kind=kind)
    picture[0, 3, 3] = value
    return picture


REFUSED: dict[str, tuple[Any, ...]] = {
    "floats on 0-1": (luma().astype(np.float32) / 255, {}, InputError, "scale of 0-1"),
    "doubles on 0-1": (luma().astype(np.float64) / 255, {}, InputError, "scale of 0-1"),
    "halves on 0-1": (luma().astype(np.float16) / 255, {}, InputError, "scale of 0-1"),
    "10-bit floats said to be 8": (luma(high=1023, kind=np.float32), {}, InputError, "0 to 255"),
    "10 bits in uint16 without bits": (luma(high=1023, kind=np.uint16), {}, InputError, "uint16"),
    "8 bits in uint16": (luma(kind=np.uint16), {}, InputError, "uint16 samples with bits=8"),
    "uint8 said to be 10": (luma(), {"bits": 10}, InputError, "uint8 samples with bits=10"),
    "uint8 said to be 12": (luma(), {"bits": 12}, InputError, "uint8 samples with bits=12"),
    "12 bits said to be 10": (luma(high=4095, kind=np.uint16), {"bits": 10}, InputError, "1023"),
    "16 bits said to be 12": (luma(high=65535, kind=np.uint16), {"bits": 12}, InputError, "4095"),
    "int32 beyond": (luma(high=1023, kind=np.int32), {}, InputError, "0 to 255"),
    "negative int16": (luma(low=-99, high=99, kind=np.int16), {}, InputError, "0 to 255"),
    "centred floats": (luma(kind=np.float32) - 128, {}, InputError, "0 to 255"),
    "infinite": (with_one(np.inf), {}, InputError, "0 to 255"),
    "minus infinite": (with_one(-np.inf), {}, InputError, "0 to 255"),
    "huge": (with_one(1e30), {}, InputError, "0 to 255"),
    "bits 9": (luma(), {"bits": 9}, InputError, "bits 9"),
    "bits 0": (luma(), {"bits": 0}, InputError, "bits 0"),
    "bits 16": (luma(kind=np.uint16), {"bits": 16}, InputError, "bits 16"),
    "truths": (luma() > 99, {}, TypeError, "reference: expected integers or floats"),
    "complex": (luma().astype(np.complex64), {}, TypeError, "received complex64"),
    "a list": ([[[1]]], {}, TypeError, "reference: expected an array, received list"),
    "None": (None, {}, TypeError, "received NoneType"),
    "a path": ("ref.y4m", {}, (TypeError, InputError), "received str|ref.y4m: no such file"),
    "text": (np.full(SIZE, "a"), {}, TypeError, "expected integers or floats"),
    "one frame without its axis": (luma()[0], {}, InputError, "shapes"),
    "no frame": (luma()[:0], {}, InputError, "shapes"),
    "colour last": (np.zeros((*SIZE, 3), np.uint8), {}, InputError, "shapes"),
    "16 pixels": (luma()[:, :16, :16], {}, InputError, "too small"),
}


@pytest.mark.parametrize("function", [vmaf_jax.vmaf, clip_features], ids=["vmaf", "clip_features"])
@pytest.mark.parametrize("case", REFUSED)
def test_impossible_samples_are_refused(case, function):
    picture, settings, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        function(picture, picture, **settings)


@pytest.mark.parametrize("model", [5, None, "nope", "vmaf_v1.0.16_3d0h"])
def test_a_model_that_is_none_is_refused(model):
    with pytest.raises((InputError, TypeError)):
        vmaf_jax.vmaf(luma(), luma(), model=model)


@pytest.mark.parametrize("kind", [np.float16, jnp.bfloat16, np.float64, np.int32, np.int16])
def test_other_types_of_the_same_values_score_alike(kind):
    reference, distorted = luma(), np.clip(luma().astype(int) + 9, 0, 255).astype(np.uint8)
    expected = np.asarray(vmaf_jax.vmaf(reference, distorted))
    ours = vmaf_jax.vmaf(reference.astype(kind), distorted.astype(kind))
    np.testing.assert_allclose(np.asarray(ours, np.float64), expected, atol=1e-3)


@pytest.mark.parametrize("side", [0, 1])
def test_nan_gives_nan_where_it_is(side):
    pictures = [luma(kind=np.float32), luma(kind=np.float32, seed=1)]
    expected = np.asarray(clip_features(*pictures))
    pictures[side][1, 5, 5] = np.nan
    rows = np.asarray(clip_features(*pictures))
    assert np.isnan(rows[1]).all()
    np.testing.assert_array_equal(rows[0, :5], expected[0, :5])
    assert np.isnan(np.asarray(vmaf_jax.vmaf(*pictures))[1])


def test_black_and_white_are_luma():
    for value in (0, 1, 255):
        flat = np.full(SIZE, value, np.float32)
        assert np.isfinite(np.asarray(vmaf_jax.vmaf(flat, flat))).all()


def test_gradients_pass_through_the_checks():
    picture = jnp.asarray(luma(), jnp.float32)

    @jax.grad
    def slope(distorted):
        return vmaf_jax.vmaf(picture, distorted, clip=False).sum()

    assert jax.eval_shape(slope, picture).shape == SIZE  # traced; their values: tests/features


WRONG = {
    "score of a number": lambda: vmaf_jax.score(5, 6),
    "score of None": lambda: vmaf_jax.score(None, None),
    "score of floats": lambda: vmaf_jax.score(luma() / 255, luma() / 255),
    "score of lists": lambda: vmaf_jax.score([[[1]]], [[[1]]]),
    "vmaf of a path and an array": lambda: vmaf_jax.vmaf("ref.y4m", luma()),
    "extract of a number": lambda: vmaf_jax.extract_pair(5, 6),
    "extract of bytes": lambda: vmaf_jax.extract_pair(b"a", b"b"),
    "a path with NUL": lambda: vmaf_jax.extract_pair("a\0b", "c"),
    "an unknown scale": lambda: vmaf_jax.extract_pair("a", "b", scale="zoom"),
    "an unknown fps": lambda: vmaf_jax.extract_pair("a", "b", fps="25"),
    "an unknown sync": lambda: vmaf_jax.extract_pair("a", "b", sync="yes"),
    "a fractional offset": lambda: vmaf_jax.extract_pair("a", "b", offset=1.5),
    "a true offset": lambda: vmaf_jax.extract_pair("a", "b", offset=True),
    "a huge offset": lambda: vmaf_jax.extract_pair("a", "b", offset=10**9),
    "sync and offset": lambda: vmaf_jax.extract_pair("a", "b", sync="auto", offset=3),
    "an unknown option": lambda: vmaf_jax.extract_pair("a", "b", **{"rotate": 90}),
    "an unknown backend": lambda: vmaf_jax.extract_pair("a", "b", backend="gpu"),
    "a model of a number": lambda: vmaf_jax.load_model(5),
    "a model of None": lambda: vmaf_jax.load_model(None),
    "a model with NUL": lambda: vmaf_jax.load_model("a\0b"),
    "a very long model": lambda: vmaf_jax.load_model("x" * 5000),
    "an empty model": lambda: vmaf_jax.load_model(""),
    "a teacher of None": lambda: vmaf_jax.load_teacher(None),
    "a teacher with a slash": lambda: vmaf_jax.load_teacher("../vmaf_v0.6.1"),
    "features of words": lambda: vmaf_jax.load_model("nano")([["a"] * 6]),
    "features of five": lambda: vmaf_jax.load_model("nano")(np.zeros((2, 5))),
    "features of one axis": lambda: vmaf_jax.load_model("nano")(np.zeros(6)),
    "features NaN": lambda: vmaf_jax.load_model("nano")(np.full((1, 6), np.nan)),
    "features None": lambda: vmaf_jax.load_model("nano")(None),
    "ragged features": lambda: vmaf_jax.load_teacher("vmaf_v0.6.1")([[1], [1, 2]]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values_raise_by_name(case):
    with pytest.raises((vmaf_jax.InputError, TypeError)) as refusal:
        WRONG[case]()
    assert "object has no attribute" not in str(refusal.value)
