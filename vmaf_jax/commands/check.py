"""The command `vmaf-jax check`: clips and subjects of a feature table that deserve no belief."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json
from vmaf_jax.errors import GateError


def check(
    table: Annotated[str, typer.Argument(help="A feature table: its path or address.")],
    ratings: Annotated[Path | None, typer.Option(help="Raw votes: clip, subject, score.")] = None,
    json_: Json = False,
) -> None:
    """Find clips out of step, wrong references, swapped labels and unreliable subjects."""
    from vmaf_jax.jobs.check import FIXES
    from vmaf_jax.jobs.check import check as run_check
    from vmaf_jax.reporting.terminal import show_json, show_lines

    checked = run_check(table, ratings)
    if json_:
        show_json(checked.to_dict())
    else:
        show_lines(map(str, checked.findings))
        kinds = dict.fromkeys(finding.kind for finding in checked.findings)
        fixes = (f"{kind.replace('_', ' ')}: {FIXES[kind]}" for kind in kinds)
        show_lines([*checked.skipped, *fixes], on_error=True)
        if not checked.findings:
            show_lines([f"{table}: {checked.n_clips} clips, nothing suspect"], on_error=True)
    if checked.findings:
        raise GateError(f"{table}: {checked.summary()}.")
