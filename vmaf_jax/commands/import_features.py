"""`vmaf-jax import`."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import Json, Teachers, VoteScale


def import_features(
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    logs: Annotated[Path | None, typer.Option(help="List of libvmaf's logs: log, source.")] = None,
    frames: Annotated[Path | None, typer.Option(help="clip, frame, the features.")] = None,
    clips: Annotated[Path | None, typer.Option(help="Of --frames: clip, source, mos.")] = None,
    corpus: Annotated[str | None, typer.Option(help="avt_vqdb_uhd_1, a clone of it.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of --corpus.")] = None,
    ratings: Annotated[Path | None, typer.Option(help="Raw votes: clip, subject, score.")] = None,
    label_scale: VoteScale = None,
    features: Annotated[str, typer.Option(help="vmaf, vmaf_neg or vmaf_float.")] = "vmaf",
    teacher: Teachers = None,
    name: Annotated[str | None, typer.Option(help="Name of the corpus.")] = None,
    json_: Json = False,
) -> None:
    """Make a feature table from logs or features, and opinion scores, that you have."""
    from vmaf_jax.jobs import import_features as job
    from vmaf_jax.reporting.terminal import Terminal, show_json

    source = job.ImportSource(logs, frames, clips, corpus, data_root, ratings)
    with Terminal() as terminal:
        table = job.import_features(
            source,
            out,
            label_scale=label_scale,
            features=features,
            teachers=teacher or (),
            name=name,
            report=terminal,
        )
    if json_:
        counts = {"rows": len(table), "clips": table.n_clips, "sources": table.sources}
        scale = list(table.label_scale) if "mos" in table.labels else None
        show_json({"out": str(out), **counts, "labels": list(table.labels), "label_scale": scale})
    else:
        print(f"{out}: {len(table)} rows, {table.n_clips} clips, {len(table.sources)} sources")
