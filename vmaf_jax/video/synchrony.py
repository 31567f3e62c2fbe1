"""Whether two videos are in step, and by how many frames one is late, by small pictures of both.

A pair that is a frame out of step has a plausible, wrong score. While a pair is measured, some
frames of both are scaled down on the way; where the distorted ones are clearly nearer to the
reference's frames before or after than to their own, the pair is out of step. Brightness and
contrast do not count, so neither does a fade; a still scene gives no evidence.
"""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import Ffmpeg, FfmpegPipe
from vmaf_jax.video.inputs import Video

WIDTH, HEIGHT = 64, 36
# The luma plane, since `format=gray` is luma of BT.601, whatever the video's matrix is.
SHRINK = f"scale={WIDTH}:{HEIGHT}:flags=area:out_range=tv,format=yuv420p,extractplanes=y"
_AT_A_TIME = 512  # frames


def read_small_pictures(
    ffmpeg: Ffmpeg, video: Video, filters: str, frames: int
) -> npt.NDArray[np.uint8]:
    """Returns the first frames of a video as small pictures of luma `[n, pixels]`, 0-255.

    Args:
        filters: a chain that each frame passes before; "" for none.
        frames: how many at most.
    """
    chain = ",".join(filter(None, (filters, SHRINK)))
    arguments = ["-nostdin", "-v", "error", *video.arguments()]
    arguments += ["-map", f"0:{video.stream_specifier}", "-vf", chain, "-frames:v", str(frames)]
    pipe = FfmpegPipe(ffmpeg, [*arguments, "-fps_mode", "passthrough", "-f", "rawvideo", "-"])
    pixels = WIDTH * HEIGHT
    content = bytearray()
    try:
        part = memoryview(bytearray(_AT_A_TIME * pixels))
        while count := pipe.read_into(part):
            content += part[:count]
    finally:
        pipe.close()
    whole = len(content) // pixels
    return np.frombuffer(content, np.uint8)[: whole * pixels].reshape(-1, pixels)


def shrink(luma: npt.NDArray[np.unsignedinteger], bits: int) -> npt.NDArray[np.uint8]:
    """Returns luma `[n, h, w]` of so many bits as small pictures `[n, pixels]` of area means."""
    n, height, width = luma.shape
    rows, columns = (
        np.linspace(0, size, parts, endpoint=False).astype(int)
        for size, parts in ((height, HEIGHT), (width, WIDTH))
    )
    sums = np.add.reduceat(np.add.reduceat(luma, rows, 1, dtype=np.uint32), columns, 2)
    tall, wide = (
        np.maximum(np.diff(e, append=s), 1) for e, s in ((rows, height), (columns, width))
    )
    sizes = np.outer(tall, wide)
    return (sums / sizes / 2 ** (bits - 8)).round().astype(np.uint8).reshape(n, HEIGHT * WIDTH)


_WINDOW = 16  # frames that are looked at together
# From one window's start to the next's: in short clips, in the first frames of others, later.
_NEAR, _APART, _FAR_APART = 32, 64, 640
_FEW, _MANY = 128, 6400  # frames up to which they are near, and from which they are far apart
_REACH = 3  # frames each way
_LEAST_MOTION = 3e-4  # squared change between frames, of pictures of variance 1
_MOST_APART = 0.5  # squared difference, of pictures of variance 1, of two of one moment
_ROUNDING = 1e-5  # of a squared difference, of pictures of variance 1
_LEAST_CONTRAST = 4.0  # standard deviation of a picture, levels of 255
# Of a window, in the mean: of the darkest frames of a fade, encoders keep little, and that late.
_LEAST_OF_WINDOW = 6.0
# Least evidence, in log ratios of differences from other frames to those from their own: of the
# pictures, and twice that of their changes, in which what an encoder holds back does not count.
_EVIDENCE, _CHANGES = 0.5, 2.0
_SHARE = 0.25  # of the windows in which something moves
FILES = ("steps0.raw", "steps1.raw")  # of the distorted video and of the reference
_PERIOD = f"if(lt(n,{_FEW}),{_NEAR},if(lt(n,{_MANY}),{_APART},{_FAR_APART}))"
SOME_FRAMES = f"select='lt(mod(n,{_PERIOD}),{_WINDOW})',{SHRINK}"
Pictures = npt.NDArray[np.uint8]


