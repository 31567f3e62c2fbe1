"""Frames of a video as small JPEG pictures in colour, for pages.

A video passes the filters that it was measured through, so a picture is of the frame that has the
score; then it is scaled down. Luma, chroma and matrix become JPEG's.
"""

from collections.abc import Sequence

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.shots import SHOT_FILTER, read_shot_log, shot_starts
from vmaf_jax.video.streams import SWSCALE_MATRIX, DecodedStream

_QUALITY = 3  # of ffmpeg's JPEG: 2 is its best, 31 its worst
_HD = 720  # lines from which a file that does not say is taken for BT.709


def take_pictures(
    ffmpeg: Ffmpeg,
    video: Video,
    chain: str,
    frames: Sequence[int],
    size: tuple[int, int],
    *,
    matrix: str,
    shots_of: int = 0,
) -> tuple[dict[int, bytes], list[int]]:
    """Returns frames of a video as JPEG, and where its shots start.

    Args:
        chain: the filters that it was measured through.
        frames: numbers after them, rising.
        size: width and height, pixels.
        matrix: of its luma and chroma, ffmpeg's name.
        shots_of: frames that there are, where shots are to be found; 0 looks for none.

    Raises:
        InputError: ffmpeg fails, or the video has not all of the frames.
    """
    chosen = "+".join(f"eq(n,{frame})" for frame in frames)
    convert = f"in_color_matrix={matrix}:out_color_matrix=bt601:out_range=pc"
    picked = (
        f"select='{chosen}',scale={size[0]}:{size[1]}:flags=area:{convert},"
        f"format=yuvj420p,setsar=1[p]"
    )
    graph = f"[0:{video.stream_specifier}]{chain},{picked}"
    outputs = ["-map", "[p]", "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", str(_QUALITY)]
    # In the time base of the video's rate two frames that the chain counts may fall together.
    outputs += ["-enc_time_base", "1:1000", "-f", "image2", "p%05d.jpg"]
    if shots_of:
        graph = f"[0:{video.stream_specifier}]{chain},split=2[a][b];[a]{picked};[b]{SHOT_FILTER}[c]"
        outputs += ["-map", "[c]", "-fps_mode", "passthrough", "-f", "null", "-"]
    with work_folder() as work:
        start = ["-nostdin", "-nostats", "-v", "error", *video.arguments()]
        run = run_ffmpeg(ffmpeg, [*start, "-filter_complex", graph, *outputs], folder=work)
        pictures = [path.read_bytes() for path in sorted(work.glob("p*.jpg"))]
        if run.code or len(pictures) != len(frames):
            reason = (run.report.strip().splitlines() or ["too few frames"])[-1]
            raise InputError(f"{video.path}: no pictures of it ({reason}); check the file.")
        cuts = shot_starts(read_shot_log(work)[1][:shots_of]) if shots_of else []
    return dict(zip(frames, pictures, strict=True)), cuts


def picture_size(stream: DecodedStream, width: int, part: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of a small picture in square pixels, so many pixels across at most.

    Args:
        part: width and height of what is shown of the stream's picture, pixels.
    """
    across = min(width, part[0])
    return across, max(2, round(across * part[1] / part[0] / float(stream.sar or 1)))


def colour_matrix(stream: DecodedStream) -> str:
    """Returns swscale's name of a video's matrix, guessed by its size where it does not say."""
    return SWSCALE_MATRIX.get(stream.matrix, "bt709" if stream.height >= _HD else "bt601")
