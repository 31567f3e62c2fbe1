"""`vmaf-jax score`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vmaf_jax.commands.options import (
    Address,
    Damaged,
    Deinterlace,
    Engine,
    Force,
    Fps,
    Frames,
    Json,
    ModelName,
    Offset,
    Pixels,
    Provider,
    Scale,
    Shortest,
    Start,
    Stream,
    Sync,
    Teachers,
)
from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import ComparisonOptions


def score(
    reference: Annotated[Path, typer.Argument(help="The pristine video; - for a pipe.")],
    distorted: Annotated[list[Path], typer.Argument(help="The degraded one; several are ranked.")],
    model: ModelName = "tiny",
    teacher: Teachers = None,
    width: Pixels = None,
    height: Pixels = None,
    pix_fmt: Annotated[str | None, typer.Option(help="Of raw YUV, such as yuv420p.")] = None,
    shortest: Shortest = False,
    force: Force = False,
    scale: Scale = None,
    fps: Fps = None,
    sync: Sync = None,
    offset: Offset = 0,
    allow_damaged: Damaged = False,
    start: Start = None,
    frames: Frames = None,
    deinterlace: Deinterlace = None,
    stream: Stream = None,
    backend: Annotated[str, typer.Option(help="What measures: libvmaf, jax or onnx.")] = "libvmaf",
    provider: Provider = None,
    per_frame: Annotated[bool, typer.Option("--per-frame", help="Every frame's score.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write scores and features here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the scores, a .png file.")] = None,
    interval: Annotated[float | None, typer.Option(help="Level, as 0.9, of the interval.")] = None,
    within: Annotated[
        float | None, typer.Option(help="Points: measure only as many frames as that takes (95 %).")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="A log as libvmaf's, .json or .xml.")] = None,
    html: Annotated[Path | None, typer.Option(help="A page: quality over time, pictures.")] = None,
    also: Annotated[
        str | None, typer.Option(help="psnr,ssim,ms_ssim,ciede2000,psnr_hvs,cambi")
    ] = None,
    engine: Engine = "local",
    address: Address = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The score and no more.")] = False,
    json_: Json = False,
) -> None:
    """Score a video against its reference."""
    from vmaf_jax.commands.one_pair import score_one
    from vmaf_jax.commands.ranking import is_many, score_many
    from vmaf_jax.extraction.engines import check_engine
    from vmaf_jax.video.pipe import from_pipe

    if within is not None and per_frame:
        raise InputError("--within measures some frames, --per-frame lists all; drop one of them.")
    check_engine(engine, address)
    if engine == "ray" and Path("-") in (reference, *distorted):
        raise InputError("-: a cluster cannot read a pipe; name a file, or drop --engine ray.")
    how: ComparisonOptions = {
        "shortest": shortest,
        "force": force,
        "scale": scale,
        "fps": fps,
        "sync": sync,
        "offset": offset,
        "allow_damaged": allow_damaged,
        "start": start,
        "frames": frames,
        "deinterlace": deinterlace,
        "stream": stream,
    }
    others = tuple(name.strip() for name in (also or "").split(",") if name.strip())
    settings: dict[str, Any] = {"width": width, "height": height, "pix_fmt": pix_fmt}
    settings |= {"backend": backend, "teachers": tuple(teacher or ()), "also": others, **how}
    settings |= {"interval": interval}
    of_a_pair: dict[str, Any] = {"provider": provider, "within": within}
    files: dict[str, Any] = {"--csv": csv, "--plot": plot, "--log": log, "--html": html}
    shown = {"json_": json_, "quiet": quiet, "per_frame": per_frame}
    with from_pipe([reference, *distorted], width, height, pix_fmt) as (pristine, *degraded):
        if is_many(pristine, degraded):
            single = {"--provider": provider, "--within": within}
            files |= {name: value for name, value in single.items() if value is not None}
            settings |= {"engine": engine, "address": address}
            score_many(pristine, degraded, model, settings, output=files, **shown)
        elif engine == "ray":
            raise InputError("--engine ray: spreads several videos; name more, or drop it.")
        else:
            (lone,) = degraded
            score_one(pristine, lone, model, settings | of_a_pair, output=files, **shown)
