"""The command `vmaf-jax ladder`: codecs by rate and quality."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json


def ladder(
    table: Annotated[Path, typer.Argument(help="Scored encodes: .csv, .json, .jsonl, .parquet.")],
    anchor: Annotated[str | None, typer.Option(help="Codec to compare others with.")] = None,
    level: Annotated[float, typer.Option(help="Of BD-rate's intervals, in (0, 1).")] = 0.95,
    hull: Annotated[
        bool | None, typer.Option(help="Curves through each codec's hull, or all encodes.")
    ] = None,
    allow_crossing: Annotated[
        bool, typer.Option("--allow-crossing", help="Compare curves that cross.")
    ] = False,
    content: Annotated[str | None, typer.Option(help="Only this content.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write encodes and hulls here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves, a .png file.")] = None,
    json_: Json = False,
) -> None:
    """Compare codecs by rate and quality: curves, BD-rate, convex hull."""
    from vmaf_jax.files import check_output, write_bytes
    from vmaf_jax.jobs.ladder import ladder as make_ladder
    from vmaf_jax.reporting.ladder_tables import (
        check_panels,
        rungs_csv,
        show_bd_rate,
        show_hull,
    )
    from vmaf_jax.reporting.terminal import show_json, show_lines

    for path, suffix in ((csv, ".csv"), (plot, ".png")):
        if path is not None:
            check_output(path, suffix, [table])
    result = make_ladder(
        table,
        anchor=anchor,
        level=level,
        hull=hull,
        allow_crossing=allow_crossing,
        content=content,
    )
    show_lines(map(str, result.left_out), on_error=True)
    hulls = result.hulls()
    if plot is not None:
        check_panels(hulls)
    if csv is not None:
        rungs = ((rung.encode, rung.on_hull, rung.on_codec_hull) for rung in result.rungs)
        write_bytes(csv, rungs_csv(rungs))
    if plot is not None:
        from vmaf_jax.reporting.plots import plot_curves

        write_bytes(plot, plot_curves(result.curves, hulls))
    if json_:
        show_json(result.to_dict())
        return
    for entry in result.bd_rates:
        show_bd_rate(entry.codec, result.anchor, entry.contents, entry.mean, entry.intervals, level)
    for name, encodes in hulls.items():
        show_hull(name, encodes)
