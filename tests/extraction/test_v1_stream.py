"""VMAF v1's features of files in JAX: frames of several clips share chunks and do not mix."""

import subprocess

import numpy as np

from tests.extraction.held import held_more, make_clip
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.extraction.jax import measure_in_jax
from vmaf_jax.features import FEATURE_SETS
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video


def test_a_clip_is_the_same_wherever_its_frames_fall(tmp_path, ffmpeg):
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


def test_memory_is_flat_in_the_length_of_a_clip(tmp_path, ffmpeg):
    """One to four chunks exist, with their chroma, of 5 as of 13."""
    chunk, side = 4, 384
    short, long = (make_clip(tmp_path, ffmpeg, f"{side}x{side}", chunk * n) for n in (5, 13))
    on_host, on_device = held_more(short, long, chunk, FEATURE_SETS["vmaf_v1_hfr_3d0h"])
    pictures = 2 * chunk * side * side * 3 // 2
    assert on_host < 4 * pictures  # kept, they would add 8
    assert on_device < 4 * pictures
