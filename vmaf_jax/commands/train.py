"""`vmaf-jax train`."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import ConfigFile, Json, Overrides
from vmaf_jax.environment import prepare_training


def train(
    config: ConfigFile,
    set_: Overrides = None,
    run_dir: Annotated[Path | None, typer.Option(help="By default runs/<name>.")] = None,
    save_every: Annotated[
        float | None, typer.Option(min=0, help="Seconds between saved states; resumes from one.")
    ] = None,
    json_: Json = False,
) -> None:
    """Train, cross-validate, export and verify a student."""
    prepare_training()
    from vmaf_jax.jobs.config import load_config
    from vmaf_jax.jobs.train import train as run_training
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_run

    resolved = load_config(config, set_)
    with Terminal() as terminal:
        terminal.stage("train")
        folder = run_dir or Path("runs") / resolved.name
        run = run_training(resolved, folder, save_every_s=save_every, report=terminal)
    show_json(run.metrics) if json_ else show_run(run.metrics)
    terminal.say(f"run folder: {run.path}")
