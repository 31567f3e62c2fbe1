"""The command line: parse, call one job, render its result.

Text for people goes to standard error, results to standard output. Exit codes: 0 done, 1 a gate
failed, 2 bad input or environment.
"""

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vmaf_jax.environment import prepare_extraction, prepare_training
from vmaf_jax.errors import GateError, InputError

app = typer.Typer(
    help="Train, verify and deploy tiny VMAF-class video quality predictors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_INTERRUPTED = 130  # what Typer exits with after Ctrl-C


def main(arguments: list[str] | None = None, *, leave: bool = True) -> None:
    """Runs a command and exits with its code; with `leave` False it returns after a success."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        app(args=arguments, prog_name="vmaf-jax")
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("vmaf-jax: interrupted; run it again, what is done is kept.", file=sys.stderr)
        if leave or end.code:
            raise
    except InputError as error:
        print(f"vmaf-jax: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except GateError as error:
        print(f"vmaf-jax: {error}", file=sys.stderr)
        sys.exit(1)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="YAML file in configs/.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of the netflix corpus.")]
Manifest = Annotated[Path | None, typer.Option(help="CSV, JSON Lines or Parquet.")]
Backend = Annotated[str, typer.Option(help="What measures: libvmaf, or jax.")]
ModelName = Annotated[str, typer.Option(help="Shipped name, run folder, .onnx or libvmaf .json.")]
Label = Annotated[str | None, typer.Option(help="Label column, e.g. mos.")]
Labeller = Annotated[str | None, typer.Option(help="Label column of this teacher.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")]
Pixels = Annotated[int | None, typer.Option(help="Of raw YUV.")]
Quantize = Annotated[str | None, typer.Option(help="dynamic or static: an 8-bit file beside it.")]
Teachers = Annotated[list[str] | None, typer.Option(help="Name or JSON file, repeatable.")]
Shortest = Annotated[bool, typer.Option("--shortest", help="Allow unequal lengths.")]


@app.command()
def train(
    config: ConfigFile,
    set_: Overrides = None,
    run_dir: Annotated[Path | None, typer.Option(help="By default runs/<name>.")] = None,
    json_: Json = False,
) -> None:
    """Train, cross-validate, export and verify a student."""
    prepare_training()
    from vmaf_jax.jobs.config import load_config
    from vmaf_jax.jobs.train import train as run_training
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_run

    resolved = load_config(config, set_)
    with Terminal() as terminal:
        run = run_training(resolved, run_dir or Path("runs") / resolved.name, report=terminal)
    show_json(run.metrics) if json_ else show_run(run.metrics)
    terminal.say(f"run folder: {run.path}")


@app.command()
def extract(
    corpus: Annotated[str, typer.Option(help="netflix, manifest, demo or support_vectors.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    data_root: DataRoot = None,
    manifest: Manifest = None,
    teacher: Teachers = None,
    features: Annotated[str, typer.Option(help="vmaf, or vmaf_neg (gain limits).")] = "vmaf",
    mean_pool: Annotated[bool, typer.Option("--mean-pool", help="Clip means.")] = False,
    shortest: Shortest = False,
    backend: Backend = "libvmaf",
    jobs: Annotated[int | None, typer.Option(min=1, help="Clips measured at a time.")] = None,
    json_: Json = False,
) -> None:
    """Extract features and teacher scores into a feature table."""
    prepare_extraction(backend)
    from vmaf_jax.jobs import extract as job
    from vmaf_jax.reporting.terminal import Terminal, show_json

    settings: dict[str, Any] = {"features": features, "mean_pool": mean_pool, "shortest": shortest}
    if teacher:
        settings["teachers"] = tuple(teacher)
    source = job.CorpusSource(corpus, data_root, manifest)
    with Terminal() as terminal:
        table = job.extract(source, out, backend=backend, jobs=jobs, report=terminal, **settings)
    counts = {"rows": len(table), "clips": table.n_clips, "sources": table.sources}
    if json_:
        show_json({"out": str(out), **counts, "labels": list(table.labels)})
    else:
        print(f"{out}: {len(table)} rows, {table.n_clips} clips, {len(table.sources)} sources")


@app.command()
def evaluate(
    model: ModelName,
    features: Annotated[Path | None, typer.Option(help="A feature table, or else:")] = None,
    corpus: Annotated[str | None, typer.Option(help="netflix, manifest or demo.")] = None,
    data_root: DataRoot = None,
    manifest: Manifest = None,
    backend: Backend = "libvmaf",
    teacher: Labeller = None,
    label: Label = None,
    json_: Json = False,
) -> None:
    """Compare a model's predictions with labels."""
    if teacher and label:
        raise InputError("--teacher and --label both name the labels; pass one.")
    if features is not None and (data_root or manifest):
        raise InputError("--features is measured already; drop the corpus's flags.")
    prepare_extraction(backend)
    from vmaf_jax.jobs.evaluate import evaluate as run_evaluation
    from vmaf_jax.jobs.extract import CorpusSource
    from vmaf_jax.reporting.terminal import Terminal, show_evaluation, show_json

    source = None if corpus is None else CorpusSource(corpus, data_root, manifest)
    rows: dict[str, Any] = {"features": features, "source": source, "backend": backend}
    with Terminal() as terminal:
        result = run_evaluation(model, label=label or teacher, report=terminal, **rows)
    if json_:
        show_json(result)
    else:
        title = f"{result.model} ({result.kind}) against {result.label}"
        show_evaluation(title, result.overall, result.sources)


@app.command()
def score(
    reference: Annotated[Path, typer.Argument(help="The pristine video.")],
    distorted: Annotated[Path, typer.Argument(help="The degraded one.")],
    model: ModelName = "tiny",
    teacher: Teachers = None,
    width: Pixels = None,
    height: Pixels = None,
    pix_fmt: Annotated[str | None, typer.Option(help="Of raw YUV, such as yuv420p.")] = None,
    shortest: Shortest = False,
    backend: Backend = "libvmaf",
    per_frame: Annotated[bool, typer.Option("--per-frame", help="Every frame's score.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write scores and features here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the scores, a .png file.")] = None,
    json_: Json = False,
) -> None:
    """Score a video against its reference."""
    from vmaf_jax.files import check_output

    for path, suffix in ((csv, ".csv"), (plot, ".png")):
        if path is not None:
            check_output(path, suffix)
    prepare_extraction(backend)
    from vmaf_jax.jobs.score import score as score_pair
    from vmaf_jax.reporting.terminal import show_json, show_scores

    raw: dict[str, Any] = {"width": width, "height": height, "pix_fmt": pix_fmt}
    how: dict[str, Any] = {"backend": backend, "shortest": shortest}
    scores = score_pair(reference, distorted, model, teachers=tuple(teacher or ()), **raw, **how)
    if csv is not None:
        scores.write_csv(csv)
    if plot is not None:
        scores.write_plot(plot)
    if json_:
        show_json(scores.to_dict(per_frame=per_frame))
    else:
        show_scores(scores.all_statistics(), scores.frame_lines() if per_frame else [])


@app.command()
def export(
    model: Annotated[str, typer.Option(help="Shipped name, run folder, libvmaf .json.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    format_: Annotated[str, typer.Option("--format", help="onnx or libvmaf.")] = "onnx",
    quantize: Quantize = None,
    json_: Json = False,
) -> None:
    """Export a trained student, verified against JAX."""
    from vmaf_jax.jobs.export import export as run_export
    from vmaf_jax.reporting.terminal import show_json

    exported = run_export(model, out, format_, quantize)
    show_json(exported) if json_ else print("\n".join(exported.lines(out)))


registry_app = typer.Typer(help="The models a folder offers to hosts.", no_args_is_help=True)
app.add_typer(registry_app, name="registry")


@registry_app.callback()
def _registry() -> None:
    """A group of its own, though it has one command."""


@registry_app.command()
def verify(
    path: Annotated[Path | None, typer.Argument(help="By default that of the shipped.")] = None,
    json_: Json = False,
) -> None:
    """Check digests, sidecars, operators and schema of every model."""
    from vmaf_jax.export.registry import verify_registry
    from vmaf_jax.jobs.model import checkpoints
    from vmaf_jax.reporting.terminal import show_json

    registry = verify_registry(path or checkpoints() / "registry.json")
    if json_:
        show_json(registry.model_dump(exclude_none=True))
    else:
        print("\n".join(f"{e.id}: {e.onnx}, {e.quant_mode}, sound" for e in registry.models))


@app.command()
def select(
    config: ConfigFile,
    out: Annotated[Path | None, typer.Option(help="Folder, by default runs/<name>.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Five seeds for the finalists.")] = False,
    json_: Json = False,
) -> None:
    """Compare networks, losses and strategies, and state a choice."""
    prepare_training()
    from vmaf_jax.reporting.terminal import Terminal, show_json
    from vmaf_jax.selection.grid import load_selection
    from vmaf_jax.selection.select import select as run_selection

    resolved = load_selection(config)
    folder = out or Path("runs") / resolved.name
    with Terminal() as terminal:
        findings = run_selection(resolved, folder, full=full, report=terminal)
    show_json(findings) if json_ else print(findings.choice)
    terminal.say(f"report: {folder / 'report.html'}")


@app.command()
def compare_backends(
    corpus: Annotated[str, typer.Option(help="netflix, manifest or demo.")] = "demo",
    data_root: DataRoot = None,
    manifest: Manifest = None,
    out: Annotated[Path | None, typer.Option(help="Folder, by default runs/backends.")] = None,
    teacher: Annotated[str, typer.Option(help="Whose scores are compared.")] = "vmaf_v0.6.1",
    json_: Json = False,
) -> None:
    """Hold JAX's features against libvmaf's integer and float ones, frame by frame."""
    prepare_extraction("jax")
    from vmaf_jax.jobs.compare_backends import compare_backends as compare
    from vmaf_jax.jobs.extract import CorpusSource
    from vmaf_jax.reporting.terminal import Terminal, show_backends, show_json

    folder = out or Path("runs") / "backends"
    with Terminal() as terminal:
        clips = CorpusSource(corpus, data_root, manifest).clips()
        report = compare(clips, folder, teacher=teacher, report=terminal)
    show_json(report) if json_ else show_backends(report)
    terminal.say(f"report: {folder / 'report.md'}")
    if report.missed:
        raise GateError(f"backends: {report.missed[0]}.")


@app.command()
def bench(
    what: Annotated[str, typer.Argument(help="One of extract, train, inference, features ...")],
    repeats: Annotated[int | None, typer.Option(min=1, help="Runs of each side.")] = None,
    json_: Json = False,
) -> None:
    """Time ours against the plain way, side by side."""
    from vmaf_jax.benchmarks import run_benchmark
    from vmaf_jax.benchmarks.report import to_lines
    from vmaf_jax.reporting.terminal import show_json

    report = run_benchmark(what, repeats)
    show_json(report) if json_ else print("\n".join(to_lines(report)))


@app.command()
def doctor(json_: Json = False) -> None:
    """Say what this machine has and what is missing."""
    from vmaf_jax.jobs.doctor import doctor as examine
    from vmaf_jax.reporting.terminal import show_json, show_parts

    diagnosis = examine()
    if json_:
        show_json({**diagnosis.parts, "problems": diagnosis.problems})
    else:
        show_parts(diagnosis.parts)
    if diagnosis.problems:
        raise InputError(diagnosis.problems[0])
