"""Chroma, where a model reads it: how the planes of a format are laid out, and what is refused.

A model of chroma needs it in both videos, sampled alike: bringing 4:2:0 to 4:4:4 moves VMAF v1 by
up to 8 points, which would pass for a difference in quality.
"""

import math
from collections.abc import Sequence

from vmaf_jax.errors import InputError
from vmaf_jax.video.facts import Facts
from vmaf_jax.video.pixel_format import chroma_layout
from vmaf_jax.video.video import SUBSAMPLING, Video


def check_chroma(videos: Sequence[Video], facts: Sequence[Facts]) -> None:
    """Raises InputError unless the reference and the distorted video have chroma, sampled alike."""
    layouts = [chroma_layout(stream.pix_fmt) for stream in facts]
    for video, stream, sampling in zip(videos, facts, layouts, strict=True):
        if not video.has_chroma:
            raise InputError(
                "this model reads chroma; pass planes (Y, U, V) in place of luma alone."
            )
        if sampling is None:
            raise InputError(
                f"{video.path}: {stream.pix_fmt} has no chroma planes, which this model reads; "
                f"encode it as yuv420p, or score with a model of luma, such as vmaf_v0.6.1."
            )
    if layouts[0] != layouts[1]:
        raise InputError(
            f"{videos[1].path}: chroma of {facts[1].pix_fmt} against {facts[0].pix_fmt} in its "
            f"reference; convert one, so that both are yuv{layouts[0]}p or both yuv{layouts[1]}p."
        )


def chroma_size(height: int, width: int, pix_fmt: str) -> tuple[int, int]:
    """Height and width of a chroma plane of a planar format, rounded up as ffmpeg does."""
    across, down = SUBSAMPLING[f"yuv{chroma_layout(pix_fmt) or 444}p"]
    return math.ceil(height / down), math.ceil(width / across)
