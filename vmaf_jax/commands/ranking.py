"""`vmaf-jax score` with several distorted files, or folders: one table, the best first."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import InputError
from vmaf_jax.files import check_output, is_folder
from vmaf_jax.printable import printable


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
    from vmaf_jax.jobs.rank import rank
    from vmaf_jax.reporting.terminal import (
        RankedVideo,
        Terminal,
        show_json,
        show_lines,
        show_ranking,
    )

    with Terminal() as terminal:
        ranking = rank(reference, distorted, model, report=terminal, **settings)
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
