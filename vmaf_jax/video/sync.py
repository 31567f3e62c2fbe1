"""By how many frames one video starts later than another, found in small pictures of their luma."""

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import SYNC_REACH
from vmaf_jax.video.ffmpeg import Ffmpeg, Stream
from vmaf_jax.video.video import Video

_WIDTH, _HEIGHT = 64, 36
_FRAMES = 4 * SYNC_REACH


def find_offset(ffmpeg: Ffmpeg, reference: Video, distorted: Video, timing: str = "") -> int:
    """Frames that the distorted video starts late; below zero, early.

    Args:
        timing: filters that bring both to one rate.

    Raises:
        InputError: no offset within reach fits clearly better than the others.
    """
    pictures = [_thumbnails(ffmpeg, video, timing) for video in (reference, distorted)]
    if min(map(len, pictures)) < 2:
        raise InputError(f"{distorted.path}: too short for --sync auto; pass --offset.")
    offset = best_offset(*pictures)
    if offset is None:
        raise InputError(
            f"{distorted.path}: no offset of up to {SYNC_REACH} frames fits clearly; pass --offset."
        )
    return offset


def best_offset(
    reference: npt.NDArray[np.float32], distorted: npt.NDArray[np.float32]
) -> int | None:
    """The offset at which pictures `[n, pixels]` differ least, None where none stands out.

    The difference is a mean over at least half of the shorter of the two. It must be half of what
    it is at most offsets, and be least within reach: pictures of other moments differ alike at all.
    """
    n, m = len(reference), len(distorted)
    differences = {}
    for offset in range(-SYNC_REACH - 1, SYNC_REACH + 2):  # one beyond, where it may still fall
        first, second = max(0, -offset), max(0, offset)
        count = min(n - first, m - second)
        if count < (min(n, m) + 1) // 2:
            continue
        pair = reference[first : first + count] - distorted[second : second + count]
        differences[offset] = float(np.mean(np.abs(pair)))
    ranked = sorted(differences, key=lambda offset: (differences[offset], abs(offset)))
    if len(ranked) > 1 and differences[ranked[1]] - differences[ranked[0]] <= 1e-6:
        return None
    best = ranked[0]
    usual = float(np.median(list(differences.values())))
    stands_out = best == 0 or differences[best] <= usual / 2
    return best if stands_out and abs(best) <= SYNC_REACH else None


def _thumbnails(ffmpeg: Ffmpeg, video: Video, timing: str) -> npt.NDArray[np.float32]:
    small = f"{timing}scale={_WIDTH}:{_HEIGHT}:flags=area:out_range=tv,format=gray"
    line = ["-v", "error", *video.arguments(), "-map", f"0:{video.stream_specifier}", "-vf", small]
    stream = Stream(
        ffmpeg,
        [*line, "-frames:v", str(_FRAMES), "-fps_mode", "passthrough", "-f", "rawvideo", "-"],
    )
    try:
        content = bytearray(_FRAMES * _WIDTH * _HEIGHT)
        filled, view = 0, memoryview(content)
        while filled < len(content) and (count := stream.read_into(view[filled:])):
            filled += count
    finally:
        stream.close()
    whole = filled - filled % (_WIDTH * _HEIGHT)
    pictures = np.frombuffer(bytes(content[:whole]), np.uint8).astype(np.float32)
    return pictures.reshape(-1, _WIDTH * _HEIGHT)
