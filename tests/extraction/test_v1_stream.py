"""VMAF v1's features of files in JAX: frames of several clips share chunks and do not mix."""

import subprocess

import numpy as np

from tests.extraction.held import make_clip, most_held
from vmaf_jax.extraction.api import extract_pair
from vmaf_jax.extraction.jax_stream import measure_in_jax
from vmaf_jax.features import FEATURE_SETS
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.video import Video


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
    first, second = measure_in_jax(find_ffmpeg(), [pair, pair], feature_set=feature_set, frames=4)
    assert isinstance(first, np.ndarray)
    np.testing.assert_array_equal(first, second)
    truth = extract_pair(*pair, feature_set=feature_set, teachers=(), cache=tmp_path / "cache")
    np.testing.assert_allclose(first, truth.features, rtol=1e-4, atol=5e-5)
    assert (truth.features[:, 1] > 0).all()  # chroma was measured


def test_memory_is_flat_in_the_length_of_a_clip(tmp_path, ffmpeg):
    """At most four chunks exist, with their chroma; never the 12 of all."""
    chunk, chunks, side = 4, 12, 384
    pair = make_clip(tmp_path, ffmpeg, f"{side}x{side}", chunk * chunks)
    rows, on_host, on_device = most_held(pair, chunk, FEATURE_SETS["vmaf_v1_hfr_3d0h"])
    assert len(rows) == chunk * chunks
    pictures = 2 * chunk * side * side * 3 // 2
    assert 2 * pictures < on_host < 7 * pictures
    assert on_device < 7 * pictures
