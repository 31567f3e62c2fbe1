"""The commands `doctor`, `registry verify` and `--version`, which look at the installation."""

import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json
from vmaf_jax.errors import InputError


def doctor(json_: Json = False) -> None:
    """Say what this machine has and what is missing."""
    from vmaf_jax.jobs.doctor import doctor as examine
    from vmaf_jax.reporting.terminal import show_json, show_parts

    diagnosis = examine()
    if json_:
        show_json({**diagnosis.parts, "problems": diagnosis.problems})
    else:
        show_parts(diagnosis.parts)
    if diagnosis.problems:
        raise InputError(diagnosis.problems[0])


def verify(
    path: Annotated[Path | None, typer.Argument(help="By default that of the shipped.")] = None,
    json_: Json = False,
) -> None:
    """Check digests, sidecars, operators and schema of every model."""
    from vmaf_jax.jobs.doctor import verify_models
    from vmaf_jax.reporting.terminal import show_json, show_lines

    registry = verify_models(path)
    if json_:
        show_json(registry.model_dump(exclude_none=True))
    else:
        show_lines(f"{e.id}: {e.onnx}, {e.quant_mode}, sound" for e in registry.models)


_PACKAGES = ("jax", "flax", "onnx", "onnxruntime", "numpy")


def version_lines() -> list[str]:
    """Returns a name and a version a line, this program first; "none" without an installation."""
    from vmaf_jax.environment import package_version
    from vmaf_jax.video.ffmpeg import find_ffmpeg

    lines = [f"vmaf-jax {metadata.version('vmaf-jax')}", f"python {platform.python_version()}"]
    lines += [f"{name} {package_version(name)}" for name in _PACKAGES]
    try:
        lines.append(f"ffmpeg {find_ffmpeg().version}")
    except InputError:
        lines.append("ffmpeg none with libvmaf")
    return lines


def show_version(wanted: bool | None) -> None:
    """Prints the versions and ends the program, if `wanted`."""
    if wanted:
        print("\n".join(version_lines()))
        raise typer.Exit
