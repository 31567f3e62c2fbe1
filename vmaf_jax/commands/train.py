"""The commands `init`, `train` and `select`: a folder to start from, a run folder, a choice."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands import options
from vmaf_jax.commands.distributed import ONE_PROCESS, Processes
from vmaf_jax.environment import is_first_process, prepare_training


@options.expand_settings
def train(
    config: options.ConfigFile,
    set_: options.Overrides = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of the run; by default runs/<name>.")
    ] = None,
    overwrite: options.Overwrite = False,
    save_every: options.SaveEvery = None,
    processes: Processes = ONE_PROCESS,
    json_: options.Json = False,
) -> None:
    """Train, cross-validate, export and verify a student."""
    processes.join()
    prepare_training()  # before JAX computes anything: the number of devices is fixed then
    from vmaf_jax.jobs.train import take_part
    from vmaf_jax.jobs.train import train as run_training
    from vmaf_jax.reporting.evaluation_tables import show_run, show_sweep
    from vmaf_jax.reporting.terminal import Terminal, show_json
    from vmaf_jax.runs.config import load_config

    resolved = load_config(config, set_)
    if not is_first_process():
        take_part(resolved, save_every_s=save_every)
        return
    with Terminal() as terminal:
        terminal.stage("train")
        folder = run_dir or Path("runs") / resolved.name
        run = run_training(
            resolved, folder, overwrite=overwrite, save_every_s=save_every, progress=terminal
        )
    if json_:
        show_json(run.with_sweep() if run.sweep else run.metrics)
    else:
        if run.sweep is not None:
            show_sweep(run.sweep)
        show_run(run.metrics)
    terminal.say(f"run folder: {run.path}")
    # `--model tiny` is the shipped model, not a folder of that name.
    model = shlex.quote(str(run.path if folder == Path(folder.name) else folder))
    score = f"vmaf-jax score reference.y4m distorted.mp4 --model {model}"
    terminal.say(f"next: {score}; vmaf-jax export --model {model} --out model.onnx")


@options.expand_settings
def select(
    config: options.ConfigFile,
    out: Annotated[Path | None, typer.Option(help="Folder, by default runs/<name>.")] = None,
    overwrite: options.Overwrite = False,
    save_every: options.SaveEvery = None,
    processes: Processes = ONE_PROCESS,
    json_: options.Json = False,
) -> None:
    """Compare networks and trainings by held-out error, and state a choice."""
    processes.join()
    prepare_training()  # before JAX computes anything: the number of devices is fixed then
    from vmaf_jax.jobs.select import load_selection, take_part
    from vmaf_jax.jobs.select import select as run_selection
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines

    resolved = load_selection(config)
    if not is_first_process():
        take_part(resolved, save_every_s=save_every)
        return
    folder = out or Path("runs") / resolved.name
    with Terminal() as terminal:
        terminal.stage("select")
        selection = run_selection(
            resolved, folder, overwrite=overwrite, save_every_s=save_every, progress=terminal
        )
    show_json(selection.to_dict()) if json_ else show_lines([str(selection)])
    terminal.say(f"report: {folder / 'report.html'}")


def init(
    folder: Annotated[Path, typer.Argument(help="Where; created if it is missing.")] = Path(),
    labels: Annotated[
        str,
        typer.Option(
            "--for",
            help="What a model is to learn: vmaf, or opinions.",
            autocompletion=options.complete("vmaf", "opinions"),
        ),
    ] = "vmaf",
    json_: options.Json = False,
) -> None:
    """Write a commented configuration and a list of clips to start from."""
    from vmaf_jax.jobs.init import CLIPS, CONFIG
    from vmaf_jax.jobs.init import init as write_start
    from vmaf_jax.reporting.terminal import show_json, show_lines

    paths = write_start(folder, labels)
    if json_:
        show_json({"files": [str(path) for path in paths]})
        return
    scale = " --label-scale 1 5" if labels == "opinions" else ""
    enter = [] if folder == Path() else [f"    cd {shlex.quote(str(folder))}"]
    show_lines(
        [
            f"wrote {' and '.join(map(str, paths))}; list your clips in {CLIPS}, then:",
            *enter,
            f"    vmaf-jax extract --corpus manifest --manifest {CLIPS}{scale} "
            f"--out features.parquet",
            f"    vmaf-jax train --config {CONFIG}",
        ]
    )
