"""The command `vmaf-jax export`: a model as a verified file."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json, PictureSize, Quantize, Samples


def export(
    model: Annotated[str, typer.Option(help="Shipped name, run folder, libvmaf .json or name.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    format_: Annotated[str, typer.Option("--format", help="onnx, libvmaf or pixels.")] = "onnx",
    quantize: Quantize = None,
    size: PictureSize = None,
    samples: Samples = "float32",
    distance: Annotated[
        float | None, typer.Option(help="Viewers' picture heights, as 3.2; of opinions.")
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="A further model of an ensemble, repeatable.")
    ] = None,
    json_: Json = False,
) -> None:
    """Export a trained student, verified against JAX."""
    from vmaf_jax.errors import InputError
    from vmaf_jax.jobs.export import export as run_export
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines

    if member:
        if format_ != "onnx" or quantize or size or distance is not None:
            raise InputError("--member makes an ONNX file of 32-bit floats; drop the other flag.")
        from vmaf_jax.jobs.export import export_ensemble

        ensemble = export_ensemble([model, *member], out)
        show_json(ensemble) if json_ else show_lines(ensemble.lines(out))
        return
    with Terminal() as terminal:
        terminal.stage("export and parity")
        exported = run_export(
            model, out, format_, quantize, size=size, samples=samples, distance=distance
        )
    show_json(exported) if json_ else show_lines(exported.lines(out))
