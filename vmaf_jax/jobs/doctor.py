"""`vmaf-jax doctor`: what this machine has of what extraction, training and export need."""

import dataclasses
import importlib.util
from importlib import metadata
from typing import Any

from vmaf_jax.environment import environment
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.libvmaf import libvmaf_version, other_build
from vmaf_jax.files import cache_dir
from vmaf_jax.video.ffmpeg import find_ffmpeg


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What is there, by name, and what is missing, each with its mend."""

    parts: dict[str, Any]
    problems: list[str]


def doctor() -> Diagnosis:
    """Looks at this machine."""
    import onnxruntime

    problems, libvmaf = [], "none"
    try:
        ffmpeg = find_ffmpeg()
        libvmaf = libvmaf_version(ffmpeg)
        ffmpeg_line = f"{ffmpeg.version} with libvmaf {libvmaf}, at {ffmpeg.path}"
    except InputError as error:
        ffmpeg_line = "none with libvmaf"
        problems.append(str(error))
    missing = [name for name in ("skimage", "skvideo") if importlib.util.find_spec(name) is None]
    parts = {
        "vmaf-jax": metadata.version("vmaf-jax"),
        **environment(),
        "onnxruntime providers": onnxruntime.get_available_providers(),
        "ffmpeg": ffmpeg_line,
        "libvmaf": other_build(libvmaf) or f"{libvmaf}, the build of the documented figures",
        "demo corpus": "needs `pip install 'vmaf-jax[demo]'`" if missing else "ready",
        "cache": str(cache_dir()),
    }
    return Diagnosis(parts, problems)
