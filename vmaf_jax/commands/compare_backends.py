"""The command `vmaf-jax compare-backends`: features of JAX beside libvmaf's."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import DataRoot, Json, Manifest, Overwrite
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import GateError


def compare_backends(
    corpus: Annotated[str, typer.Option(help="netflix, manifest, demo or demo_1080p.")] = "demo",
    data_root: DataRoot = None,
    manifest: Manifest = None,
    out: Annotated[Path | None, typer.Option(help="Folder, by default runs/backends.")] = None,
    teacher: Annotated[str, typer.Option(help="Whose scores are compared.")] = "vmaf_v0.6.1",
    overwrite: Overwrite = False,
    json_: Json = False,
) -> None:
    """Hold JAX's features against libvmaf's integer and float ones, frame by frame."""
    prepare_extraction("jax")
    from vmaf_jax.corpora.by_name import CorpusSource
    from vmaf_jax.jobs.compare_backends import compare_backends as compare
    from vmaf_jax.reporting.backends_report import show_backends
    from vmaf_jax.reporting.terminal import Terminal, show_json

    folder = out or Path("runs") / "backends"
    with Terminal() as terminal:
        clips = CorpusSource(corpus, data_root, manifest).clips()
        report = compare(clips, folder, teacher=teacher, overwrite=overwrite, progress=terminal)
    show_json(report) if json_ else show_backends(report)
    terminal.say(f"report: {folder / 'report.md'}")
    if report.missed:
        raise GateError(f"backends: {report.missed[0]}.")
