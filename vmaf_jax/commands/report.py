"""The command `vmaf-jax report`: pages of runs."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders or shipped names.")],
    out: Annotated[Path | None, typer.Option(help="The .html file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw one run's agreement, a .png file.")] = None,
    json_: Json = False,
) -> None:
    """Make a run's report.html again, or a page that compares several runs with the first."""
    from vmaf_jax.jobs.report_runs import report as write_report
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines

    with Terminal() as terminal:
        terminal.stage("report")
        page = write_report(runs, out, png=png)
    if json_:
        show_json({"report": str(page), "png": None if png is None else str(png)})
    else:
        show_lines([str(page)])
