"""`vmaf-jax --version`: the versions that a score, an export or a bug report depends on."""

import platform
from importlib import metadata

import typer

from vmaf_jax.errors import InputError

_PACKAGES = ("jax", "flax", "onnx", "onnxruntime", "numpy")


def version_lines() -> list[str]:
    """A name and a version a line, ours first; "none" for what is not installed."""
    from vmaf_jax.video.ffmpeg import find_ffmpeg

    lines = [f"vmaf-jax {metadata.version('vmaf-jax')}", f"python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} none")
    try:
        lines.append(f"ffmpeg {find_ffmpeg().version}")
    except InputError:
        lines.append("ffmpeg none with libvmaf")
    return lines


def show_version(wanted: bool | None) -> None:
    """Prints the versions and ends the program, where that is wanted."""
    if wanted:
        print("\n".join(version_lines()))
        raise typer.Exit
