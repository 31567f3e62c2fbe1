"""The commands `doctor`, `registry verify` and `--version`, which look at the installation."""

import platform
from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json
from vmaf_jax.commands.program import Command
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


registry = typer.Typer(
    help="Check the models that a folder offers.", no_args_is_help=True, rich_markup_mode=None
)


@registry.callback()
def _registry() -> None:
    """Makes `registry` a group, though it has one command."""


@registry.command(cls=Command)
def verify(
    path: Annotated[Path | None, typer.Argument(help="By default that of the shipped.")] = None,
    json_: Json = False,
) -> None:
    """Check digests, sidecars, operators and schema of every model."""
    from vmaf_jax.jobs.doctor import verify_models
    from vmaf_jax.reporting.terminal import show_json, show_lines

    verified = verify_models(path)
    if json_:
        show_json(verified.model_dump(exclude_none=True))
    else:
        show_lines(f"{e.id}: {e.onnx}, {e.quant_mode}, sound" for e in verified.models)


_PACKAGES = ("jax", "flax", "onnx", "onnxruntime", "numpy")


def version_lines() -> list[str]:
    """Returns a name and a version a line, this program first; "none" without an installation."""
    from vmaf_jax.environment import package_version
    from vmaf_jax.video.ffmpeg import find_ffmpeg

    lines = [f"vmaf-jax {package_version('vmaf-jax')}", f"python {platform.python_version()}"]
    lines += [f"{name} {package_version(name)}" for name in _PACKAGES]
    try:
        lines.append(f"ffmpeg {find_ffmpeg().version}")
    except InputError:
        lines.append("ffmpeg none with libvmaf")
    return lines
