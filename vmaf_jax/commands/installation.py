"""Commands on this installation: `doctor`, `registry`, `bench`, `compare-backends` and `mcp`."""

import platform
from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands import options
from vmaf_jax.commands.program import Command
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import GateError, InputError


def doctor(json_: options.Json = False) -> None:
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


registry = typer.Typer(
    help="Check the models that a folder offers.", no_args_is_help=True, rich_markup_mode=None
)


@registry.callback()
def _registry() -> None:
    """Makes `registry` a group, though it has one command."""


@registry.command(cls=Command)
def verify(
    path: Annotated[
        Path | None,
        typer.Argument(help="A registry.json, or its folder; by default of the shipped models."),
    ] = None,
    json_: options.Json = False,
) -> None:
    """Check every model: digests, operators, its sidecar, and figures by the files beside it."""
    from vmaf_jax.jobs.doctor import verify_models
    from vmaf_jax.reporting.terminal import show_json, show_lines

    verified = verify_models(path)
    if json_:
        show_json(verified.model_dump(exclude_none=True))
    else:
        show_lines(f"{e.id}: {e.onnx}, {e.quant_mode}, sound" for e in verified.models)


_PACKAGES = ("jax", "flax", "onnx", "onnxruntime", "numpy")


def version_lines() -> list[str]:
    """Returns a name and a version a line, this program first; "none" without an installation."""
    from vmaf_jax.environment import package_version
    from vmaf_jax.video.ffmpeg import find_ffmpeg

    lines = [f"vmaf-jax {package_version('vmaf-jax')}", f"python {platform.python_version()}"]
    lines += [f"{name} {package_version(name)}" for name in _PACKAGES]
    try:
        lines.append(f"ffmpeg {find_ffmpeg().version}")
    except InputError:
        lines.append("ffmpeg none with libvmaf")
    return lines


def bench(
    what: Annotated[str, typer.Argument(help="One of extract, train, inference, features.")],
    repeats: Annotated[int | None, typer.Option(min=1, help="Runs of each side.")] = None,
    features: Annotated[str | None, typer.Option(help="train: the recipe on this table.")] = None,
    hidden: Annotated[str, typer.Option(help="With it: units of the hidden layers.")] = "64,32,16",
    epochs: Annotated[int, typer.Option(min=1, help="With it: visits of every row.")] = 90,
    batch: Annotated[int, typer.Option(min=1, help="With it: rows of a step.")] = 256,
    seeds: Annotated[int, typer.Option(min=1, help="With it: cross-validations.")] = 5,
    teacher: options.Labeller = None,
    json_: options.Json = False,
) -> None:
    """Time vmaf-jax and the plain way side by side; or train a known recipe on a table."""
    from vmaf_jax.benchmarks import run_benchmark
    from vmaf_jax.benchmarks.timing import Figures, to_lines
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines
    from vmaf_jax.teacher.model_file import DEFAULT_TEACHER

    figures: Figures
    if features is not None and what != "train":
        raise InputError(f"bench {what}: takes no --features; leave it out, or name train.")
    with Terminal() as terminal:
        terminal.stage(f"bench {what}")
        if features is None:
            figures = run_benchmark(what, repeats)
        else:
            from vmaf_jax.environment import prepare_training

            prepare_training()
            from vmaf_jax.benchmarks.training import bench_recipe

            recipe = bench_recipe(
                features,
                hidden=_parse_widths(hidden),
                epochs=epochs,
                batch=batch,
                seeds=seeds,
                label=teacher or DEFAULT_TEACHER,
            )
            figures = vars(recipe)
    show_json(figures) if json_ else show_lines(to_lines(figures))


def _parse_widths(text: str) -> tuple[int, ...]:
    """Parses the units of hidden layers, such as `64,32,16`."""
    words = text.split(",")
    if not all(word.strip().isdecimal() and 1 <= int(word) <= 4096 for word in words):
        raise InputError(f"--hidden {text}: expected whole numbers from 1 to 4096, as 64,32,16.")
    return tuple(int(word) for word in words)


def compare_backends(
    corpus: Annotated[str, typer.Option(help="netflix, manifest, demo or demo_1080p.")] = "demo",
    data_root: options.DataRoot = None,
    manifest: options.Manifest = None,
    out: Annotated[Path | None, typer.Option(help="Folder, by default runs/backends.")] = None,
    teacher: Annotated[str, typer.Option(help="Whose scores are compared.")] = "vmaf_v0.6.1",
    overwrite: options.Overwrite = False,
    json_: options.Json = False,
) -> None:
    """Compare JAX's features with libvmaf's integer and float ones, frame by frame."""
    prepare_extraction("jax")
    from vmaf_jax.extraction.corpus import CorpusSource
    from vmaf_jax.jobs.compare_backends import compare_backends as compare
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_rows

    folder = out or Path("runs") / "backends"
    with Terminal() as terminal:
        clips = CorpusSource(corpus, data_root, manifest).clips()
        report = compare(clips, folder, teacher=teacher, overwrite=overwrite, progress=terminal)
    if json_:
        show_json(report)
    else:
        by_pair = [
            [
                [
                    "" if k else f"{pair.ours} against {pair.theirs}",
                    name,
                    f"{column.max_abs:.2e}",
                    f"{column.mean_abs:.2e}",
                    column.clip,
                    str(column.frame),
                ]
                for k, (name, column) in enumerate(pair.columns.items())
            ]
            for pair in report.comparisons
        ]
        show_rows(("", "feature", "max", "mean", "worst: clip", "frame"), *by_pair)
    terminal.say(f"report: {folder / 'report.md'}")
    if report.missed:
        raise GateError(f"backends: {report.missed[0]}.")


def mcp(
    allow: Annotated[
        list[Path] | None, typer.Option(help="Folder whose files may be read; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder that results go to.")] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP instead.")] = False,
    host: Annotated[str, typer.Option(help="Address to bind; others need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the HTTP server.")] = 8765,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Calls that run at a time.")
    ] = None,
) -> None:
    """Serve the jobs as MCP tools, on standard input and output."""
    from vmaf_jax.serving.path_policy import make_settings
    from vmaf_jax.serving.transports import serve_http, serve_stdio

    settings = make_settings(allow, out, workers)
    serve_http(settings, host, port) if http else serve_stdio(settings)
