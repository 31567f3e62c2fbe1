"""The ffmpeg that decodes and measures: which one, and whether it has libvmaf.

A user's own, named by `VMAF_JAX_FFMPEG`, comes first; then the one that imageio-ffmpeg carries.
"""

import contextlib
import dataclasses
import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from vmaf_jax.errors import InputError

ENVIRONMENT_VARIABLE = "VMAF_JAX_FFMPEG"


@dataclasses.dataclass(frozen=True)
class Ffmpeg:
    """An ffmpeg program with the libvmaf filter."""

    path: str
    version: str


def _candidates() -> list[str]:
    found: list[str] = []
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        found.append(str(Path(shutil.which(chosen) or chosen).absolute()))
    import imageio_ffmpeg

    with contextlib.suppress(RuntimeError):  # the package has no binary for this platform
        found.append(imageio_ffmpeg.get_ffmpeg_exe())
    return found


@functools.lru_cache
def _inspect(path: str) -> tuple[str, bool]:
    """The version line of the program at `path`, and whether it has the libvmaf filter."""
    try:
        result = subprocess.run(
            [path, "-hide_banner", "-version"], capture_output=True, text=True, check=True
        )
        filters = subprocess.run(
            [path, "-hide_banner", "-filters"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "", False
    match = re.match(r"ffmpeg version (\S+)", result.stdout)
    return (match[1] if match else "unknown"), " libvmaf " in filters.stdout


def find_ffmpeg() -> Ffmpeg:
    """The first usable ffmpeg.

    Raises:
        InputError: none of the candidates runs and has the libvmaf filter.
    """
    candidates = _candidates()
    for path in candidates:
        version, has_libvmaf = _inspect(path)
        if has_libvmaf:
            return Ffmpeg(path, version)
    tried = ", ".join(Path(path).as_posix() for path in candidates) or "none found"
    raise InputError(
        f"no ffmpeg with the libvmaf filter (tried: {tried}); point {ENVIRONMENT_VARIABLE} at one "
        f"built with --enable-libvmaf, or reinstall imageio-ffmpeg."
    )
