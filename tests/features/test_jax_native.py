import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.features.extract import extract_pair
from vmaf_jax.features.feature_set import FLOAT_FEATURES
from vmaf_jax.features.jax_native import features
from vmaf_jax.features.video import Video

N_FRAMES = 2


def luma(path, width, height, bits):
    """Frames of a raw 4:2:0 file, on the 8-bit scale."""
    samples = np.fromfile(path, np.uint8 if bits == 8 else "<u2").reshape(-1)
    chroma = 2 * ((width + 1) // 2) * ((height + 1) // 2)
    frames = samples.reshape(-1, width * height + chroma)[:, : width * height]
    return frames.reshape(-1, height, width).astype(np.float32) / 2 ** (bits - 8)


def make_pair(folder, ffmpeg, width, height, pix_fmt, source, same):
    reference, distorted = folder / "reference.yuv", folder / "distorted.yuv"
    raw = ["-f", "rawvideo", "-pix_fmt", pix_fmt, "-s", f"{width}x{height}"]
    head = [ffmpeg, "-v", "error", "-y"]
    coarse = f"scale={max(16, width // 2)}:{max(16, height // 2)},scale={width}:{height}"
    filters = "null" if same else coarse
    for line in (
        [*head, "-f", "lavfi", "-i", source, "-frames:v", str(N_FRAMES), *raw, str(reference)],
        [*head, *raw, "-i", str(reference), "-vf", filters, *raw, str(distorted)],
    ):
        subprocess.run(line, check=True)
    return tuple(Video(path, width, height, pix_fmt) for path in (reference, distorted))


GRAIN = "testsrc2=size={w}x{h}:rate=24,noise=alls=12:all_seed=1:allf=t"


@pytest.mark.parametrize(
    ("width", "height", "pix_fmt", "source", "same"),
    [
        (177, 143, "yuv420p", GRAIN, False),
        (178, 98, "yuv420p10le", GRAIN, False),
        (176, 144, "yuv420p", GRAIN, True),
        (176, 144, "yuv420p", "color=black:size={w}x{h}", False),
    ],
    ids=["odd", "10 bits", "identical", "black"],
)
def test_libvmaf_float_extractors_agree(tmp_path, ffmpeg, width, height, pix_fmt, source, same):
    source = source.format(w=width, h=height)
    pair = make_pair(tmp_path, ffmpeg, width, height, pix_fmt, source, same)
    truth = extract_pair(*pair, feature_set=FLOAT_FEATURES, teachers=(), cache=tmp_path / "cache")
    bits = {"yuv420p": 8, "yuv420p10le": 10, "yuv420p12le": 12}[pix_fmt]
    ours = np.asarray(
        jax.jit(features)(*(jnp.asarray(luma(v.path, width, height, bits)) for v in pair))
    )
    assert ours.shape == (N_FRAMES, 6)
    np.testing.assert_allclose(ours[:, :5], truth.features[:, :5], rtol=0, atol=2e-5)
    np.testing.assert_allclose(ours[:, 5], truth.features[:, 5], rtol=2e-4, atol=2e-5)
