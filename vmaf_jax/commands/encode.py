"""The command `vmaf-jax encode`: the cheapest encode of a video that keeps a target score."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json


def encode(
    reference: Annotated[Path, typer.Argument(help="The video to encode.")],
    target: Annotated[float, typer.Option(help="Points, as 93, that the finished file keeps.")],
    out: Annotated[Path, typer.Option(help="The finished file: .mp4, .mkv, .mov, .webm.")],
    encoder_args: Annotated[
        list[str] | None,
        typer.Argument(help="After --: further options of the encoder, as -g 240."),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Shipped name, run folder, .onnx, libvmaf .json; auto: VMAF.")
    ] = "auto",
    votes: Annotated[
        bool, typer.Option("--votes", help="The target is a vote, as 4.2, of a model of votes.")
    ] = False,
    encoder: Annotated[
        str, typer.Option(help="libx264, libx265, libsvtav1, libvpx-vp9 or libaom-av1.")
    ] = "libx264",
    preset: Annotated[str | None, typer.Option(help="The encoder's speed, in its words.")] = None,
    pix_fmt: Annotated[str | None, typer.Option(help="Of the encode, such as yuv420p10le.")] = None,
    height: Annotated[
        int | None, typer.Option(help="Lines of the encode, scaled back for scoring.")
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="At which the finished file keeps the target.")
    ] = 0.95,
    pool: Annotated[
        str | None, typer.Option(help="mean, harmonic, p1, p5, p10, worst-second, worst-shot.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Points above the target beyond which it is encoded again.")
    ] = 1.0,
    max_kbps: Annotated[float | None, typer.Option(help="Most kbit/s of the video.")] = None,
    min_saving: Annotated[
        float | None, typer.Option(help="Least percent of the source's bytes to save.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the source and stop at the plan.")
    ] = False,
    json_: Json = False,
) -> None:
    """Encode a video as cheaply as a target score allows."""
    from vmaf_jax.jobs.encode import EncodeSettings
    from vmaf_jax.jobs.encode import encode as encode_to_target
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines

    settings = EncodeSettings(
        target=target,
        votes=votes,
        model=model,
        encoder=encoder,
        preset=preset,
        pix_fmt=pix_fmt,
        height=height,
        encoder_args=tuple(encoder_args or ()),
        confidence=confidence,
        pool=pool,
        tolerance=tolerance,
        max_kbps=max_kbps,
        min_saving=min_saving,
    )
    with Terminal() as terminal:
        result = encode_to_target(reference, out, settings, dry_run=dry_run, progress=terminal)
    if json_:
        show_json(result)
    else:
        show_lines(result.lines())
    result.check()
