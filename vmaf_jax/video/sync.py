"""The offset of two videos, found by small pictures of both: how many frames one starts late."""

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import Ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.small_pictures import read_small_pictures

_REACH = 60  # frames each way that are looked at
_FRAMES = 4 * _REACH
_EQUAL = 1e-6  # of two differences (levels of 255), which are means of float32

Thumbnails = npt.NDArray[np.floating]


def find_offset(ffmpeg: Ffmpeg, reference: Video, distorted: Video, timing: str = "") -> int:
    """Returns how many frames the distorted video starts late; below zero, early.

    Args:
        timing: filters that bring both to one rate.

    Raises:
        InputError: no offset within reach fits clearly better than the others.
    """
    pictures = [
        read_small_pictures(ffmpeg, video, timing.rstrip(","), _FRAMES).astype(np.float32)
        for video in (reference, distorted)
    ]
    if min(map(len, pictures)) < 2:
        raise InputError(f"{distorted.path}: too short for --sync auto; pass --offset.")
    offset = best_offset(*pictures)
    if offset is None:
        raise InputError(
            f"{distorted.path}: no offset of up to {_REACH} frames fits clearly; pass --offset."
        )
    return offset


def best_offset(reference: Thumbnails, distorted: Thumbnails) -> int | None:
    """Returns the offset at which pictures differ least, None where none stands out.

    The difference is a mean over at least half of the shorter of the two. It must be half of what
    it is at most offsets, and be least within reach: pictures of other moments differ alike at all.

    Args:
        reference, distorted: luma `[n, pixels]`, 0-255.
    """
    n, m = len(reference), len(distorted)
    differences = {}
    for offset in range(-_REACH - 1, _REACH + 2):  # one beyond, where it may still fall
        first, second = max(0, -offset), max(0, offset)
        count = min(n - first, m - second)
        if count < (min(n, m) + 1) // 2:
            continue
        pair = reference[first : first + count] - distorted[second : second + count]
        differences[offset] = float(np.mean(np.abs(pair)))
    order = sorted(differences, key=lambda offset: (differences[offset], abs(offset)))
    if len(order) > 1 and differences[order[1]] - differences[order[0]] <= _EQUAL:
        return None  # a still, or a loop
    best = order[0]
    usual = float(np.median(list(differences.values())))
    stands_out = best == 0 or differences[best] <= usual / 2
    return best if stands_out and abs(best) <= _REACH else None
