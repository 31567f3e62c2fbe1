"""`vmaf-jax extract`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vmaf_jax.commands.options import (
    Address,
    Backend,
    Damaged,
    DataRoot,
    Deinterlace,
    Engine,
    Force,
    Fps,
    Frames,
    Json,
    Manifest,
    Offset,
    Scale,
    Shortest,
    Start,
    Stream,
    Sync,
    Teachers,
    VoteScale,
)
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.video.comparison import Comparison


def extract(
    corpus: Annotated[
        str, typer.Option(help="netflix, manifest, demo, demo_1080p or support_vectors.")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file, or a folder of shards.")],
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
    start: Start = None,
    frames: Frames = None,
    deinterlace: Deinterlace = None,
    stream: Stream = None,
    backend: Backend = "libvmaf",
    jobs: Annotated[int | None, typer.Option(min=1, help="Clips measured at a time.")] = None,
    engine: Engine = "local",
    address: Address = None,
    json_: Json = False,
) -> None:
    """Extract features and teacher scores into a feature table."""
    prepare_extraction(backend)
    from vmaf_jax.extraction.corpus import CorpusSource
    from vmaf_jax.jobs import extract as job
    from vmaf_jax.jobs.extract import extract_dataset
    from vmaf_jax.reporting.terminal import Terminal, show_contents, show_json
    from vmaf_jax.tables.dataset import Contents, is_dataset

    settings: dict[str, Any] = {"features": features, "mean_pool": mean_pool}
    comparison = Comparison(
        shortest=shortest,
        force=force,
        scale=scale,
        fps=fps,
        sync=sync,
        offset=offset,
        allow_damaged=allow_damaged,
        start=start,
        frames=frames,
        deinterlace=deinterlace,
        stream=stream,
    )
    if teacher:
        settings["teachers"] = tuple(teacher)
    source = CorpusSource(corpus, data_root, manifest, label_scale)
    settings |= {"jobs": jobs, "comparison": comparison}
    with Terminal() as terminal:
        if engine == "local" and address is None and not is_dataset(out):
            table = job.extract(source, out, backend=backend, progress=terminal, **settings)
            contents = Contents.of(table)
        else:
            settings |= {"engine": engine, "address": address, "backend": backend}
            contents = extract_dataset(source, out, progress=terminal, **settings)
    if json_:
        shown = contents.to_dict()
        del shown["label_scale"]
        show_json({"out": str(out), **shown})
    else:
        show_contents(out, contents)
