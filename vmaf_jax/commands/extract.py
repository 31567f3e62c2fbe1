"""The command `vmaf-jax extract`: a corpus to features."""

from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.commands.options import (
    Address,
    Align,
    Backend,
    Damaged,
    DataRoot,
    Deinterlace,
    Engine,
    FilmGrain,
    Force,
    Fps,
    Frames,
    Json,
    Manifest,
    Offset,
    PictureRegion,
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
    mean_pool: Annotated[
        bool, typer.Option("--mean-pool", help="Write one row per clip: means of its frames.")
    ] = False,
    shortest: Shortest = False,
    force: Force = False,
    scale: Scale = None,
    fps: Fps = None,
    sync: Sync = None,
    offset: Offset = 0,
    allow_damaged: Damaged = False,
    start: Start = None,
    frames: Frames = None,
    region: PictureRegion = None,
    deinterlace: Deinterlace = None,
    stream: Stream = None,
    align: Align = False,
    film_grain: FilmGrain = None,
    backend: Backend = "libvmaf",
    jobs: Annotated[int | None, typer.Option(min=1, help="Clips measured at a time.")] = None,
    engine: Engine = "local",
    address: Address = None,
    json_: Json = False,
) -> None:
    """Extract features and teacher scores into a feature table."""
    prepare_extraction(backend)
    from vmaf_jax.corpora.by_name import CorpusSource
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
        comparison=Comparison(
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
            align=align,
            film_grain=film_grain,
            region=region,
        ),
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
