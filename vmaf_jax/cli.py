"""The command line: parse, call one library function, render its result.

Text for people goes to standard error, results to standard output. Exit codes: 0 done, 1 a gate
failed, 2 bad input or environment.
"""

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from vmaf_jax.errors import GateError, InputError

if TYPE_CHECKING:
    from vmaf_jax.corpora.clips import Clip

app = typer.Typer(
    help="Train, verify and deploy tiny VMAF-class video quality predictors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
people = Console(stderr=True)
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


@app.command()
def train(
    config: Annotated[Path, typer.Option(help="YAML file in configs/.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override: key=value, repeatable.")
    ] = None,
    run_dir: Annotated[Path | None, typer.Option(help="By default runs/<name>.")] = None,
    json_: Json = False,
) -> None:
    """Train, cross-validate, export and verify a student."""
    from vmaf_jax.training.devices import keep_compiled_programs, use_all_cores

    use_all_cores()
    keep_compiled_programs()
    from vmaf_jax.config import load_config
    from vmaf_jax.train import train_run

    resolved = load_config(config, set_)
    with _Bars() as bars:
        result = train_run(
            resolved,
            run_dir or Path("runs") / resolved.name,
            progress=bars.clips,
            say=_say,
        )
    _show_json(result.metrics) if json_ else _show_run(result.metrics)
    _say(f"run folder: {result.path}")


@app.command()
def extract(
    corpus: Annotated[str, typer.Option(help="netflix, manifest, demo or support_vectors.")],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    data_root: Annotated[Path | None, typer.Option(help="Folder of the netflix corpus.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV, JSON Lines or Parquet.")] = None,
    teacher: Annotated[
        list[str] | None, typer.Option(help="Model name or JSON file, repeatable.")
    ] = None,
    features: Annotated[str, typer.Option(help="vmaf, or vmaf_neg (gain limits).")] = "vmaf",
    mean_pool: Annotated[bool, typer.Option("--mean-pool", help="Clip means.")] = False,
    shortest: Annotated[bool, typer.Option("--shortest", help="Allow unequal lengths.")] = False,
    backend: Annotated[str, typer.Option(help="libvmaf, or jax.")] = "libvmaf",
    jobs: Annotated[int | None, typer.Option(min=1, help="Clips measured at a time.")] = None,
    json_: Json = False,
) -> None:
    """Extract features and teacher scores into a feature table."""
    from vmaf_jax.corpora.extraction import extract_clips
    from vmaf_jax.data import corpus_clips
    from vmaf_jax.features.extract import DEFAULT_TEACHER
    from vmaf_jax.features.feature_set import FEATURE_SETS
    from vmaf_jax.files import check_writable

    if features not in FEATURE_SETS:
        raise InputError(f"--features {features}: expected one of {', '.join(FEATURE_SETS)}.")
    if out.is_dir():
        raise InputError(f"{out}: a folder; name a .parquet file in it.")
    check_writable(out.parent)
    _prepare(backend)
    teachers = tuple(teacher or [DEFAULT_TEACHER])
    if corpus == "support_vectors":
        from vmaf_jax.corpora.support_vectors import support_vector_table
        from vmaf_jax.teacher import load_teacher

        if len(teachers) > 1 or features != "vmaf" or shortest or backend != "libvmaf":
            raise InputError("support_vectors takes one --teacher, whose own clips they are.")
        table = support_vector_table(load_teacher(teachers[0]))
    else:
        clips = corpus_clips(corpus, data_root=data_root, manifest_path=manifest)
        if jobs is not None and backend == "jax":
            raise InputError("--jobs is for libvmaf; JAX takes clips together, drop it.")
        with _Bars() as bars:
            table = extract_clips(
                clips,
                backend=backend,
                teachers=teachers,
                feature_set=FEATURE_SETS[features],
                shortest=shortest,
                jobs=jobs,
                on_clip=bars.clips(clips),
            )
    if mean_pool:
        table = table.mean_pool()
    table.write(out)
    n_clips = len(table.mean_pool())
    if json_:
        found = {"out": str(out), "rows": len(table), "clips": n_clips}
        _show_json({**found, "sources": table.sources, "labels": list(table.labels)})
    else:
        print(f"{out}: {len(table)} rows, {n_clips} clips, {len(table.sources)} sources")


@app.command()
def evaluate(
    model: Annotated[str, typer.Option(help="Shipped name, run folder, .onnx or libvmaf .json.")],
    features: Annotated[Path | None, typer.Option(help="A feature table, or else:")] = None,
    corpus: Annotated[str | None, typer.Option(help="netflix, manifest or demo.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of the netflix corpus.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV, JSON Lines or Parquet.")] = None,
    backend: Annotated[str, typer.Option(help="What measures: libvmaf, or jax.")] = "libvmaf",
    teacher: Annotated[str | None, typer.Option(help="Label column of this teacher.")] = None,
    label: Annotated[str | None, typer.Option(help="Label column, e.g. mos.")] = None,
    json_: Json = False,
) -> None:
    """Compare a model's predictions with labels."""
    from vmaf_jax.evaluation.evaluate import evaluate_model
    from vmaf_jax.load import load_model

    if teacher and label:
        raise InputError("--teacher and --label both name the labels; pass one.")
    if (features is None) == (corpus is None):
        raise InputError("evaluate needs --features FILE or --corpus NAME, one of the two.")
    if features is not None and (data_root or manifest or backend != "libvmaf"):
        raise InputError("--features is measured already; drop --backend and the corpus's flags.")
    loaded = load_model(model)
    if features is not None:
        from vmaf_jax.features.table import read_table

        table = read_table(features)
    else:
        from vmaf_jax.data import corpus_clips, measured
        from vmaf_jax.features.extract import DEFAULT_TEACHER
        from vmaf_jax.features.libvmaf import resolve_model

        _prepare(backend)
        clips = corpus_clips(str(corpus), data_root=data_root, manifest_path=manifest)
        asked = teacher or label or loaded.label or DEFAULT_TEACHER
        if asked == "mos" and any(clip.mos is None for clip in clips):
            raise InputError("the labels are opinion scores, and not every clip has a mos; add it.")
        name = DEFAULT_TEACHER if asked == "mos" else asked
        label = "mos" if asked == "mos" else resolve_model(name).name
        with _Bars() as bars:
            table = measured(clips, loaded.feature_set, name, backend=backend, progress=bars.clips)
    result = evaluate_model(loaded, table, label or teacher)
    if json_:
        _show_json(result)
        return
    title = escape(f"{result['model']} ({result['kind']}) against {result['label']}")
    view = Table(*("rows", "n", "PLCC", "SROCC", "KROCC", "RMSE", "MAE", "max"), title=title)
    for source, entry in [*result["sources"].items(), ("all", result["overall"])]:
        view.add_row(
            escape(source), *_cells(entry, "plcc", "srocc", "krocc", "rmse", "mae", "max_abs")
        )
    Console().print(view)


@app.command()
def score(
    reference: Annotated[Path, typer.Argument(help="The pristine video.")],
    distorted: Annotated[Path, typer.Argument(help="The degraded one.")],
    model: Annotated[
        str, typer.Option(help="Shipped name, run folder, .onnx or libvmaf .json.")
    ] = "tiny",
    teacher: Annotated[
        list[str] | None, typer.Option(help="Score with this libvmaf model too, repeatable.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Of raw YUV.")] = None,
    height: Annotated[int | None, typer.Option(help="Of raw YUV.")] = None,
    pix_fmt: Annotated[str | None, typer.Option(help="Of raw YUV, such as yuv420p.")] = None,
    shortest: Annotated[bool, typer.Option("--shortest", help="Allow unequal lengths.")] = False,
    backend: Annotated[str, typer.Option(help="What measures: libvmaf, or jax.")] = "libvmaf",
    per_frame: Annotated[bool, typer.Option("--per-frame", help="Every frame's score.")] = False,
    csv: Annotated[Path | None, typer.Option(help="Write scores and features here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the scores, a .png file.")] = None,
    json_: Json = False,
) -> None:
    """Score a video against its reference."""
    from vmaf_jax.features.video import Video
    from vmaf_jax.files import check_writable, write_bytes
    from vmaf_jax.serving.score import score as score_pair

    for path, suffix in ((csv, ".csv"), (plot, ".png")):
        if path is not None:
            if path.suffix != suffix:
                raise InputError(f"{path}: the name must end in {suffix}.")
            check_writable(path.parent)
    raw = {"width": width, "height": height, "pix_fmt": pix_fmt}
    if any(raw.values()) and not any(Video(each).is_raw for each in (reference, distorted)):
        raise InputError("--width, --height and --pix-fmt are for raw .yuv files; drop them.")
    _prepare(backend)
    found = score_pair(
        reference,
        distorted,
        model,
        backend=backend,
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        teachers=tuple(teacher or ()),
        shortest=shortest,
    )
    if csv is not None:
        found.write_csv(csv)
    if plot is not None:
        from vmaf_jax.reporting.plots import per_frame as draw

        write_bytes(
            plot, draw({found.model: found.per_frame, **found.table.labels}, distorted.name)
        )
    if json_:
        _show_json(found.to_dict(per_frame=per_frame))
        return
    if per_frame:
        for index, value in zip(found.table.index, found.per_frame, strict=True):
            print(f"{index}\t{value:.6f}")
    told = found.to_dict()
    view = Table("", "mean", "harmonic mean", "min", "1 %", "5 %", "frames")
    for name, entry in {found.model: told["statistics"], **told["teachers"]}.items():
        cells = [f"{entry[k]:.3f}" for k in ("mean", "harmonic_mean", "min", "p1", "p5")]
        view.add_row(escape(name), *cells, str(entry["frames"]))
    (people if per_frame else Console()).print(view)


@app.command()
def export(
    model: Annotated[str, typer.Option(help="Shipped name, run folder, libvmaf .json.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    format_: Annotated[str, typer.Option("--format", help="onnx or libvmaf.")] = "onnx",
    quantize: Annotated[
        str | None, typer.Option(help="dynamic or static: an 8-bit file beside it.")
    ] = None,
    json_: Json = False,
) -> None:
    """Export a trained student, verified against JAX."""
    from vmaf_jax.export.export import export_model
    from vmaf_jax.export.sidecar import int8_path

    report = export_model(model, out, format_, quantize)
    if json_:
        _show_json(report)
    elif format_ == "onnx":
        print(
            f"{out}: parity over {report['n']} rows, at most {report['max_abs']:.2e} points and "
            f"{report['max_ulp']} ULP from 16 points up"
        )
        if int8 := report.get("int8"):
            print(
                f"{int8_path(out)}: PLCC {int8['plcc_drop']:.1e} lower over {int8['n']} rows "
                f"(limit {int8['budget_plcc']:.0e}), RMSE {int8['added_rmse']:+.3f} points; batch "
                f"size moves scores by at most {int8['batch_dependence']:.3f}"
            )
    else:
        print(f"{out}: ffmpeg within {report['max_abs']:.2e} points over {report['n']} frames")


registry_app = typer.Typer(help="The models a folder offers to hosts.", no_args_is_help=True)
app.add_typer(registry_app, name="registry")


@registry_app.callback()
def _registry() -> None:
    """A group of its own, though it has one command."""


@registry_app.command()
def verify(
    path: Annotated[
        Path | None, typer.Argument(help="By default the shipped checkpoints/registry.json.")
    ] = None,
    json_: Json = False,
) -> None:
    """Check digests, sidecars, operators and schema of every model."""
    from vmaf_jax.export.registry import verify_registry
    from vmaf_jax.load import CHECKPOINTS

    place = path or CHECKPOINTS / "registry.json"
    registry = verify_registry(place)
    if json_:
        _show_json(registry.model_dump(exclude_none=True))
    else:
        for entry in registry.models:
            print(f"{entry.id}: {entry.onnx}, {entry.quant_mode}, sound")


@app.command()
def select(
    config: Annotated[Path, typer.Option(help="YAML file, such as configs/selection.yaml.")],
    out: Annotated[Path | None, typer.Option(help="Folder, by default runs/<name>.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Five seeds for the finalists.")] = False,
    json_: Json = False,
) -> None:
    """Compare networks, losses and strategies, and state a choice."""
    from vmaf_jax.training.devices import keep_compiled_programs, use_all_cores

    use_all_cores()
    keep_compiled_programs()
    from vmaf_jax.selection.findings import select as run_selection
    from vmaf_jax.selection.grid import load_selection

    resolved = load_selection(config)
    place = out or Path("runs") / resolved.name
    findings = run_selection(resolved, place, full=full, say=_say)
    if json_:
        _show_json(findings)
    else:
        choice = findings["choice"]
        print(f"{choice['candidate']}: held-out RMSE {choice['rmse']:.4f}; {choice['reason']}")
    _say(f"report: {place / 'report.md'}")


@app.command()
def compare_backends(
    corpus: Annotated[str, typer.Option(help="netflix, manifest or demo.")] = "demo",
    data_root: Annotated[Path | None, typer.Option(help="Folder of the netflix corpus.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="CSV, JSON Lines or Parquet.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder, by default runs/backends.")] = None,
    teacher: Annotated[str, typer.Option(help="Whose scores are compared.")] = "vmaf_v0.6.1",
    json_: Json = False,
) -> None:
    """Hold JAX's features against libvmaf's integer and float ones, frame by frame."""
    from vmaf_jax.compare_backends import compare_backends as compare
    from vmaf_jax.data import corpus_clips

    _prepare("jax")
    clips = corpus_clips(corpus, data_root=data_root, manifest_path=manifest)
    place = out or Path("runs") / "backends"
    with _Bars() as bars:
        report = compare(clips, place, teacher=teacher, progress=bars.clips)
    if json_:
        _show_json(report)
    else:
        view = Table(Column(no_wrap=True), "feature", "max", "mean", "worst: clip", "frame")
        for comparison in report["comparisons"]:
            title = f"{comparison['ours']} against {comparison['theirs']}"
            for name, entry in comparison["columns"].items():
                figures = [f"{entry[key]:.2e}" for key in ("max_abs", "mean_abs")]
                view.add_row(title, name, *figures, escape(entry["clip"]), str(entry["frame"]))
                title = ""
            view.add_section()
        Console().print(view)
    _say(f"report: {place / 'report.md'}")
    if report["missed"]:
        raise GateError(f"backends: {report['missed'][0]}.")


@app.command()
def bench(
    what: Annotated[
        str, typer.Argument(help="extract, train, inference, features, onnxruntime-versions.")
    ],
    repeats: Annotated[int | None, typer.Option(min=1, help="Runs of each side.")] = None,
    json_: Json = False,
) -> None:
    """Time ours against the plain way, side by side."""
    from vmaf_jax.benchmarks import run_benchmark
    from vmaf_jax.benchmarks.report import to_lines

    report = run_benchmark(what, repeats)
    if json_:
        _show_json(report)
    else:
        print("\n".join(to_lines(report)))


@app.command()
def doctor(json_: Json = False) -> None:
    """Say what this machine has and what is missing."""
    from vmaf_jax.doctor import examine

    found = examine()
    if json_:
        _show_json(found)
    else:
        view = Table(show_header=False, box=None)
        for name, value in found.items():
            if name != "problems":
                view.add_row(name, _plain(value))
        Console().print(view)
    if found["problems"]:
        raise InputError(found["problems"][0])


def _prepare(backend: str) -> None:
    """Refuses a bad backend before it costs anything, and keeps what JAX compiles."""
    from vmaf_jax.corpora.extraction import check_backend
    from vmaf_jax.training.devices import keep_compiled_programs

    check_backend(backend)
    if backend == "jax":
        keep_compiled_programs()


def _say(text: str) -> None:
    """A line for people, as it is: names may look like markup."""
    people.print(text, highlight=False, markup=False, soft_wrap=True)


class _Bars:
    """Progress of an extraction on standard error: clips, frames per second, time left."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("clips, {task.fields[fps]:.0f} frames/s"),
            TimeRemainingColumn(),
            console=people,
        )

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def clips(self, clips: "list[Clip]") -> Callable[[int], None]:
        """A callback for one extraction of `clips`."""
        task = self._progress.add_task("extract", total=len(clips), fps=0.0)
        total = 0

        def on_clip(frames: int) -> None:
            nonlocal total
            total += frames
            elapsed = self._progress.tasks[task].elapsed or 1e-9
            self._progress.update(task, advance=1, fps=total / elapsed)

        return on_clip


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _cells(entry: dict[str, Any], *names: str) -> list[str]:
    def cell(name: str) -> str:
        value = entry[name]
        return "–" if value is None or value != value else f"{value:.5f}"

    return [str(entry["n"]), *(cell(name) for name in names)]


def _show_json(value: Any) -> None:
    from vmaf_jax.evaluation.cross_validation import to_json

    sys.stdout.write(json.dumps(json.loads(to_json(value))) + "\n")


def _show_run(metrics: dict[str, Any]) -> None:
    view = Table(*("held-out source", "n", "PLCC", "SROCC", "RMSE", "max"))
    names = ("plcc", "srocc", "rmse", "max_abs")
    for fold in metrics["folds"]:
        view.add_row(escape(fold["source"]), *_cells(fold, *names))
    view.add_section()
    view.add_row("all held out", *_cells(metrics["loso"]["pooled"], *names))
    for corpus, entry in metrics["external"].items():
        view.add_row(f"external: {corpus}", *_cells(entry, *names))
    console = Console()
    console.print(view)
    loso, parity, timing = metrics["loso"], metrics["parity"], metrics["timing"]
    means = ", ".join(
        f"{n.upper()} {loso[n]['mean']:.5f} ± {loso[n]['std']:.5f}" for n in ("plcc", "srocc")
    )
    console.print(
        f"over folds: {means}, RMSE {loso['rmse']['mean']:.4f} ± {loso['rmse']['std']:.4f}\n"
        f"parity: {parity['n']} rows, at most {parity['max_abs']:.2e} points, "
        f"{parity['max_ulp']} ULP\n"
        f"time: compile {timing['compile_s']:.1f} s, train {timing['train_s']:.1f} s, "
        f"total {timing['total_s']:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
