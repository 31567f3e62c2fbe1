"""The command `vmaf-jax select`: a grid of networks and trainings."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.distributed import (
    Coordinator,
    Distributed,
    Process,
    Processes,
    start_process,
)
from vmaf_jax.commands.options import ConfigFile, Json, Overwrite, SaveEvery
from vmaf_jax.environment import is_first_process, prepare_training


def select(
    config: ConfigFile,
    out: Annotated[Path | None, typer.Option(help="Folder, by default runs/<name>.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Five seeds for the finalists.")] = False,
    overwrite: Overwrite = False,
    save_every: SaveEvery = None,
    distributed: Distributed = False,
    coordinator: Coordinator = None,
    processes: Processes = None,
    process: Process = None,
    json_: Json = False,
) -> None:
    """Compare networks, losses and strategies, and state a choice."""
    if distributed:
        start_process(coordinator, processes, process)
    prepare_training()  # before JAX computes anything: the number of devices is fixed then
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines
    from vmaf_jax.selection.grid import load_selection
    from vmaf_jax.selection.select import select as run_selection
    from vmaf_jax.selection.select import take_part

    resolved = load_selection(config)
    if not is_first_process():
        take_part(resolved, full=full, save_every_s=save_every)
        return
    folder = out or Path("runs") / resolved.name
    with Terminal() as terminal:
        terminal.stage("select")
        findings = run_selection(
            resolved,
            folder,
            full=full,
            overwrite=overwrite,
            save_every_s=save_every,
            progress=terminal,
        )
    show_json(findings) if json_ else show_lines(str(findings.choice).split("\n"))
    terminal.say(f"report: {folder / 'report.html'}")
