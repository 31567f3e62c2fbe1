"""Commands on feature tables: `extract` and `import` make them, `check` finds what is wrong."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands import options
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import GateError
from vmaf_jax.printable import format_count
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison


@options.expand_settings
def extract(
    corpus: Annotated[
        str, typer.Option(help="netflix, manifest, demo, demo_1080p or support_vectors.")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file, or a folder of shards.")],
    data_root: options.DataRoot = None,
    manifest: options.Manifest = None,
    label_scale: options.VoteScale = None,
    teacher: options.Teachers = None,
    features: Annotated[
        str, typer.Option(help="vmaf, vmaf_neg (gain limits), vmaf_v1 ...")
    ] = "vmaf",
    mean_pool: Annotated[
        bool, typer.Option("--mean-pool", help="Write one row per clip: means of its frames.")
    ] = False,
    comparison: Comparison = DEFAULT_COMPARISON,
    backend: options.Backend = "libvmaf",
    jobs: Annotated[int | None, typer.Option(min=1, help="Clips measured at a time.")] = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    json_: options.Json = False,
) -> None:
    """Extract features and teacher scores into a feature table."""
    prepare_extraction(backend)
    from vmaf_jax.extraction.corpus import CorpusSource
    from vmaf_jax.jobs.extract import ExtractSettings
    from vmaf_jax.jobs.extract import extract as run_extraction
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_summary

    settings = ExtractSettings(
        features=features,
        teachers=tuple(teacher) if teacher else None,
        mean_pool=mean_pool,
        backend=backend,
        jobs=jobs,
        engine=engine,
        address=address,
        comparison=comparison,
    )
    source = CorpusSource(corpus, data_root, manifest, label_scale)
    with Terminal() as terminal:
        summary = run_extraction(source, out, settings, progress=terminal)
    if json_:
        shown = summary.to_dict()
        del shown["label_scale"]  # of `import` alone, whose votes have one
        show_json({"out": str(out), **shown})
    else:
        show_summary(out, summary)


def import_features(
    out: Annotated[Path, typer.Option(help="Parquet file, or folder (--logs).")],
    logs: Annotated[Path | None, typer.Option(help="List of libvmaf's logs: log, source.")] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Measured features: clip, frame, adm2 ...")
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="List of the clips of --frames: clip, source, mos.")
    ] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Clone of avt_vqdb_uhd_1, or its _nvc, _vsr, _appeal, _vd.")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of --corpus.")] = None,
    ratings: Annotated[Path | None, typer.Option(help="Raw votes: clip, subject, vote.")] = None,
    label_scale: options.VoteScale = None,
    features: Annotated[
        str, typer.Option(help="vmaf, vmaf_neg, vmaf_float or vmaf_float_neg.")
    ] = "vmaf",
    teacher: options.Teachers = None,
    name: Annotated[str | None, typer.Option(help="Name of the corpus.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Keep only this source's clips; repeatable.")
    ] = None,
    exclude_suspects: Annotated[
        bool, typer.Option("--exclude-suspects", help="Leave out what `check` finds, and say so.")
    ] = False,
    json_: options.Json = False,
) -> None:
    """Make a feature table from the logs, features and opinion scores that you have."""
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
    ratings: Annotated[Path | None, typer.Option(help="Raw votes: clip, subject, vote.")] = None,
    json_: options.Json = False,
) -> None:
    """Find clips out of step, wrong references, swapped labels and unreliable subjects."""
    from vmaf_jax.jobs.check import FIXES
    from vmaf_jax.jobs.check import check as run_check
    from vmaf_jax.reporting.terminal import show_json, show_lines

    checked = run_check(table, ratings)
    if json_:
        show_json(checked)
    else:
        show_lines(map(str, checked.findings))
        kinds = dict.fromkeys(finding.kind for finding in checked.findings)
        fixes = (f"{kind.replace('_', ' ')}: {FIXES[kind]}" for kind in kinds)
        show_lines([*checked.skipped, *fixes], on_error=True)
        if not checked.findings:
            show_lines(
                [f"{table}: {format_count(checked.n_clips, 'clip')}, nothing suspect"],
                on_error=True,
            )
    if checked.findings:
        raise GateError(f"{table}: {checked.summary()}.")
