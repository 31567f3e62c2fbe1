"""Video files and clips: what is checked without decoding, ffmpeg's arguments, and digests.

Raw files carry no header, so width, height and pixel format come from the user or the corpus, and
the length must be a whole number of frames. Sizes in bytes, dimensions in pixels.
"""

import dataclasses
import functools
import os
from pathlib import Path

import xxhash

from vmaf_jax.errors import InputError
from vmaf_jax.printable import format_count
from vmaf_jax.video.pixel_format import RAW_FORMATS, frame_bytes

_RAW_SUFFIXES = (".yuv", ".raw")
_PART = 1 << 18  # bytes of a file that are read at a time
VIDEO_SUFFIXES = frozenset(  # of the files that a folder of videos stands for
    """
    .264 .265 .avi .av1 .flv .h264 .h265 .hevc .ivf .m2ts .m4v .mkv .mov .mp4 .mpg .mxf .obu .ogv
    .raw .ts .vp9 .webm .wmv .y4m .yuv
    """.split()  # noqa: SIM905
)
# Files of these suffixes that have a `%` in their name are a numbered sequence to ffmpeg's image2.
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".exr", ".dpx", ".ppm")
# Demuxers that open further files or addresses, which a digest of this one file would not cover.
_POINTERS = ("hls", "concat", "concatf", "dash", "imf", "sdp", "rtsp", "avisynth", "vapoursynth")
_POINTER_MARKS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"<?xml", b"v=0", b"[playlist]", b"[Reference]")


@dataclasses.dataclass(frozen=True)
class Video:
    """One video file.

    Attributes:
        path: the file.
        width, height: pixels; needed for raw files, and otherwise what the file must have.
        pix_fmt: a key of `RAW_FORMATS`; needed for raw files.
        fps: frames per second of a raw file, which seconds and pairing by time stamp go by.
        has_chroma: False where the chroma is a substitute for a missing one.
        stream: which of its video streams, from 0; None leaves it to `choose_stream`.
        keeps_filters: where its tags change on the way, filters go on instead of beginning anew;
            its size must not change then.
        film_grain: whether the decoder adds the grain that its stream describes.
    """

    path: Path
    width: int | None = None
    height: int | None = None
    pix_fmt: str | None = None
    fps: float | None = None
    has_chroma: bool = True
    stream: int | None = None
    keeps_filters: bool = False
    film_grain: bool = True

    @property
    def stream_specifier(self) -> str:
        """ffmpeg's name of the stream that is measured; `V` passes over attached pictures."""
        return "V:0" if self.stream is None else f"v:{self.stream}"

    @property
    def is_raw(self) -> bool:
        """Whether the file has no header."""
        return self.path.suffix.lower() in _RAW_SUFFIXES

    def arguments(self) -> list[str]:
        """Returns ffmpeg's arguments for this input."""
        # file: keeps a name such as `concat:x` or `a%d.png` from meaning a protocol or a pattern,
        # and the whitelist keeps what is in the file from opening an address.
        source = ["-protocol_whitelist", "file", "-i", f"file:{self.path.absolute()}"]
        if not self.film_grain:
            source = ["-export_side_data", "film_grain", *source]
        if self.keeps_filters:
            source = ["-reinit_filter", "0", *source]
        if "%" in self.path.name and self.path.suffix.lower() in _PICTURES:
            source = ["-f", "image2", "-pattern_type", "none", *source]
        if not self.is_raw:
            return source
        size = ["-pixel_format", str(self.pix_fmt), "-video_size", f"{self.width}x{self.height}"]
        # Without it ffmpeg takes 25, by which `--fps match` would then pair.
        rate = ["-framerate", str(self.fps)] if self.fps else []
        return ["-f", "rawvideo", *size, *rate, *source]


VideoPair = tuple[Video, Video]  # the reference and the distorted video


def select_streams(pair: VideoPair, streams: tuple[int | None, int | None]) -> VideoPair:
    """Returns the pair with the requested video streams; None leaves a video as it is."""
    first, second = (
        video if stream is None else dataclasses.replace(video, stream=stream)
        for video, stream in zip(pair, streams, strict=True)
    )
    return first, second


