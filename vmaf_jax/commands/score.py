"""`vmaf-jax score`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from vmaf_jax.commands.options import (
    Damaged,
    Force,
    Fps,
    Json,
    ModelName,
    Offset,
    Pixels,
    Provider,
    Scale,
    Shortest,
    Sync,
    Teachers,
)
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import ComparisonOptions


def score(
    reference: Annotated[Path, typer.Argument(help="The pristine video.")],
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
    also: Annotated[str | None, typer.Option(help="psnr,ssim,ms_ssim,ciede2000,cambi")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The score and no more.")] = False,
    json_: Json = False,
) -> None:
    """Score a video against its reference."""
    raw: dict[str, Any]
    from vmaf_jax.commands.ranking import is_many, score_many
    from vmaf_jax.files import check_output
    from vmaf_jax.video.video import Video, check_video

    if within is not None and per_frame:
        raise InputError("--within measures some frames, --per-frame lists all; drop one of them.")
    how: ComparisonOptions = {
        "shortest": shortest,
        "force": force,
        "scale": scale,
        "fps": fps,
        "sync": sync,
        "offset": offset,
        "allow_damaged": allow_damaged,
    }
    others = tuple(name.strip() for name in (also or "").split(",") if name.strip())
    if is_many(reference, distorted):
        raw = {"width": width, "height": height, "pix_fmt": pix_fmt}
        raw |= {"backend": backend, "teachers": tuple(teacher or ()), "also": others, **how}
        raw |= {"interval": interval}
        files = {"--csv": csv, "--plot": plot, "--log": log, "--within": within}
        shown = {"json_": json_, "quiet": quiet, "per_frame": per_frame}
        score_many(reference, distorted, model, raw, output=files, **shown)
        return
    (degraded,) = distorted
    for video in (Video(reference), Video(degraded)):  # before imports that take seconds
        raw = {"width": width, "height": height, "pix_fmt": pix_fmt} if video.is_raw else {}
        check_video(dataclasses.replace(video, **raw))

    log_suffix = ".xml" if log is not None and log.suffix == ".xml" else ".json"
    for path, suffix in ((csv, ".csv"), (plot, ".png"), (log, log_suffix)):
        if path is not None:
            check_output(path, suffix, [reference, degraded, Path(model)])
    if csv is not None and csv == plot:
        raise InputError("--csv and --plot name one file; choose two.")
    prepare_extraction(backend)
    from vmaf_jax.jobs.score import score as score_pair
    from vmaf_jax.reporting.terminal import show_also, show_json, show_scores

    raw = {"width": width, "height": height, "pix_fmt": pix_fmt}
    raw |= {"backend": backend, "provider": provider, "teachers": tuple(teacher or ())}
    raw |= {"also": others, "interval": interval, "within": within}
    scores = score_pair(reference, degraded, model, **raw, **how)
    if csv is not None:
        scores.write_csv(csv)
    if plot is not None:
        scores.write_plot(plot)
    if log is not None:
        scores.write_log(log)
    if quiet and not json_:
        print(f"{scores.pooled:.6f}")
    elif json_:
        show_json(scores.to_dict(per_frame=per_frame))
    else:
        frames = scores.frame_lines() if per_frame else []
        lines = [scores.pooled_line(), *scores.sure_lines()]
        show_scores(scores.all_statistics(), frames, "\n".join(filter(None, lines)))
        show_also(scores.also_statistics(), on_error=bool(frames))