class OutOfStep(NamedTuple):
    """A place where frames are paired with others than their own.

    Attributes:
        frame: the first of it, of the frames compared.
        late: frames that the distorted video is late; below zero, early.
    """

    frame: int
    late: int


def read_some_frames(folder: Path) -> tuple[Pictures, Pictures]:
    """Reads what `SOME_FRAMES` left in `FILES`, of the reference and of the distorted video."""
    pixels = WIDTH * HEIGHT
    parts = [np.fromfile(folder / name, np.uint8) for name in FILES]
    distorted, reference = (p[: len(p) // pixels * pixels].reshape(-1, pixels) for p in parts)
    return reference, distorted


def is_looked_at(frame: int) -> bool:
    """Tells whether `SOME_FRAMES` lets a frame pass."""
    period = _NEAR if frame < _FEW else _APART if frame < _MANY else _FAR_APART
    return frame % period < _WINDOW


def judge_steps(reference: Pictures, distorted: Pictures) -> OutOfStep | None:
    """Tells whether small pictures `[frames, pixels]` of two videos are of the same moments.

    Args:
        reference, distorted: of the frames that `SOME_FRAMES` lets pass, paired as measured.
    """
    count = min(len(reference), len(distorted))
    every = filter(is_looked_at, itertools.count())
    starts = list(itertools.islice(every, 0, count, _WINDOW))
    verdicts = [
        _judge_window(reference[k : k + _WINDOW], distorted[k : k + _WINDOW])
        for k in range(0, count, _WINDOW)
        if min(count - k, _WINDOW) > 2 * _REACH + 2
    ]
    moving = [late for late in verdicts if late is not None]
    accused = [(start, late) for start, late in zip(starts, verdicts, strict=False) if late]
    if not accused or len(accused) < _SHARE * len(moving):
        return None
    return OutOfStep(*accused[0])


def _normalise(pictures: Pictures) -> npt.NDArray[np.float32]:
    """Returns pictures of mean 0 and variance 1; less where there is hardly any contrast."""
    centred = pictures - pictures.mean(axis=1, keepdims=True, dtype=np.float32)
    contrast = np.maximum(centred.std(axis=1, keepdims=True), _LEAST_CONTRAST)
    return np.asarray(centred / contrast, np.float32)


def _judge_window(reference: Pictures, distorted: Pictures) -> int | None:
    """Returns how many frames a window is late, 0 where it is in step, None where nothing moves.

    Nothing is seen to move where the reference has hardly any contrast.
    """
    own = slice(_REACH + 1, min(len(reference), len(distorted)) - _REACH)
    before = slice(own.start - 1, own.stop - 1)
    if reference[own].std(axis=1).mean() < _LEAST_OF_WINDOW:
        return None
    x, y = _normalise(reference), _normalise(distorted)
    shifted = {k: x[own.start - k : own.stop - k] for k in range(-_REACH, _REACH + 1)}
    if min(_difference(shifted[k], shifted[0]) for k in (-1, 1)) < _LEAST_MOTION:
        return None
    errors = {k: _difference(y[own], part) for k, part in shifted.items()}
    best = min(errors, key=lambda k: errors[k])
    if best == 0 or errors[best] > _MOST_APART:
        return 0
    change = y[own] - y[before]
    earlier = {k: x[before.start - k : before.stop - k] for k in (0, best)}
    changes = {k: _difference(change, shifted[k] - part) for k, part in earlier.items()}
    evidence = np.log(errors[0] / errors[best])
    evidence += _CHANGES * max(np.log(changes[0] / changes[best]), 0)
    return best if evidence > _EVIDENCE else 0


def _difference(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    return float(np.square(first - second).mean()) + _ROUNDING


_SEARCHED = 60  # frames each way that are looked at
_SEARCHED_FRAMES = 4 * _SEARCHED
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
        read_small_pictures(ffmpeg, video, timing.rstrip(","), _SEARCHED_FRAMES).astype(np.float32)
        for video in (reference, distorted)
    ]
    if min(map(len, pictures)) < 2:
        raise InputError(f"{distorted.path}: too short for --sync auto; pass --offset.")
    offset = best_offset(*pictures)
    if offset is None:
        raise InputError(
            f"{distorted.path}: no offset of up to {_SEARCHED} frames fits clearly; pass --offset."
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
    for offset in range(-_SEARCHED - 1, _SEARCHED + 2):  # one beyond, where it may still fall
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
    return best if stands_out and abs(best) <= _SEARCHED else None
