"""VMAF v1's features of files in JAX: frames of several clips share chunks and do not mix."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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


MEASURE = """
import sys
from pathlib import Path
from vmaf_jax.environment import keep_compiled_programs
from vmaf_jax.extraction.jax_stream import measure_in_jax
from vmaf_jax.features import V1_FEATURES
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.video import Video
keep_compiled_programs()
pair = tuple(Video(Path(name)) for name in sys.argv[1:])
(rows,) = measure_in_jax(find_ffmpeg(), [pair], feature_set=V1_FEATURES)
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(len(rows), int(peak) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read peaks from")
def test_memory_is_flat_in_the_length_of_a_clip(tmp_path, ffmpeg):
    peaks = []
    for frames in (64, 128):  # 4 and 8 chunks; up to four are on their way at a time
        paths = [tmp_path / f"{name}{frames}.mkv" for name in ("reference", "distorted")]
        for path, harm in zip(paths, ("null", "gblur=1"), strict=True):
            source = f"testsrc2=size=1920x1080:rate=30,{harm}"
            line = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", str(frames)]
            line += ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", path]
            subprocess.run(list(map(str, line)), check=True)
        line = [sys.executable, "-c", MEASURE, *map(str, paths)]
        result = subprocess.run(line, capture_output=True, text=True, check=True)
        n, peak = map(int, result.stdout.split())
        assert n == frames
        peaks.append(peak)
    assert peaks[1] < 2e9
    # Four chunks more, 16 frames of two pictures with chroma each: kept, they would add 398 MB.
    assert peaks[1] - peaks[0] < 4 * 16 * 2 * 1920 * 1080 * 1.5 / 3
