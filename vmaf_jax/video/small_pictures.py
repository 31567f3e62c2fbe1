"""Small pictures of a video's luma, by which moments are told apart."""

import numpy as np
import numpy.typing as npt

from vmaf_jax.video.ffmpeg import Ffmpeg, FfmpegPipe
from vmaf_jax.video.inputs import Video

WIDTH, HEIGHT = 64, 36
SHRINK = f"scale={WIDTH}:{HEIGHT}:flags=area:out_range=tv,format=gray"
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
    sizes = np.outer(
        *(np.maximum(np.diff(e, append=s), 1) for e, s in ((rows, height), (columns, width)))
    )
    return (sums / sizes / 2 ** (bits - 8)).round().astype(np.uint8).reshape(n, HEIGHT * WIDTH)
