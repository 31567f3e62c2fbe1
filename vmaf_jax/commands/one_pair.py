"""`vmaf-jax score` with one distorted video: its score, and the files that are asked for."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import InputError
from vmaf_jax.files import check_output
from vmaf_jax.video.video import Video, check_video

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
    from vmaf_jax.jobs.score import score
    from vmaf_jax.reporting.terminal import Terminal, show_also, show_json, show_lines, show_scores

    with Terminal() as terminal:
        scores = score(reference, distorted, model, report=terminal, **settings)
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
        show_also(scores.also_statistics(), on_error=bool(frames))
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
