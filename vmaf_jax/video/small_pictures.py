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
