"""Commands that make a model and judge it, from `init` to `export`."""

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands import options
from vmaf_jax.commands.distributed import ONE_PROCESS, Processes
from vmaf_jax.environment import is_first_process, prepare_extraction, prepare_training
from vmaf_jax.errors import InputError
from vmaf_jax.printable import format_count


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


def evaluate(
    model: options.ModelName,
    features: Annotated[
        str | None, typer.Option(help="A feature table: its path or address; or else:")
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(help="netflix, manifest, demo or demo_1080p.")
    ] = None,
    data_root: options.DataRoot = None,
    manifest: options.Manifest = None,
    label_scale: options.VoteScale = None,
    backend: options.Backend = "libvmaf",
    teacher: options.Labeller = None,
    label: options.Label = None,
    interval: Annotated[
        float | None, typer.Option(help="Level, as 0.9, of the clips' intervals.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="A second model: is it better, and is that sure?")
    ] = None,
    json_: options.Json = False,
) -> None:
    """Compare a model's predictions with labels, and two models with each other."""
    if teacher and label:
        raise InputError("--teacher and --label both name the labels; pass one.")
    if features is not None and (data_root or manifest or label_scale):
        raise InputError("--features is measured already; drop the corpus's flags.")
    prepare_extraction(backend)
    from vmaf_jax.extraction.corpus import CorpusSource
    from vmaf_jax.jobs.evaluate import evaluate as run_evaluation
    from vmaf_jax.reporting.evaluation_tables import (
        show_comparison,
        show_evaluation,
        show_intervals,
        show_opinions,
    )
    from vmaf_jax.reporting.terminal import Terminal, show_json

    source = None if corpus is None else CorpusSource(corpus, data_root, manifest, label_scale)
    with Terminal() as terminal:
        result = run_evaluation(
            model,
            features=features,
            source=source,
            backend=backend,
            label=label or teacher,
            interval=interval,
            against=against,
            progress=terminal,
        )
    if json_:
        show_json(result)
        return
    title = f"{result.model} ({result.kind}) against {result.label}"
    show_evaluation(title, result.overall, result.sources)
    if result.opinions is not None:
        show_opinions(title, result.opinions, result.label_scale)
    if (intervals := result.intervals) is not None:
        show_intervals(
            [dataclasses.astuple(clip) for clip in intervals.clips],
            f"{100 * intervals.level:g} % intervals held the label of {intervals.held:.1%} of "
            f"{format_count(len(intervals.clips), 'clip')}; mean width {intervals.mean_width:.3g} "
            f"points",
        )
    if (second := result.against) is not None:
        show_comparison(
            result.model,
            second.model,
            second.comparison,
            result.label_scale,
            "clip" if result.label == "mos" else "row",
        )


def calibrate(
    features: Annotated[str, typer.Option(help="A feature table: its path or address.")],
    model: options.ModelName = "vmaf_4k_v0.6.1",
    suggest: Annotated[
        int | None, typer.Option(help="Print this many clips of each title to have rated.")
    ] = None,
    already: Annotated[
        Path | None,
        typer.Option(help="For --suggest: clips that are rated already, as for --votes."),
    ] = None,
    costs: Annotated[Path | None, typer.Option(help="For --suggest: file of clip, cost.")] = None,
    codecs: Annotated[
        Path | None, typer.Option(help="File of clip, codec: clips of one codec may err alike.")
    ] = None,
    votes: Annotated[
        Path | None,
        typer.Option(help="File of votes: clip, mos, mos_ci95; or clip, subject, vote."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="For --votes: folder of the result.")] = None,
    title: Annotated[list[str] | None, typer.Option(help="Only this source; repeatable.")] = None,
    interval: Annotated[float, typer.Option(help="Level of the intervals.")] = 0.9,
    label_scale: options.VoteScale = None,
    overwrite: options.Overwrite = False,
    json_: options.Json = False,
) -> None:
    """Choose clips of a title to have rated, and predict the others from their votes."""
    if (suggest is None) == (votes is None):
        raise InputError("calibrate needs --suggest N, or --votes FILE with --out DIR; pass one.")
    if suggest is not None and (out is not None or overwrite):
        raise InputError("--suggest prints its result: --out and --overwrite go with --votes.")
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
            codecs=codecs,
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
        codecs=codecs,
        interval=interval,
        label_scale=label_scale,
        overwrite=overwrite,
    )
    if json_:
        show_json(result)
    else:
        rated = sum(clip.rated for clip in result.clips)
        counts = f"{out}: {format_count(len(result.clips), 'clip')}, {rated} of them rated"
        show_lines(filter(None, [counts, result.note]))


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders or shipped names.")],
    out: Annotated[Path | None, typer.Option(help="The .html file.")] = None,
    png: Annotated[Path | None, typer.Option(help="Draw one run's agreement, a .png file.")] = None,
    json_: options.Json = False,
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


def export(
    model: Annotated[str, typer.Option(help="Shipped name, run folder, libvmaf .json or name.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    format_: Annotated[str, typer.Option("--format", help="onnx, libvmaf or pixels.")] = "onnx",
    quantize: options.Quantize = None,
    size: options.PictureSize = None,
    samples: options.Samples = "float32",
    distance: Annotated[
        float | None,
        typer.Option(help="Viewing distance in picture heights, as 3.2, for --model opinions."),
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="A further model of an ensemble; repeatable.")
    ] = None,
    json_: options.Json = False,
) -> None:
    """Export a model for ONNX Runtime, ffmpeg or a browser, verified."""
    from vmaf_jax.jobs.export import export as run_export
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines

    if member:
        if format_ != "onnx" or quantize or size or distance is not None:
            raise InputError("--member makes an ONNX file of 32-bit floats; drop the other flag.")
        from vmaf_jax.jobs.export import export_ensemble

        ensemble = export_ensemble([model, *member], out)
        show_json(ensemble) if json_ else show_lines(ensemble.lines(out))
        return
    with Terminal() as terminal:
        terminal.stage("export and parity")
        exported = run_export(
            model, out, format_, quantize, size=size, samples=samples, distance=distance
        )
    show_json(exported) if json_ else show_lines(exported.lines(out))
