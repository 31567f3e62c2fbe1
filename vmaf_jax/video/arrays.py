"""Arrays in the place of video files.

They are written raw into a folder that lasts as long as the measurement, so that whatever measures
files (both backends, the cache, the checks of a pair) measures them in the same way.
"""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import no_temporary, work_folder
from vmaf_jax.video.video import SUBSAMPLING, Video

Planes = tuple[npt.NDArray[Any], ...]


@contextlib.contextmanager
def as_files(reference: Any, distorted: Any, bits: int) -> Iterator[tuple[Any, Any]]:
    """The two, with a raw file in the place of each that is an array; others stay as they are.

    Args:
        reference, distorted: integers, luma `[frames, height, width]` or planes (Y, U, V) of such
            frames, U and V as 4:2:0, 4:2:2 or 4:4:4; or anything else, such as a path.
        bits: of the samples: 8, 10 or 12.

    Raises:
        InputError: an array of another shape, of floats, or beyond the range of `bits`.
    """
    if not (is_array(reference) or is_array(distorted)):
        yield reference, distorted
        return
    with work_folder() as folder:
        videos = {"reference": reference, "distorted": distorted}
        for name, video in videos.items():
            if is_array(video):
                videos[name] = _written(folder / f"{name}.yuv", _planes(name, video, bits), bits)
        yield videos["reference"], videos["distorted"]


def is_array(video: Any) -> bool:
    """Whether this is an array, or three of them."""
    if isinstance(video, (tuple, list)):
        return len(video) > 0 and all(is_array(plane) for plane in video)
    return hasattr(video, "dtype") and hasattr(video, "shape")


def _planes(name: str, video: Any, bits: int) -> Planes:
    from vmaf_jax.features.samples import check_samples  # imports JAX

    planes = video if isinstance(video, (tuple, list)) else (video,)
    check_samples(bits, **{f"{name}[{k}]": plane for k, plane in enumerate(planes)})
    arrays = tuple(np.asarray(plane) for plane in planes)
    shapes = ", ".join(str(list(array.shape)) for array in arrays)
    if len(arrays) not in (1, 3) or any(array.ndim != 3 or not array.size for array in arrays):
        raise InputError(
            f"{name}: arrays of shape {shapes}; expected luma [frames, height, width], or three "
            f"planes (Y, U, V) of that kind. Convert RGB first."
        )
    for array in arrays:
        if not np.issubdtype(array.dtype, np.integer):
            raise InputError(
                f"{name}: {array.dtype} samples; round them to integers (vmaf_jax.vmaf takes "
                f"floats as they are)."
            )
    return arrays


def _layout(name: str, planes: Planes) -> str:
    """The chroma layout of the planes, a key of `SUBSAMPLING`; of luma alone any will do."""
    frames, height, width = planes[0].shape
    for layout, (across, down) in SUBSAMPLING.items():
        chroma = (frames, math.ceil(height / down), math.ceil(width / across))
        if all(plane.shape == chroma for plane in planes[1:]):
            return layout
    shapes = ", ".join(str(list(plane.shape)) for plane in planes)
    raise InputError(f"{name}: planes of {shapes} are none of {', '.join(SUBSAMPLING)}.")


def _written(path: Path, planes: Planes, bits: int) -> Video:
    """The planes as a raw file, frame after frame; luma alone gets chroma that says nothing."""
    frames, height, width = planes[0].shape
    layout = _layout(path.stem, planes)
    across, down = SUBSAMPLING[layout]
    grey = np.full((math.ceil(height / down), math.ceil(width / across)), 1 << (bits - 1))
    sample = np.dtype("u1" if bits == 8 else "<u2")
    try:
        with path.open("wb") as file:
            for k in range(frames):
                chroma = [plane[k] for plane in planes[1:]] or [grey, grey]
                for plane in (planes[0][k], *chroma):
                    file.write(plane.astype(sample).tobytes())
    except OSError as error:
        raise no_temporary(error) from error
    depth = "" if bits == 8 else f"{bits}le"
    return Video(path, width, height, layout + depth, has_chroma=len(planes) == 3)
