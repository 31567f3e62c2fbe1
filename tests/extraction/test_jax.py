"""The JAX backend on files: packing, streaming, errors, memory."""

import subprocess
import threading

import jax.numpy as jnp
import numpy as np
import psutil
import pytest

import vmaf_jax
from tests.extraction.held import held_more, make_clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.extraction.jax import FrameShape, measure_in_jax, unpack_planes
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, FLOAT_FEATURES, NEG_FEATURES
from vmaf_jax.teacher.model_file import find_model_file
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video


def measured(pairs, **settings):
    return [pair.outcome for pair in measure_in_jax(find_ffmpeg(), pairs, **settings)]


@pytest.fixture(scope="module")
def pairs(encodes):
    reference = Video(encodes / "ref.y4m")
    names = ("dis.mp4", "deep.mkv", "small.mp4", "short.mp4", "none.mp4", "audio.wav", "dis.mp4")
    return [(reference, Video(encodes / name)) for name in names]


@pytest.fixture(scope="module")
def outcomes(pairs):
    return measured(pairs)


def test_formats_and_sizes_are_brought_together_as_for_libvmaf(pairs, outcomes):
    for k in (0, 1, 2, 6):
        truth = extract_pair(*pairs[k], feature_set=FLOAT_FEATURES, teachers=()).features
        np.testing.assert_allclose(outcomes[k], truth, rtol=2e-6, atol=3e-6)


def test_a_bad_pair_harms_no_other(outcomes):
    messages = {
        3: "9 frames, its reference ref.y4m has 12",
        4: "no such file",
        5: "no video stream",
    }
    for index, message in messages.items():
        assert isinstance(outcomes[index], InputError)
        assert message in str(outcomes[index])
    np.testing.assert_array_equal(outcomes[0], outcomes[6])


@pytest.mark.parametrize("frames", [1, 5])
def test_chunks_and_neighbours_change_no_bit(pairs, outcomes, frames):
    chosen = (0, 1, 3, 6)
    alone = measured([pairs[k] for k in chosen], frames=frames)
    for k, outcome in zip(chosen, alone, strict=True):
        if k == 3:
            assert isinstance(outcome, InputError)
        else:
            np.testing.assert_array_equal(outcome, outcomes[k])


RANGE = ["-vf", "scale=out_range={0}", "-color_range", "{0}", "-pix_fmt", "yuv420p", "-c:v", "ffv1"]
GREY = ["-pix_fmt", "gray10le", "-c:v", "ffv1"]


@pytest.fixture(scope="module")
def odd_files(encodes, tmp_path_factory, ffmpeg):
    folder = tmp_path_factory.mktemp("odd")
    for name, source, arguments in (
        ("ref_tv", "ref.y4m", [flag.format("tv") for flag in RANGE]),
        ("ref_pc", "ref.y4m", [flag.format("pc") for flag in RANGE]),
        ("dis_tv", "dis.mp4", [flag.format("tv") for flag in RANGE]),
        ("dis_pc", "dis.mp4", [flag.format("pc") for flag in RANGE]),
        ("ref_grey", "deep.mkv", GREY),
        ("dis_grey", "dis.mp4", GREY),
    ):
        line = [ffmpeg, "-v", "error", "-i", encodes / source, *arguments, folder / f"{name}.mkv"]
        subprocess.run(line, check=True)
    return folder


@pytest.mark.parametrize(
    "names", [("ref_tv", "dis_pc"), ("ref_pc", "dis_tv"), ("ref_pc", "dis_pc"),
              ("ref_grey", "dis_grey"), ("ref_tv", "dis_grey")],
)  # fmt: skip
def test_ranges_and_layouts_are_brought_together_as_for_libvmaf(odd_files, names):
    pair = tuple(Video(odd_files / f"{name}.mkv") for name in names)
    (features,) = measured([pair])
    truth = extract_pair(*pair, feature_set=FLOAT_FEATURES, teachers=()).features
    np.testing.assert_allclose(features, truth, rtol=2e-6, atol=3e-6)


def test_the_shorter_ends_it_on_request(pairs, outcomes):
    (features,) = measured([pairs[3]], comparison=Comparison(shortest=True))
    truth = extract_pair(*pairs[3], feature_set=FLOAT_FEATURES, teachers=(), shortest=True).features
    np.testing.assert_allclose(features, truth, rtol=2e-6, atol=3e-6)


def test_public_extraction_is_cached_and_says_what_it_is(encodes, tmp_path):
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    first = vmaf_jax.extract_pair(*pair, backend="jax", cache=tmp_path)
    assert first.provenance["backend"] == "jax"
    np.testing.assert_allclose(
        first.label("vmaf_v0.6.1"), vmaf_jax.load_teacher("vmaf_v0.6.1")(first.features)
    )
    (entry,) = tmp_path.glob("*.npz")
    again = vmaf_jax.extract_pair(*pair, backend="jax", cache=tmp_path)
    np.testing.assert_array_equal(again.features, first.features)
    entry.write_bytes(entry.read_bytes()[:-9])
    with pytest.raises(InputError, match="this cache entry is corrupted"):
        vmaf_jax.extract_pair(*pair, backend="jax", cache=tmp_path)


