"""VMAF v1 at 10 bits, and CAMBI at the size of the encode: both backends against bare libvmaf."""

import subprocess

import numpy as np
import pytest

import vmaf_jax
from tests.support import bare_libvmaf
from vmaf_jax.features import FEATURE_SETS

V1 = "vmaf_v1.0.16_3d0h"
SOURCE = (  # bands, which CAMBI sees, and some grain, without which SpEED sees nothing
    "testsrc2=size=384x288:rate=24,geq=lum='if(lt(X,90),40+(X+2*N)/8+Y/30,lum(X,Y))':"
    "cb='110+X/30':cr='120+Y/30',noise=alls=4:all_seed=1,format=yuv420p"
)
# By name, how an encode is made, and what of it libvmaf is to be told.
ENCODES = {
    "own_size": ("null", "yuv420p", None),
    "smaller": ("scale=320:240", "yuv420p", (320, 240, 8)),
    "smaller_and_deeper": ("scale=256:192", "yuv420p10le", (256, 192, 10)),
    "larger": ("scale=512:384", "yuv420p", (512, 384, 8)),
    "too_small_for_cambi": ("scale=160:120", "yuv420p", None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ffmpeg):
    folder = tmp_path_factory.mktemp("v1")

    def make(*line):
        subprocess.run([ffmpeg, "-v", "error", *line], check=True, cwd=folder)

    make("-f", "lavfi", "-i", SOURCE, "-frames:v", "3", "reference.y4m")
    for name, (chain, pix_fmt, _) in ENCODES.items():
        codec = ("-c:v", "libx264", "-crf", "34", "-pix_fmt", pix_fmt)
        make("-i", "reference.y4m", "-vf", chain, *codec, f"{name}.mp4")
    return folder


def truth_of(ffmpeg, folder, name, chain="scale=384:288:flags=bicubic,format=yuv420p10"):
    """What libvmaf says of the two brought to one size and 10 bits by hand."""
    encode = ENCODES[name][2]
    keys = ("width", "height", "bitdepth")
    own = "".join(rf"\:cambi.enc_{k}={v}" for k, v in zip(keys, encode or (), strict=False))
    pair = (folder / "reference.y4m", folder / f"{name}.mp4")
    return pair, bare_libvmaf(ffmpeg, *pair, f"version={V1}{own}", chain=chain)


# Frames of either backend are scaled by one graph; libvmaf takes every encode.
SCORED = [("libvmaf", name) for name in ENCODES] + [
    pytest.param("jax", name, marks=[pytest.mark.slow] * (name in ("smaller", "larger")))
    for name in ENCODES
]


@pytest.mark.parametrize(("backend", "name"), SCORED)
def test_scores_are_libvmafs_at_10_bits(ffmpeg, folder, name, backend):
    pair, truth = truth_of(ffmpeg, folder, name)
    found = vmaf_jax.score(*pair, model=V1, backend=backend)
    np.testing.assert_allclose(
        found.per_frame, truth["vmaf"], atol=1e-3 if backend == "libvmaf" else 1e-2
    )
    (key,) = [key for key in truth if key.startswith("cambi")]
    np.testing.assert_allclose(found.table.features[:, 0], truth[key], atol=1e-5)
    assert truth[key].max() > 1
    comparison = found.to_dict()["comparison"]
    encode = ENCODES[name][2]
    assert comparison["v1_bits"] == 10
    assert comparison["v1_encode"] == (None if encode is None else list(encode))
    assert "VMAF v1: measured at 10 bits" in " ".join(found.v1_lines())


def test_8_bits_would_say_otherwise(ffmpeg, folder):
    _, at_10 = truth_of(ffmpeg, folder, "smaller")
    _, at_8 = truth_of(ffmpeg, folder, "smaller", chain="scale=384:288:flags=bicubic")
    assert np.abs(at_10["vmaf"] - at_8["vmaf"]).max() > 0.02  # so the form is told apart
    _, own = truth_of(ffmpeg, folder, "own_size")
    _, own_at_8 = truth_of(ffmpeg, folder, "own_size", chain="null")
    assert np.abs(own["vmaf"] - own_at_8["vmaf"]).max() > 0.1


@pytest.mark.parametrize("name", ["own_size", "smaller"])
def test_models_and_metrics_beside_it_see_the_pictures_as_they_are(ffmpeg, folder, name):
    pair, truth = truth_of(ffmpeg, folder, name)
    plain = bare_libvmaf(
        ffmpeg,
        *pair,
        "version=vmaf_v0.6.1",
        chain="scale=384:288:flags=bicubic",
        feature="name=psnr|name=cambi",
    )
    found = vmaf_jax.score(
        *pair, model="vmaf_v0.6.1", teachers=(V1,), extra_metrics=("psnr", "cambi")
    )
    np.testing.assert_allclose(found.table.label(V1), truth["vmaf"], atol=1e-5)
    np.testing.assert_allclose(found.per_frame, plain["vmaf"], atol=3e-4)
    swapped = vmaf_jax.score(
        *pair, model=V1, teachers=("vmaf_v0.6.1",), extra_metrics=("psnr", "cambi")
    )
    np.testing.assert_allclose(swapped.per_frame, truth["vmaf"], atol=1e-3)
    np.testing.assert_allclose(swapped.table.label("vmaf_v0.6.1"), plain["vmaf"], atol=1e-6)
    alone = vmaf_jax.score(*pair, model=V1, extra_metrics=("psnr", "cambi"))
    for table in (found.table, swapped.table, alone.table):
        np.testing.assert_allclose(table.label("psnr"), plain["psnr_y"], atol=1e-6)
        np.testing.assert_allclose(table.label("cambi"), plain["cambi"], atol=1e-6)
    assert "unused" not in alone.table.labels


def test_arrays_are_measured_at_10_bits_too(ffmpeg, folder):
    pair, truth = truth_of(ffmpeg, folder, "own_size")
    planes = []
    for path in pair:
        line = [ffmpeg, "-v", "error", "-i", path, "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
        raw = np.frombuffer(subprocess.run(line, capture_output=True, check=True).stdout, np.uint8)
        y, u, v = np.split(raw.reshape(3, -1), [384 * 288, 384 * 288 * 5 // 4], axis=1)
        planes.append((y.reshape(3, 288, 384), *(p.reshape(3, 144, 192) for p in (u, v))))
    for few in (planes, [tuple(p.astype(np.float32) for p in pair) for pair in planes]):
        np.testing.assert_allclose(vmaf_jax.vmaf(*few, model=V1), truth["vmaf"], atol=1e-2)
    np.testing.assert_allclose(
        vmaf_jax.score(*planes, model=V1).per_frame, truth["vmaf"], atol=1e-3
    )


@pytest.mark.parametrize("name", ["own_size", "smaller"])
def test_the_sampled_score_is_of_the_same_form(folder, tmp_path, ffmpeg, name):
    pair = []
    for path in (folder / "reference.y4m", folder / f"{name}.mp4"):
        longer = tmp_path / f"{path.stem}.mkv"
        loop = ["-vf", "loop=loop=12:size=3:start=0", "-c:v", "ffv1"]
        subprocess.run([ffmpeg, "-v", "error", "-i", path, *loop, longer], check=True)
        pair.append(longer)
    whole = vmaf_jax.score(*pair, model=V1)
    some = vmaf_jax.score(*pair, model=V1, within=5.0)
    assert len(some.per_frame) < len(whole.per_frame)
    assert some.v1_lines() == whole.v1_lines() != []
    np.testing.assert_array_equal(some.per_frame, whole.per_frame[some.table.index])


TO_LIMITED = "scale=in_range=pc:out_range=tv,format=yuv420p10le"
TO_FULL = "scale=in_range=tv:out_range=pc,format={},setparams=range=pc"
SMALLER = "scale=320:240,"
LARGER_LIMITED = "scale=384:288:flags=bicubic:in_range=pc:out_range=tv,format=yuv420p10le"
# By name: what makes the source, what brings it to 10 bits by hand; the same of the encode.
UNLIKE = {
    "8 bits of 10": ("format=yuv420p10le", "null", "format=yuv420p", "format=yuv420p10le"),
    "10 bits of 8": ("format=yuv420p", "null", "format=yuv420p10le", "null"),
    "8 bits of 10, smaller": (
        "format=yuv420p10le",
        "null",
        f"{SMALLER}format=yuv420p",
        "scale=384:288:flags=bicubic,format=yuv420p10le",
    ),
    "full of limited": ("format=yuv420p", "null", TO_FULL.format("yuv420p"), TO_LIMITED),
    "limited of full": (TO_FULL.format("yuv420p"), TO_LIMITED, "format=yuv420p", "null"),
    "full of limited, smaller": (
        "format=yuv420p",
        "null",
        SMALLER + TO_FULL.format("yuv420p"),
        LARGER_LIMITED,
    ),
    "full of 10 bits in limited": (
        "format=yuv420p10le",
        "null",
        TO_FULL.format("yuv420p"),
        TO_LIMITED,
    ),
    "4:2:2, full of limited": (
        "format=yuv422p",
        "null",
        TO_FULL.format("yuv422p"),
        TO_LIMITED.replace("420", "422"),
    ),
    "full of full": (TO_FULL.format("yuv420p"), "null", TO_FULL.format("yuv420p"), "null"),
}


# What differs in two ways is made by the steps of those that differ in one.
IN_TWO_WAYS = {"full of limited, smaller", "full of 10 bits in limited"}
UNLIKE_RUNS = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in IN_TWO_WAYS)) for name in UNLIKE
]


@pytest.mark.parametrize("name", UNLIKE_RUNS)
def test_unlike_pictures_become_10_bits_in_one_step(ffmpeg, tmp_path, name):
    """A first rounding to 8 bits has moved clips by a point."""
    source, source_form, encode, encode_form = UNLIKE[name]

    def make(*line):
        subprocess.run([ffmpeg, "-v", "error", *line], check=True, cwd=tmp_path)

    deep = SOURCE.replace("format=yuv420p", "format=yuv422p10le" if "4:2:2" in name else "null")
    # What a decoder gives is what is stored here; blurred, since quantisation leaves bands too.
    chains = {"r": (source, source_form), "d": (f"boxblur=1:1,{encode}", encode_form)}
    for own, (chain, form) in chains.items():
        tag = ("-color_range", "pc") if "out_range=pc" in chain else ()
        store = ("-frames:v", "3", "-c:v", "ffv1", *tag)
        make("-f", "lavfi", "-i", f"{deep},{chain}", *store, f"{own}.mkv")
        by_hand = f"{form},format=yuv{'422' if '4:2:2' in name else '420'}p10le"
        make("-i", f"{own}.mkv", "-vf", by_hand, "-strict", "-1", f"{own}10.y4m")
    own = r"\:cambi.enc_width=320\:cambi.enc_height=240\:cambi.enc_bitdepth=8"
    model = f"version={V1}{own if 'smaller' in name else ''}"
    truth = bare_libvmaf(ffmpeg, tmp_path / "r10.y4m", tmp_path / "d10.y4m", model)
    (key,) = [key for key in truth if key.startswith("cambi")]
    pair = (tmp_path / "r.mkv", tmp_path / "d.mkv")
    for backend, tolerance in (("libvmaf", 1e-3), ("jax", 1e-2)):
        found = vmaf_jax.score(*pair, model=V1, backend=backend)
        np.testing.assert_allclose(found.per_frame, truth["vmaf"], atol=tolerance)
        np.testing.assert_allclose(found.table.features[:, 0], truth[key], atol=1e-5)


def test_every_set_of_v1_asks_for_10_bits_and_no_other():
    assert {s.least_bits for s in FEATURE_SETS.values() if s.planes > 1} == {10}
    assert {s.least_bits for s in FEATURE_SETS.values() if s.planes == 1} == {8}
