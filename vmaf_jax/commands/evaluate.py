"""The command `vmaf-jax evaluate`: a model, or two, against labels."""

import dataclasses
from typing import Annotated

import typer

from vmaf_jax.commands.options import (
    Backend,
    DataRoot,
    Json,
    Label,
    Labeller,
    Manifest,
    ModelName,
    VoteScale,
)
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import InputError


def evaluate(
    model: ModelName,
    features: Annotated[
        str | None, typer.Option(help="A feature table: its path or address; or else:")
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="netflix, manifest or demo.")] = None,
    data_root: DataRoot = None,
    manifest: Manifest = None,
    label_scale: VoteScale = None,
    backend: Backend = "libvmaf",
    teacher: Labeller = None,
    label: Label = None,
    interval: Annotated[
        float | None, typer.Option(help="Level, as 0.9, of the clips' intervals.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="A second model: is it better, and is that sure?")
    ] = None,
    json_: Json = False,
) -> None:
    """Compare a model's predictions with labels, and two models with each other."""
    if teacher and label:
        raise InputError("--teacher and --label both name the labels; pass one.")
    if features is not None and (data_root or manifest or label_scale):
        raise InputError("--features is measured already; drop the corpus's flags.")
    prepare_extraction(backend)
    from vmaf_jax.corpora.by_name import CorpusSource
    from vmaf_jax.jobs.evaluate import evaluate as run_evaluation
    from vmaf_jax.reporting.evaluation_tables import (
        show_comparison,
        show_evaluation,
        show_intervals,
        show_opinions,
    )
    from vmaf_jax.reporting.terminal import Terminal, show_json

    source = None if corpus is None else CorpusSource(corpus, data_root, manifest, label_scale)
    with Terminal() as terminal:
        result = run_evaluation(
            model,
            features=features,
            source=source,
            backend=backend,
            label=label or teacher,
            interval=interval,
            against=against,
            progress=terminal,
        )
    if json_:
        show_json(result)
        return
    title = f"{result.model} ({result.kind}) against {result.label}"
    show_evaluation(title, result.overall, result.sources)
    if result.opinions is not None:
        show_opinions(title, result.opinions, result.label_scale)
    if (intervals := result.intervals) is not None:
        show_intervals(
            [dataclasses.astuple(clip) for clip in intervals.clips],
            f"{100 * intervals.level:g} % intervals held the label of {intervals.held:.1%} of "
            f"{len(intervals.clips)} clips; mean width {intervals.mean_width:.3g} points",
        )
    if (second := result.against) is not None:
        show_comparison(result.model, second.model, second.comparison, result.label_scale)
