"""A video that comes through a pipe: `-` in place of a file name.

It is kept in a file while it is measured, since it is decoded more than once (what it is, whether
it is damaged, its pictures). A pipe whose program died ends anywhere, so whole frames are counted.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from vmaf_jax.errors import InputError
from vmaf_jax.files import no_temporary, work_folder
from vmaf_jax.limits import limit
from vmaf_jax.video.video import RAW_FORMATS, frame_bytes

NAME = "standard input"
MAX_BYTES = 64 << 30
_CHUNK = 1 << 20
_Y4M = b"YUV4MPEG2 "
_HEADER = 1024  # bytes of a Y4M header line, at most
_COLOUR = re.compile(r"(mono|411|420|422|444)(?:jpeg|mpeg2|paldv)?(?:p?(\d+))?")
_ACROSS_DOWN = {"411": (4, 1), "420": (2, 2), "422": (2, 1), "444": (1, 1)}


@contextlib.contextmanager
def from_pipe(
    paths: Sequence[Path], width: int | None, height: int | None, pix_fmt: str | None
) -> Iterator[list[Path]]:
    """The paths, with a temporary file in place of `-`, which is read from standard input.

    Args:
        width, height, pix_fmt: of raw files; a stream that is no Y4M is raw of that format.

    Raises:
        InputError: `-` is named twice, or standard input is a terminal, empty, too large, of no
            known kind, or ends in the middle of a frame.
    """
    count = [str(path) for path in paths].count("-")
    if count == 0:
        yield list(paths)
        return
    if count > 1:
        raise InputError("-: only one video can come through standard input; name a file.")
    with work_folder() as work:
        raw = None if None in (width, height, pix_fmt) else (width, height, pix_fmt)
        video = _kept(work, is_raw=raw is not None)
        if video.suffix == ".y4m":
            _check_y4m(video)
        elif pix_fmt in RAW_FORMATS and width and height and min(width, height) > 0:
            _check_whole(video.stat().st_size, frame_bytes(width, height, pix_fmt))
        try:
            yield [video if str(path) == "-" else path for path in paths]
        except InputError as error:
            text = str(error).replace(str(video), NAME).replace(video.name, NAME)
            raise InputError(text) from error


def _kept(folder: Path, *, is_raw: bool) -> Path:
    """Standard input in a file of `folder`, named for what it is."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise InputError(f"{NAME}: nothing comes through it; pipe a Y4M or raw stream into it.")
    most = limit("PIPE_BYTES", MAX_BYTES)
    start = _read(len(_Y4M))
    if not start:
        raise InputError(f"{NAME}: empty; see what the program before the pipe says.")
    if start != _Y4M and not is_raw:
        raise InputError(
            f"{NAME}: no Y4M stream; for a raw one give --width, --height and --pix-fmt (ffmpeg: "
            f"-f yuv4mpegpipe -)."
        )
    path = folder / ("stdin.y4m" if start == _Y4M else "stdin.yuv")
    try:
        with path.open("wb") as file:
            size = file.write(start)
            while chunk := _read(_CHUNK):
                if (size := size + len(chunk)) > most:
                    raise InputError(
                        f"{NAME}: more than {most} bytes; name a file, or set "
                        f"VMAF_JAX_MAX_PIPE_BYTES."
                    )
                file.write(chunk)
    except OSError as error:
        raise no_temporary(error) from error
    return path


def _read(size: int) -> bytes:
    """Returns `size` bytes of standard input, fewer at its end."""
    try:
        return sys.stdin.buffer.read(size)
    except OSError as error:
        raise InputError(
            f"{NAME}: cannot be read ({error.strerror}); pipe a Y4M or raw stream into it."
        ) from error


def _check_y4m(path: Path) -> None:
    """Raises InputError where a Y4M file ends within a frame; ffmpeg judges unknown layouts."""
    size = path.stat().st_size
    with path.open("rb") as file:
        line = file.readline(_HEADER)
        if not line.endswith(b"\n"):
            raise InputError(f"{NAME}: ends within its Y4M header; see what feeds it.")
        if (frame := _y4m_frame(line)) is None:
            return
        for number in range(size // frame + 1):
            if not _header(file, number):
                return
            if (left := size - file.tell()) < frame:
                raise _cut(number, left, frame)
            file.seek(frame, os.SEEK_CUR)


def _header(file: BinaryIO, number: int) -> bool:
    """Reads the line before a frame; whether there is one."""
    line = file.readline(_HEADER)
    if line and not (line.startswith(b"FRAME") and line.endswith(b"\n")):
        raise InputError(f"{NAME}: no frame {number} where it should begin; see what feeds it.")
    return bool(line)


def _y4m_frame(header: bytes) -> int | None:
    """Bytes of a frame's samples; None for a layout that is not known here."""
    words = header.decode("ascii", "replace").split()[1:]
    values = {word[0]: word[1:] for word in reversed(words)}
    colour = _COLOUR.fullmatch(values.get("C", "420jpeg"))
    if colour is None or not (values.get("W", "").isdecimal() and values.get("H", "").isdecimal()):
        return None
    width, height = int(values["W"]), int(values["H"])
    chroma = 0
    if colour[1] != "mono":
        across, down = _ACROSS_DOWN[colour[1]]
        chroma = 2 * -(-width // across) * -(-height // down)
    return (width * height + chroma) * (2 if int(colour[2] or 8) > 8 else 1) or None


def _check_whole(size: int, frame: int) -> None:
    frames, rest = divmod(size, frame)
    if rest:
        raise _cut(frames, rest, frame)


def _cut(number: int, size: int, frame: int) -> InputError:
    return InputError(
        f"{NAME}: ends in the middle of frame {number} ({size} of {frame} bytes); what feeds it "
        f"ended early, or the size or format given is wrong."
    )
