"""`vmaf-jax import`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vmaf_jax.commands.options import Json, Teachers, VoteScale


def import_features(
    out: Annotated[Path, typer.Option(help="Parquet file, or folder (--logs).")],
    logs: Annotated[Path | None, typer.Option(help="List of libvmaf's logs: log, source.")] = None,
    frames: Annotated[Path | None, typer.Option(help="clip, frame, the features.")] = None,
    clips: Annotated[Path | None, typer.Option(help="Of --frames: clip, source, mos.")] = None,
    corpus: Annotated[str | None, typer.Option(help="avt_vqdb_uhd_1, a clone of it.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder of --corpus.")] = None,
    ratings: Annotated[Path | None, typer.Option(help="Raw votes: clip, subject, score.")] = None,
    label_scale: VoteScale = None,
    features: Annotated[
        str, typer.Option(help="vmaf, vmaf_neg, vmaf_float or vmaf_float_neg.")
    ] = "vmaf",
    teacher: Teachers = None,
    name: Annotated[str | None, typer.Option(help="Name of the corpus.")] = None,
    json_: Json = False,
) -> None:
    """Make a feature table from logs or features, and opinion scores, that you have."""
    from vmaf_jax.jobs import import_features as job
    from vmaf_jax.jobs.import_features import import_dataset
    from vmaf_jax.reporting.terminal import Terminal, show_contents, show_json
    from vmaf_jax.tables.dataset import Contents, is_dataset

    source = job.ImportSource(logs, frames, clips, corpus, data_root, ratings)
    settings: dict[str, Any] = {
        "label_scale": label_scale,
        "features": features,
        "teachers": teacher or (),
        "name": name,
    }
    with Terminal() as terminal:
        if is_dataset(out):
            contents = import_dataset(source, out, progress=terminal, **settings)
        else:
            contents = Contents.of(job.import_features(source, out, progress=terminal, **settings))
    if json_:
        show_json({"out": str(out), **contents.to_dict()})
    else:
        show_contents(out, contents)