def test_neg_features_come_with_neg_teachers(encodes):
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    neg = vmaf_jax.extract_pair(
        *pair, backend="jax", teachers=("vmaf_v0.6.1neg",), feature_set=NEG_FEATURES
    )
    truth = vmaf_jax.extract_pair(*pair, teachers=("vmaf_v0.6.1neg",), feature_set=NEG_FEATURES)
    name = "vmaf_v0.6.1neg"
    np.testing.assert_allclose(neg.label(name), truth.label(name), atol=0.3)
    with pytest.raises(InputError, match=r"'vmaf_v0.6.1neg' takes the feature set vmaf_neg, vmaf"):
        vmaf_jax.extract_pair(*pair, backend="jax", teachers=("vmaf_v0.6.1neg",))


def test_teachers_of_one_name_are_refused_as_by_libvmaf(encodes, tmp_path):
    path = find_model_file("vmaf_v0.6.1")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.json").write_bytes(path.read_bytes())
    teachers = tuple(str(tmp_path / folder / "mine.json") for folder in ("a", "b"))
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    with pytest.raises(InputError, match=r"'mine' is named twice"):
        vmaf_jax.extract_pair(*pair, backend="jax", teachers=teachers)


def test_unknown_backends_are_named(encodes):
    with pytest.raises(InputError, match=r"backend 'cuda': expected one of libvmaf, jax"):
        vmaf_jax.extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", backend="cuda")


def test_memory_is_flat_in_the_length_of_a_clip(tmp_path, ffmpeg):
    """One to four chunks exist, decoded, waiting, computed and collected, of 6 as of 18."""
    chunk, (width, height) = 4, (352, 288)
    short, long = (make_clip(tmp_path, ffmpeg, f"{width}x{height}", chunk * n) for n in (6, 18))
    on_host, on_device = held_more(short, long, chunk, FEATURES)
    pictures = 2 * chunk * width * height
    assert on_host < 4 * pictures  # kept, they would add 12
    assert on_device < 4 * pictures


def test_a_clip_of_v1_is_the_same_wherever_its_frames_fall(tmp_path, ffmpeg):
    feature_set = FEATURE_SETS["vmaf_v1_hfr_3d0h"]  # looks two frames back
    reference, distorted = (tmp_path / name for name in ("reference.y4m", "distorted.y4m"))
    source = "mandelbrot=size=384x384:rate=24,noise=alls=4:all_seed=1:allf=t"
    to_y4m = ["-frames:v", "5", "-pix_fmt", "yuv420p"]
    for line in (
        ["-f", "lavfi", "-i", source, *to_y4m, reference],
        ["-i", reference, "-vf", "gblur=2", *to_y4m, distorted],
    ):
        subprocess.run([ffmpeg, "-v", "error", *map(str, line)], check=True)
    pair = (Video(reference), Video(distorted))
    results = measure_in_jax(find_ffmpeg(), [pair, pair], feature_set=feature_set, frames=4)
    first, second = (result.features() for result in results)
    np.testing.assert_array_equal(first, second)
    truth = extract_pair(*pair, feature_set=feature_set, teachers=(), cache=tmp_path / "cache")
    np.testing.assert_allclose(first, truth.features, rtol=1e-4, atol=5e-5)
    assert (truth.features[:, 1] > 0).all()  # chroma was measured


def test_memory_of_v1_is_flat_in_the_length_of_a_clip(tmp_path, ffmpeg):
    """One to four chunks exist, with their chroma, of 5 as of 13."""
    chunk, side = 4, 384
    short, long = (make_clip(tmp_path, ffmpeg, f"{side}x{side}", chunk * n) for n in (5, 13))
    on_host, on_device = held_more(short, long, chunk, FEATURE_SETS["vmaf_v1_hfr_3d0h"])
    pictures = 2 * chunk * side * side * 3 // 2
    assert on_host < 4 * pictures  # kept, they would add 8
    assert on_device < 4 * pictures


def test_a_measurement_that_is_given_up_ends_its_decoding(pairs):
    threads, processes = set(threading.enumerate()), set(psutil.Process().children())  # of others
    results = measure_in_jax(find_ffmpeg(), [pairs[0]] * 4, frames=1)
    assert len(next(results).features()) == 12
    assert set(threading.enumerate()) - threads
    results.close()
    assert set(threading.enumerate()) <= threads
    assert set(psutil.Process().children()) <= processes


def test_planes_of_a_packed_frame_are_taken_apart():
    shape = FrameShape(4, 6, 2, 3)
    assert shape.samples == 4 * 6 + 2 * 2 * 3
    packed = np.arange(2 * shape.samples, dtype=np.uint16).reshape(2, -1)
    planes = unpack_planes(jnp.asarray(packed), shape)
    for plane, size, first in (
        (planes.y, (4, 6), 0),
        (planes.u, (2, 3), 24),
        (planes.v, (2, 3), 30),
    ):
        assert plane.shape == (2, *size)
        np.testing.assert_array_equal(
            plane.reshape(2, -1), packed[:, first : first + plane[0].size]
        )
