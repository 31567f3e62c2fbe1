"""`vmaf-jax export`."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json, PictureSize, Quantize, Samples


def export(
    model: Annotated[str, typer.Option(help="Shipped name, run folder, libvmaf .json.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    format_: Annotated[str, typer.Option("--format", help="onnx, libvmaf or pixels.")] = "onnx",
    quantize: Quantize = None,
    size: PictureSize = None,
    samples: Samples = "float32",
    json_: Json = False,
) -> None:
    """Export a trained student, verified against JAX."""
    from vmaf_jax.jobs.export import export as run_export
    from vmaf_jax.reporting.terminal import show_json

    exported = run_export(model, out, format_, quantize, size=size, samples=samples)
    show_json(exported) if json_ else print("\n".join(exported.lines(out)))
