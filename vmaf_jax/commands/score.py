"""The command `vmaf-jax score`: one pair, or several distorted videos as a ranking."""

import dataclasses
from collections.abc import Mapping, Sequence
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
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import InputError
from vmaf_jax.files import check_output, is_folder
from vmaf_jax.printable import printable
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.inputs import Video, check_video


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
    extra_metrics: Annotated[
        str | None,
        typer.Option(help="Compute these too, of psnr,ssim,ms_ssim,ciede2000,psnr_hvs,cambi."),
    ] = None,
    engine: Engine = "local",
    address: Address = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The score and no more.")] = False,
    json_: Json = False,
) -> None:
    """Score a video against its reference."""
    from vmaf_jax.extraction.shards import check_engine
    from vmaf_jax.video.arrays import stdin_as_file

    if within is not None and per_frame:
        raise InputError("--within measures some frames, --per-frame lists all; drop one of them.")
    check_engine(engine, address)
    if engine == "ray" and Path("-") in (reference, *distorted):
        raise InputError("-: a cluster cannot read a pipe; name a file, or drop --engine ray.")
    comparison = Comparison(
        shortest=shortest,
        force=force,
        scale=scale,
        fps=fps,
        sync=sync,
        offset=offset,
        allow_damaged=allow_damaged,
        start=start,
        frames=frames,
        deinterlace=deinterlace,
        stream=stream,
    )
    others = tuple(name.strip() for name in (extra_metrics or "").split(",") if name.strip())
    settings: dict[str, Any] = {"width": width, "height": height, "pix_fmt": pix_fmt}
    settings |= {"backend": backend, "teachers": tuple(teacher or ()), "extra_metrics": others}
    settings |= {"interval": interval, "comparison": comparison}
    of_a_pair: dict[str, Any] = {"provider": provider, "within": within}
    files: dict[str, Any] = {"--csv": csv, "--plot": plot, "--log": log, "--html": html}
    shown = {"json_": json_, "quiet": quiet, "per_frame": per_frame}
    with stdin_as_file([reference, *distorted], width, height, pix_fmt) as (pristine, *degraded):
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


_RAW = ("width", "height", "pix_fmt")


def score_one(
    reference: Path,
    distorted: Path,
    model: str,
    settings: Mapping[str, Any],
    *,
    output: Mapping[str, Path | None],
    json_: bool,
    quiet: bool,
    per_frame: bool,
) -> None:
    """Scores a pair, writes the files and shows the score.

    Args:
        settings: of `score`, by name.
        output: files to write, by flag.
    """
    for video in (Video(reference), Video(distorted)):  # before imports that take seconds
        raw = {name: settings[name] for name in _RAW} if video.is_raw else {}
        check_video(dataclasses.replace(video, **raw))
    _check_files(output, [reference, distorted, Path(model)])
    prepare_extraction(str(settings["backend"]))
    from vmaf_jax.reporting.terminal import (
        Terminal,
        show_extra_metrics,
        show_json,
        show_lines,
        show_scores,
    )
    from vmaf_jax.scoring.score import score

    with Terminal() as terminal:
        scores = score(reference, distorted, model, progress=terminal, **settings)
        if (html := output["--html"]) is not None:
            from vmaf_jax.jobs.clip_page import write_clip_page

            terminal.stage("pictures")
            write_clip_page(html, [scores])
    for flag, path in output.items():
        if path is not None and flag != "--html":
            getattr(scores, f"write_{flag.removeprefix('--')}")(path)
    if json_:
        show_json(scores.to_dict(per_frame=per_frame))
        return
    if quiet:
        show_lines([f"{scores.pooled:.6f}"])
    else:
        frames = scores.frame_lines() if per_frame else []
        lines = [scores.pooled_line(), *scores.form_lines(), *scores.sure_lines()]
        show_scores(scores.all_statistics(), frames, "\n".join(filter(None, lines)))
        show_extra_metrics(scores.extra_metric_statistics(), on_error=bool(frames))
    if scores.choice is not None:
        show_lines([scores.choice], on_error=True)


def _check_files(output: Mapping[str, Path | None], inputs: list[Path]) -> None:
    """Finds out before long work whether the files can be written."""
    log = output["--log"]
    log_suffix = ".xml" if log is not None and log.suffix == ".xml" else ".json"
    suffixes = {"--csv": ".csv", "--plot": ".png", "--log": log_suffix, "--html": ".html"}
    for flag, path in output.items():
        if path is not None:
            check_output(path, suffixes[flag], inputs)
    if output["--csv"] is not None and output["--csv"] == output["--plot"]:
        raise InputError("--csv and --plot name one file; choose two.")


def is_many(reference: Path, distorted: Sequence[Path]) -> bool:
    """Whether more than one pair is meant."""
    return len(distorted) > 1 or is_folder(reference) or is_folder(distorted[0])


def score_many(
    reference: Path,
    distorted: Sequence[Path],
    model: str,
    settings: Mapping[str, Any],
    *,
    output: Mapping[str, Any],
    json_: bool,
    quiet: bool,
    per_frame: bool,
) -> None:
    """Ranks, shows, and ends with exit code 2 where a video has no score.

    Args:
        settings: of `rank`, by name.
        output: files to write, by flag; all but `--html` are of one pair alone, and refused.
    """
    html = output["--html"]
    for flag, value in output.items():
        if value is not None and flag != "--html":
            raise InputError(f"{flag} is of one pair; name one distorted video, or drop it.")
    if per_frame and not json_:
        raise InputError("--per-frame of several videos needs --json.")
    if html is not None:
        check_output(html, ".html", [reference, *distorted])
    prepare_extraction(str(settings["backend"]))
    from vmaf_jax.reporting.terminal import (
        RankedVideo,
        Terminal,
        show_json,
        show_lines,
        show_ranking,
    )
    from vmaf_jax.scoring.rank import rank

    with Terminal() as terminal:
        ranking = rank(reference, distorted, model, progress=terminal, **settings)
        if html is not None and ranking.ranked:
            from vmaf_jax.jobs.clip_page import write_clip_page

            terminal.stage("pictures")
            write_clip_page(html, ranking.ranked, [(f.distorted, f.reason) for f in ranking.failed])
    if json_:
        show_json(ranking.to_dict(per_frame=per_frame))
    elif quiet:
        rows = zip(ranking.ranked, ranking.names(), strict=True)
        show_lines(f"{scores.pooled:.6f}\t{printable(name)}" for scores, (_, name) in rows)
    else:
        show_ranking(
            [
                RankedVideo(*names, s.pooled, s.all_statistics(), s.sure, s.size, s.bitrate)
                for s, names in zip(ranking.ranked, ranking.names(), strict=True)
            ],
            [(failure.distorted, failure.reason) for failure in ranking.failed],
        )
    if ranking.ranked and ranking.ranked[0].choice is not None and not json_:
        show_lines([ranking.ranked[0].choice], on_error=True)
    ranking.check()
