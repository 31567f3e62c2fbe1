"""Videos that are not files: arrays, and standard input (`-`).

Both are written into a temporary folder that lasts as long as the measurement, so that whatever
measures files (both backends, the cache, the checks of a pair) measures them in the same way. A
stream is kept because it is decoded more than once: for what it is, for damage, for its pictures.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import limit, temporary_error, work_folder
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.pixel_format import SUBSAMPLING, chroma_size

Planes = tuple[npt.NDArray[np.integer], ...]


@contextlib.contextmanager
def arrays_as_files(reference: Any, distorted: Any, bits: int) -> Iterator[tuple[Any, Any]]:
    """Yields the two, with a raw file in the place of each that is an array.

    Args:
        reference, distorted: integers, luma `[frames, height, width]` or planes (Y, U, V) of such
            frames, U and V as 4:2:0, 4:2:2 or 4:4:4; or anything else, such as a path.
        bits: of the samples: 8, 10 or 12.

    Raises:
        InputError: an array of another shape, of floats, or beyond the range of `bits`.
    """
    if not (_is_array(reference) or _is_array(distorted)):
        yield reference, distorted
        return
    with work_folder() as folder:
        videos = {"reference": reference, "distorted": distorted}
        for name, video in videos.items():
            if _is_array(video):
                videos[name] = _write_raw(folder / f"{name}.yuv", _planes(name, video, bits), bits)
        yield videos["reference"], videos["distorted"]


def _is_array(video: Any) -> bool:
    """Tells whether this is an array, or a sequence of them."""
    if isinstance(video, (tuple, list)):
        return len(video) > 0 and all(_is_array(plane) for plane in video)
    return hasattr(video, "dtype") and hasattr(video, "shape")


def _planes(name: str, video: Any, bits: int) -> Planes:
    from vmaf_jax.features.frames import check_samples  # imports JAX

    planes = video if isinstance(video, (tuple, list)) else (video,)
    check_samples(bits, **{f"{name}[{k}]": plane for k, plane in enumerate(planes)})
    arrays = tuple(np.asarray(plane) for plane in planes)
    if len(arrays) not in (1, 3) or any(array.ndim != 3 or not array.size for array in arrays):
        raise InputError(
            f"{name}: arrays of shape {_shapes(arrays)}; expected luma [frames, height, width], or "
            f"three planes (Y, U, V) of that kind. Convert RGB first."
        )
    for array in arrays:
        if not np.issubdtype(array.dtype, np.integer):
            raise InputError(
                f"{name}: {array.dtype} samples; round them to integers (vmaf_jax.vmaf takes "
                f"floats as they are)."
            )
    return arrays


def _shapes(arrays: Sequence[np.ndarray]) -> str:
    return ", ".join(str(list(array.shape)) for array in arrays)


def _layout(name: str, planes: Planes) -> str:
    """Returns the chroma layout of the planes, a key of `SUBSAMPLING`; 4:2:0 for luma alone."""
    frames, height, width = planes[0].shape
    for layout in SUBSAMPLING:
        chroma = (frames, *chroma_size(height, width, layout))
        if all(plane.shape == chroma for plane in planes[1:]):
            return layout
    raise InputError(f"{name}: planes of {_shapes(planes)} are none of {', '.join(SUBSAMPLING)}.")


def _write_raw(path: Path, planes: Planes, bits: int) -> Video:
    """Writes the planes frame after frame; luma alone gets chroma of mid-grey."""
    frames, height, width = planes[0].shape
    layout = _layout(path.stem, planes)
    grey = np.full(chroma_size(height, width, layout), 1 << (bits - 1))
    sample = np.dtype("u1" if bits == 8 else "<u2")
    try:
        with path.open("wb") as file:
            for k in range(frames):
                chroma = [plane[k] for plane in planes[1:]] or [grey, grey]
                for plane in (planes[0][k], *chroma):
                    file.write(plane.astype(sample).tobytes())
    except OSError as error:
        raise temporary_error(error) from error
    depth = "" if bits == 8 else f"{bits}le"
    return Video(path, width, height, layout + depth, has_chroma=len(planes) == 3)


_NAME = "standard input"
_MAX_BYTES = 64 << 30
_CHUNK = 1 << 20
_Y4M = b"YUV4MPEG2 "
_HEADER = 1024  # bytes of a Y4M header line, at most
_COLOUR = re.compile(r"(mono|411|420|422|444)(?:jpeg|mpeg2|paldv)?(?:p?(\d+))?")
_ACROSS_DOWN = {"411": (4, 1), "420": (2, 2), "422": (2, 1), "444": (1, 1)}


@contextlib.contextmanager
def stdin_as_file(
    paths: Sequence[Path], width: int | None, height: int | None, pix_fmt: str | None
) -> Iterator[list[Path]]:
    """Yields the paths, with a temporary file of standard input in place of `-`.

    Args:
        width, height, pix_fmt: of raw files; a stream that is no Y4M is raw of that format.

    Raises:
        InputError: `-` is named twice, or standard input is a terminal, empty, too large, of no
            known kind, or a Y4M stream that ends in the middle of a frame.
    """
    count = [str(path) for path in paths].count("-")
    if count == 0:
        yield list(paths)
        return
    if count > 1:
        raise InputError("-: only one video can come through standard input; name a file.")
    with work_folder() as work:
        video = _store_stdin(work, is_raw=None not in (width, height, pix_fmt))
        if video.suffix == ".y4m":
            _check_y4m(video)
        try:
            yield [video if str(path) == "-" else path for path in paths]
        except InputError as error:
            raise InputError(str(error).replace(str(video), video.name)) from error


def _store_stdin(folder: Path, *, is_raw: bool) -> Path:
    """Copies standard input to a file of `folder`, named for what it is."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise InputError(f"{_NAME}: nothing comes through it; pipe a Y4M or raw stream into it.")
    most = limit("PIPE_BYTES", _MAX_BYTES)
    start = _read(len(_Y4M))
    if not start:
        raise InputError(f"{_NAME}: empty; see what the program before the pipe says.")
    if start != _Y4M and not is_raw:
        raise InputError(
            f"{_NAME}: no Y4M stream; for a raw one give --width, --height and --pix-fmt (ffmpeg: "
            f"-f yuv4mpegpipe -)."
        )
    path = folder / f"{_NAME}{'.y4m' if start == _Y4M else '.yuv'}"
    try:
        with path.open("wb") as file:
            size = file.write(start)
            while chunk := _read(_CHUNK):
                if (size := size + len(chunk)) > most:
                    raise InputError(
                        f"{_NAME}: more than {most} bytes; name a file, or set "
                        f"VMAF_JAX_MAX_PIPE_BYTES."
                    )
                file.write(chunk)
    except OSError as error:
        raise temporary_error(error) from error
    return path


