"""The encode behind a picture that is scaled: what CAMBI is told of its size."""

from fractions import Fraction
from pathlib import Path

import pytest

from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.geometry import find_layouts
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import DecodedStream

VIDEOS = (Video(Path("reference.y4m")), Video(Path("distorted.mp4")))


def stream(width: int, height: int, pix_fmt: str = "yuv420p") -> DecodedStream:
    return DecodedStream(
        demuxer="mov",
        codec="h264",
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        matrix="unknown",
        primaries="unknown",
        transfer="unknown",
        range="tv",
        sar=Fraction(1),
        rotation=0,
        rate=24.0,
        base_rate=24.0,
    )


@pytest.mark.parametrize(
    ("reference", "distorted", "layout", "encode"),
    [
        ((1280, 720), (1280, 720), "same", None),
        ((1920, 1080), (1280, 720), "stretch", (1280, 720, 8)),
        ((1920, 1200), (1280, 720), "pad", (1280, 800, 8)),  # as if bars had been encoded
        ((1920, 1200), (1280, 720), "crop", (1152, 720, 8)),
        ((1920, 1080), (1280, 736), "cut the distorted video to 1280x720", (1280, 720, 8)),
        ((1920, 1080), (320, 180), "stretch", (320, 180, 8)),
        ((1920, 1080), (192, 108), "stretch", None),  # too small for CAMBI
    ],
)
def test_the_encode_is_how_far_the_picture_was_scaled(reference, distorted, layout, encode):
    scale = layout if layout in ("pad", "crop") else None
    ours = stream(*distorted)
    choices = find_layouts(VIDEOS, (stream(*reference), ours), Comparison(scale=scale))
    (chosen,) = [candidate for candidate in choices.layouts if candidate.name == layout]
    assert chosen.encoded_format(ours) == encode


def test_the_depth_is_that_of_the_encode():
    ours = stream(1280, 720, "yuv420p10le")
    choices = find_layouts(VIDEOS, (stream(1920, 1080), ours), Comparison())
    assert choices.layouts[0].encoded_format(ours) == (1280, 720, 10)
