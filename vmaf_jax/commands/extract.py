"""`vmaf-jax extract`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vmaf_jax.commands.options import (
    Backend,
    Damaged,
    DataRoot,
    Force,
    Fps,
    Json,
    Manifest,
    Offset,
    Scale,
    Shortest,
    Sync,
    Teachers,
    VoteScale,
)
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.video.comparison import ComparisonOptions


def extract(
    corpus: Annotated[
        str, typer.Option(help="netflix, manifest, demo, demo_1080p or support_vectors.")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file to write.")],
    data_root: DataRoot = None,
    manifest: Manifest = None,
    label_scale: VoteScale = None,
    teacher: Teachers = None,
    features: Annotated[
        str, typer.Option(help="vmaf, vmaf_neg (gain limits), vmaf_v1 ...")
    ] = "vmaf",
    mean_pool: Annotated[bool, typer.Option("--mean-pool", help="Clip means.")] = False,
    shortest: Shortest = False,
    force: Force = False,
    scale: Scale = None,
    fps: Fps = None,
    sync: Sync = None,
    offset: Offset = 0,
    allow_damaged: Damaged = False,
    backend: Backend = "libvmaf",
    jobs: Annotated[int | None, typer.Option(min=1, help="Clips measured at a time.")] = None,
    json_: Json = False,
) -> None:
    """Extract features and teacher scores into a feature table."""
    prepare_extraction(backend)
    from vmaf_jax.jobs import extract as job
    from vmaf_jax.reporting.terminal import Terminal, show_json

    settings: dict[str, Any] = {"features": features, "mean_pool": mean_pool}
    how: ComparisonOptions = {
        "shortest": shortest,
        "force": force,
        "scale": scale,
        "fps": fps,
        "sync": sync,
        "offset": offset,
        "allow_damaged": allow_damaged,
    }
    if teacher:
        settings["teachers"] = tuple(teacher)
    source = job.CorpusSource(corpus, data_root, manifest, label_scale)
    with Terminal() as terminal:
        table = job.extract(
            source, out, backend=backend, jobs=jobs, report=terminal, **settings, **how
        )
    counts = {"rows": len(table), "clips": table.n_clips, "sources": table.sources}
    if json_:
        show_json({"out": str(out), **counts, "labels": list(table.labels)})
    else:
        print(f"{out}: {len(table)} rows, {table.n_clips} clips, {len(table.sources)} sources")