def check_video(video: Video) -> int | None:
    """Checks what can be checked without decoding.

    Returns:
        The number of frames of a raw file; None for any other.

    Raises:
        InputError: missing, a folder, unreadable, empty, a playlist; for raw files also an unknown
            format, a missing or impossible size, or a length that is no whole number of frames.
    """
    size = _readable_size(video.path)
    for name, value in (("width", video.width), ("height", video.height)):
        if value is not None and value < 1:
            raise InputError(f"{video.path}: {name} {value}, expected at least 1 pixel.")
    if video.is_raw:
        return _count_raw_frames(video, size)
    with video.path.open("rb") as file:
        start = file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip()  # behind a byte order mark
    if start.startswith(_POINTER_MARKS):
        refuse_pointer(video.path, "hls")
    return None


def refuse_pointer(path: Path, demuxer: str) -> None:
    """Raises InputError where what was opened by `demuxer` is a list of other files."""
    if set(demuxer.split(",")) & set(_POINTERS):
        raise InputError(f"{path}: a playlist of other files; name the video file itself.")


def _readable_size(path: Path) -> int:
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: no file has NUL in its name; check the name.")
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the name.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}); check the name.") from error
    if path.is_dir():
        raise InputError(f"{path}: a folder, expected a video file; name a file in it.")
    if not path.is_file() or not os.access(path, os.R_OK):
        raise InputError(f"{path}: not a readable file; check its kind and permissions.")
    if size == 0:
        raise InputError(f"{path}: empty file; make it again.")
    return size


def _count_raw_frames(video: Video, size: int) -> int:
    path = video.path
    if video.width is None or video.height is None or video.pix_fmt is None:
        raise InputError(
            f"{path}: a raw file does not say its size and format; give width, height and pix_fmt."
        )
    if video.pix_fmt not in RAW_FORMATS:
        raise InputError(
            f"{path}: pixel format {video.pix_fmt!r} is unknown; expected one of "
            f"{', '.join(RAW_FORMATS)}."
        )
    per_frame = frame_bytes(video.width, video.height, video.pix_fmt)
    frames, rest = divmod(size, per_frame)
    if rest:
        raise InputError(
            f"{path}: {size} bytes is {format_count(frames, 'frame')} of "
            f"{video.width}x{video.height} {video.pix_fmt} ({per_frame} bytes each) and {rest} "
            f"bytes over; the file is cut, or width, height or pix_fmt is wrong."
        )
    return frames


# XXH3 (128 bits) reads faster than any disk; it tells changed content from unchanged, and is no
# protection against somebody who forges collisions on purpose.
@functools.lru_cache(maxsize=4096)
def _digest(path: Path, _identity: tuple[int, ...]) -> str:
    digest, part = xxhash.xxh3_128(), memoryview(bytearray(_PART))
    with path.open("rb", buffering=0) as file:  # not by hashlib, which loads OpenSSL
        while count := file.readinto(part):
            digest.update(part[:count])
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Returns the digest of a file's content, 32 hexadecimal digits.

    Within one process a file whose size, inode and times are as before is not read again.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        stat = path.stat()
        identity = (stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
        return _digest(path.absolute(), identity)
    except OSError as error:
        raise InputError(f"{path}: cannot read ({error.strerror}); check the file.") from error


def text_digest(text: str) -> str:
    """Returns the digest of a text, 32 hexadecimal digits."""
    return xxhash.xxh3_128_hexdigest(text.encode())


def forget_digests() -> None:
    """Forgets what this process has read, so that a benchmark reads files again."""
    _digest.cache_clear()


@dataclasses.dataclass(frozen=True)
class Clip:
    """A pair of videos with its place in a corpus and its opinion score.

    Attributes:
        corpus, source, name: where it belongs; `source` is what leave-one-source-out leaves out.
        reference, distorted: the files.
        mos: opinion score, 0-100, or None.
        mos_ci95: half-width of its 95 % interval, on 0-100, or None.
        experiment: the test whose viewers voted, or None.
        label_scale: the worst and the best vote of the scale that they used, or None.
    """

    corpus: str
    source: str
    name: str
    reference: Video
    distorted: Video
    mos: float | None = None
    mos_ci95: float | None = None
    experiment: str | None = None
    label_scale: tuple[float, float] | None = None
