"""The command `vmaf-jax calibrate`: a few votes on a title to a prediction of all its clips."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json, ModelName, Overwrite, VoteScale
from vmaf_jax.errors import InputError


def calibrate(
    features: Annotated[str, typer.Option(help="A feature table: its path or address.")],
    model: ModelName = "vmaf_4k_v0.6.1",
    suggest: Annotated[
        int | None, typer.Option(help="So many clips of each title to have rated.")
    ] = None,
    already: Annotated[Path | None, typer.Option(help="Of --suggest: votes there are.")] = None,
    costs: Annotated[Path | None, typer.Option(help="Of --suggest: clip, cost.")] = None,
    votes: Annotated[
        Path | None, typer.Option(help="clip, mos, mos_ci95; or clip, subject, vote.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Of --votes: folder of the result.")] = None,
    title: Annotated[list[str] | None, typer.Option(help="Only this source, repeatable.")] = None,
    interval: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.9,
    label_scale: VoteScale = None,
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Choose clips of a title to have rated, and predict the others from their votes."""
    if (suggest is None) == (votes is None):
        raise InputError("calibrate needs --suggest N, or --votes FILE with --out DIR; pass one.")
    from vmaf_jax.jobs.calibrate import calibrate as run_calibration
    from vmaf_jax.jobs.calibrate import suggest as run_suggestion
    from vmaf_jax.reporting.terminal import show_json, show_lines

    if suggest is not None:
        suggestions = run_suggestion(
            features,
            suggest,
            model,
            titles=title or (),
            already=already,
            costs=costs,
            label_scale=label_scale,
        )
        if json_:
            show_json(suggestions)
        else:
            show_lines(suggestions.to_csv().splitlines())
        return
    if votes is None or out is None or already is not None or costs is not None:
        raise InputError("--votes FILE goes with --out DIR; --already and --costs with --suggest.")
    result = run_calibration(
        features,
        votes,
        out,
        model,
        titles=title or (),
        interval=interval,
        label_scale=label_scale,
        overwrite=overwrite,
    )
    if json_:
        show_json(result)
    else:
        rated = sum(clip.rated for clip in result.clips)
        show_lines([f"{out}: {len(result.clips)} clips, {rated} of them rated"])
