"""Commands that make a table of what is measured already, and check one: `import`, `check`."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json, Teachers, VoteScale
from vmaf_jax.errors import GateError


def import_features(
    out: Annotated[Path, typer.Option(help="Parquet file, or folder (--logs).")],
    logs: Annotated[Path | None, typer.Option(help="List of libvmaf's logs: log, source.")] = None,
    frames: Annotated[Path | None, typer.Option(help="clip, frame, the features.")] = None,
    clips: Annotated[Path | None, typer.Option(help="Of --frames: clip, source, mos.")] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Clone of avt_vqdb_uhd_1, or its _nvc, _vsr, _appeal, _vd.")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of --corpus.")] = None,
    ratings: Annotated[Path | None, typer.Option(help="Raw votes: clip, subject, score.")] = None,
    label_scale: VoteScale = None,
    features: Annotated[
        str, typer.Option(help="vmaf, vmaf_neg, vmaf_float or vmaf_float_neg.")
    ] = "vmaf",
    teacher: Teachers = None,
    name: Annotated[str | None, typer.Option(help="Name of the corpus.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Keep this source's clips; repeatable.")
    ] = None,
    exclude_suspects: Annotated[
        bool, typer.Option("--exclude-suspects", help="Leave out what `check` finds, and say so.")
    ] = False,
    json_: Json = False,
) -> None:
    """Make a feature table from logs or features, and opinion scores, that you have."""
    from vmaf_jax.jobs.import_features import ImportSettings, ImportSource
    from vmaf_jax.jobs.import_features import import_features as run_import
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_summary

    files = ImportSource(logs, frames, clips, corpus, data_root, ratings)
    settings = ImportSettings(
        label_scale,
        features,
        tuple(teacher or ()),
        name,
        exclude_suspects=exclude_suspects,
        sources=tuple(source or ()),
    )
    with Terminal() as terminal:
        summary = run_import(files, out, settings, progress=terminal)
    if json_:
        show_json({"out": str(out), **summary.to_dict()})
    else:
        show_summary(out, summary)


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