def _read(size: int) -> bytes:
    """Returns `size` bytes of standard input, fewer at its end."""
    try:
        return sys.stdin.buffer.read(size)
    except OSError as error:
        raise InputError(
            f"{_NAME}: cannot be read ({error.strerror}); pipe a Y4M or raw stream into it."
        ) from error


def _check_y4m(path: Path) -> None:
    """Raises InputError where a Y4M file ends within a frame; ffmpeg judges unknown layouts.

    A pipe whose program died ends anywhere, and ffmpeg 9 drops a cut frame of Y4M without a word
    (`findings/cut_y4m.sh`).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.readline(_HEADER)
        if not header.endswith(b"\n"):
            raise InputError(f"{path.name}: ends within its Y4M header; see what feeds it.")
        frame = _y4m_frame_bytes(header)
        number = 0
        while frame is not None and (line := file.readline(_HEADER)):
            if not (line.startswith(b"FRAME") and line.endswith(b"\n")):
                raise InputError(
                    f"{path.name}: no frame {number} where it should begin; see what feeds it."
                )
            if (left := size - file.tell()) < frame:
                raise InputError(
                    f"{path.name}: ends in the middle of frame {number} ({left} of {frame} bytes); "
                    f"see what feeds it (docs/traps.md)."
                )
            file.seek(frame, os.SEEK_CUR)
            number += 1


def _y4m_frame_bytes(header: bytes) -> int | None:
    """Returns the bytes of a frame's samples; None for a layout that is not known here."""
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
