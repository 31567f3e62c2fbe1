"""The tools: each names its request and its result, and calls one job.

These functions run in a worker. A request that reaches them is valid and its paths are allowed.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vmaf_jax.evaluation.conformal import ScoreInterval
from vmaf_jax.files import check_output, to_json, write_text
from vmaf_jax.progress import Progress
from vmaf_jax.serving import requests, results
from vmaf_jax.serving.long_results import PART
from vmaf_jax.tables.dataset import TableSummary
from vmaf_jax.tables.opinions import LabelScale, check_scale


@dataclasses.dataclass(frozen=True)
class Answer:
    """A result and its pictures (PNG)."""

    result: results.Result
    pictures: list[bytes] = dataclasses.field(default_factory=list)


def _load(model: str) -> Any:
    """A MODEL that stays loaded; one whose files have changed is loaded again."""
    path = Path(model)
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.exists() else []
    stamps = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _loaded(model, stamps)


@functools.lru_cache(maxsize=8)
def _loaded(model: str, _stamps: tuple[tuple[str, int, int], ...]) -> Any:
    from vmaf_jax.scoring.model import load_model

    return load_model(model)


def _videos(pair: requests.Pair) -> list[Any]:
    from vmaf_jax.errors import InputError
    from vmaf_jax.video.inputs import Video

    videos = [Video(Path(pair.reference)), Video(Path(pair.distorted))]
    size: dict[str, Any] = {"width": pair.width, "height": pair.height, "pix_fmt": pair.pix_fmt}
    if any(size.values()) and not any(video.is_raw for video in videos):
        raise InputError("width, height and pix_fmt are for raw .yuv files; drop them.")
    return [dataclasses.replace(v, **size) if v.is_raw else v for v in videos]


def _interval(interval: ScoreInterval | None) -> results.Interval | None:
    return None if interval is None else results.Interval(**dataclasses.asdict(interval))


def _means(table: Any) -> dict[str, float]:
    return dict(zip(table.feature_set, np.mean(table.features, axis=0).tolist(), strict=True))


def vmaf_score(request: requests.Score, progress: Progress) -> Answer:
    """Scores a pair, frame by frame."""
    from vmaf_jax.scoring.score import score
    from vmaf_jax.scoring.scores import statistics

    progress.say("measuring")
    model = _load(request.model)
    reference, distorted = _videos(request)
    scores = score(
        reference,
        distorted,
        model,
        backend=request.backend,
        interval=request.interval,
        comparison=request.comparison,
    )
    names = tuple(scores.table.feature_set)
    rows = zip(scores.per_frame.tolist(), scores.table.features.tolist(), strict=True)
    result = results.Scored(
        model=scores.model,
        kind=scores.kind,
        backend=scores.table.provenance["backend"],
        score=scores.pooled,
        interval=_interval(scores.interval),
        inside_training_region=scores.inside_training_region,
        statistics=results.Statistics(**statistics(scores.per_frame)),
        features=_means(scores.table),
        seconds=scores.seconds,
        frames=[
            results.Frame(frame=k, score=value, features=dict(zip(names, row, strict=True)))
            for k, (value, row) in enumerate(rows)
            if request.per_frame
        ],
    )
    return Answer(result, [scores.plot()] if request.plot else [])


def describe_worst_frames(request: requests.WorstFrames, progress: Progress) -> Answer:
    """The lowest frames of a pair, with pictures."""
    from vmaf_jax.scoring.worst_frames import worst_frames

    progress.say("measuring")
    reference, distorted = _videos(request)
    scores, worst = worst_frames(
        reference,
        distorted,
        _load(request.model),
        count=request.count,
        apart=request.apart,
        pictures=request.pictures,
        backend=request.backend,
        comparison=request.comparison,
    )
    result = results.Described(
        model=scores.model,
        score=scores.pooled,
        frames_in_clip=len(scores.per_frame),
        features=_means(scores.table),
        worst=[
            results.Frame(frame=frame.frame, score=frame.score, features=frame.features)
            for frame in worst
        ],
    )
    return Answer(result, [frame.picture for frame in worst if frame.picture is not None])


def list_models(request: requests.Nothing, progress: Progress) -> Answer:
    """Models that go by their names."""
    from vmaf_jax.scoring.model import list_models as job
    from vmaf_jax.serving.resources import card_uri

    entries = [
        results.ModelEntry(
            name=model.name,
            kind=model.kind,
            feature_set=model.feature_set,
            label=model.label,
            n_params=model.n_params,
            rmse=model.rmse_in_unit,
            unit=model.unit,
            card=card_uri(model.name) if model.card else None,
        )
        for model in job()
    ]
    return Answer(results.Models(models=entries))


def list_backends(request: requests.Nothing, progress: Progress) -> Answer:
    """What measures features here."""
    from vmaf_jax.scoring.model import list_backends as job

    entries = [results.BackendEntry(**dataclasses.asdict(backend)) for backend in job()]
    return Answer(results.Backends(backends=entries))


def _agreement(evaluation: Any, n_models: int = 1) -> dict[str, Any]:
    """A model's figures, with as many clips as fit an answer of so many models."""
    names = ("plcc", "srocc", "rmse", "max_abs")
    figures = {name: getattr(evaluation.overall, name) for name in names}
    intervals = None
    if evaluation.intervals is not None:
        entry = dataclasses.asdict(evaluation.intervals)
        n_clips = len(entry["clips"])
        entry |= {"n_clips": n_clips, "clips": entry["clips"][: PART // n_models]}
        intervals = results.ClipIntervals(**entry)
    return {"model": evaluation.model, "kind": evaluation.kind, **figures, "intervals": intervals}


def compare_models(request: requests.Compare, progress: Progress) -> Answer:
    """Models on the same rows, best first."""
    from vmaf_jax.jobs.evaluate import rank_models as job

    models = [_load(model) for model in request.models]
    how: dict[str, Any] = {"split": request.split, "label": request.label}
    compared = job(models, Path(request.features), interval=request.interval, **how)
    return Answer(
        results.Compared(
            label=compared.label,
            split=compared.split,
            rows=compared.rows,
            sources=compared.sources,
            ranked=[
                results.Agreement(**_agreement(model, len(models))) for model in compared.ranked
            ],
        )
    )


def eval_model_on_split(request: requests.Evaluate, progress: Progress) -> Answer:
    """One model on a split."""
    from vmaf_jax.jobs.evaluate import rank_models as job

    how: dict[str, Any] = {"split": request.split, "label": request.label}
    how |= {"interval": request.interval}
    compared = job([_load(request.model)], Path(request.features), **how)
    return Answer(
        results.Evaluated(
            label=compared.label,
            split=compared.split,
            rows=compared.rows,
            sources=compared.sources,
            **_agreement(compared.ranked[0]),
        )
    )


def run_benchmark(request: requests.Benchmark, progress: Progress) -> Answer:
    """Ours against the plain way, timed side by side."""
    import json

    from vmaf_jax.benchmarks import run_benchmark as job
    from vmaf_jax.benchmarks.timing import to_lines

    progress.say(f"timing {request.what}")
    timed = job(request.what, request.repeats)
    plain = json.loads(to_json(timed))
    return Answer(results.Benchmarked(what=request.what, report=plain, lines=to_lines(timed)))


def train_model(request: requests.Train, progress: Progress) -> Answer:
    """A student, cross-validated, exported and verified, in a run folder."""
    from vmaf_jax.jobs.train import train as job
    from vmaf_jax.runs.config import Config, validate

    folder = Path(request.name)
    optimiser = "levenberg_marquardt" if request.network == "rbf" else "adamw"
    values = {
        "name": folder.name,
        "data": {
            "corpus": request.corpus,
            "features": request.features,
            "label": request.label,
            "teacher": request.teacher,
        },
        "student": {"network": request.network},
        "training": {
            "steps": request.steps,
            "seeds": [request.seed],
            "folds": request.folds,
            "optimiser": optimiser,
        },
    }
    config = validate(Config, values, Path("request"))
    run = job(config, folder, overwrite=request.overwrite, progress=progress)
    loso = run.metrics.loso.pooled
    return Answer(
        results.Trained(
            run_dir=str(run.path),
            plcc=loso.plcc,
            srocc=loso.srocc,
            rmse=loso.rmse,
            max_abs=loso.max_abs,
            rows=loso.n,
            sources=len(run.metrics.folds),
            parity_max_abs=run.parity.max_abs,
            train_s=run.metrics.timing.train_s,
        )
    )


def export_model(request: requests.Export, progress: Progress) -> Answer:
    """A model's files, verified."""
    from vmaf_jax.jobs.export import export as job

    out = Path(request.out)
    progress.say("export and parity")
    exported = job(request.model, out, request.format, request.quantize)
    files = [str(file) for file in exported.files(out)]
    return Answer(results.Exported(files=files, lines=exported.lines(out)))


def rank(request: requests.Rank, progress: Progress) -> Answer:
    """Several videos, the best first."""
    from vmaf_jax.scoring.rank import rank as job
    from vmaf_jax.scoring.score import ScoreSettings
    from vmaf_jax.scoring.scores import statistics

    out = _json_out(request.out, [request.reference, *request.distorted])
    progress.say("measuring")
    ranking = job(
        request.reference,
        request.distorted,
        _load(request.model),
        ScoreSettings(
            backend=request.backend,
            width=request.width,
            height=request.height,
            pix_fmt=request.pix_fmt,
            interval=request.interval,
            comparison=request.comparison,
        ),
        progress=progress,
    )
    if out is not None:
        write_text(out, to_json(ranking.to_dict(per_frame=True)) + "\n")
    shown = list(zip(ranking.ranked, ranking.names(), strict=True))[:PART]
    return Answer(
        results.Ranked(
            model=ranking.ranked[0].model if ranking.ranked else None,
            n_ranked=len(ranking.ranked),
            ranked=[
                results.RankedVideo(
                    rank=place,
                    reference=reference,
                    distorted=distorted,
                    score=scores.pooled,
                    bytes=scores.size,
                    kbit_per_s=scores.bitrate,
                    interval=_interval(scores.interval),
                    inside_training_region=scores.inside_training_region,
                    statistics=results.Statistics(**statistics(scores.per_frame)),
                )
                for place, (scores, (reference, distorted)) in enumerate(shown, 1)
            ],
            n_failed=len(ranking.failed),
            failed=[
                results.FailedVideo(**dataclasses.asdict(failure))
                for failure in ranking.failed[:PART]
            ],
            out=request.out,
        )
    )


def extract(request: requests.Extract, progress: Progress) -> Answer:
    """A corpus to a feature table."""
    from vmaf_jax.corpora.by_name import CorpusSource
    from vmaf_jax.jobs.extract import ExtractSettings
    from vmaf_jax.jobs.extract import extract as job

    source = CorpusSource(
        request.corpus,
        data_root=_path(request.data_root),
        manifest=_path(request.manifest),
        label_scale=_scale(request.label_scale),
    )
    settings = ExtractSettings(
        features=request.features,
        teachers=tuple(request.teacher) if request.teacher else None,
        mean_pool=request.mean_pool,
        backend=request.backend,
        comparison=request.comparison,
    )
    check_output(Path(request.out), ".parquet")
    contents = job(source, Path(request.out), settings, progress=progress)
    return Answer(_tabled(request.out, contents))


def import_features(request: requests.Import, progress: Progress) -> Answer:
    """Features and opinions that are there already, to a feature table."""
    from vmaf_jax.jobs.import_features import ImportSettings, ImportSource
    from vmaf_jax.jobs.import_features import import_features as job

    source = ImportSource(
        logs=_path(request.logs),
        frames=_path(request.frames),
        clips=_path(request.clips),
        corpus=request.corpus,
        data_root=_path(request.data_root),
        ratings=_path(request.ratings),
    )
    settings = ImportSettings(
        label_scale=_scale(request.label_scale),
        features=request.features,
        teachers=tuple(request.teacher or ()),
        name=request.name,
    )
    check_output(Path(request.out), ".parquet")
    contents = job(source, Path(request.out), settings, progress=progress)
    return Answer(_tabled(request.out, contents))


def ladder(request: requests.Ladder, progress: Progress) -> Answer:
    """Codecs by rate and quality."""
    from vmaf_jax.jobs.ladder import ladder as job
    from vmaf_jax.reporting.ladder_tables import check_panels
    from vmaf_jax.reporting.plots import plot_curves

    out = _json_out(request.out, [request.table])
    made = job(
        Path(request.table),
        anchor=request.anchor,
        level=request.level,
        hull=request.hull,
        allow_crossing=request.allow_crossing,
        content=request.content,
    )
    hulls = made.hulls()
    if request.plot:
        check_panels(hulls)
    if out is not None:
        write_text(out, to_json(made.to_dict()) + "\n")
    rungs = [encode for encodes in hulls.values() for encode in encodes]
    result = results.Laddered(
        anchor=made.anchor,
        level=made.level,
        curves_through="hull" if made.hull else "all encodes",
        n_encodes=len(made.rungs),
        bd_rate=[
            results.BdRate(
                codec=entry.codec,
                contents=len(entry.contents),
                mean={method: 100 * value for method, value in entry.mean.items()},
                intervals={
                    method: None if ends is None else (100 * ends[0], 100 * ends[1])
                    for method, ends in entry.intervals.items()
                },
            )
            for entry in made.bd_rates
        ],
        n_left_out=len(made.left_out),
        left_out=[results.LeftOut(**dataclasses.asdict(entry)) for entry in made.left_out[:PART]],
        n_hull=len(rungs),
        hull=[results.Rung(**dataclasses.asdict(encode)) for encode in rungs[:PART]],
        out=request.out,
    )
    return Answer(result, [plot_curves(made.curves, hulls)] if request.plot else [])


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _scale(ends: list[float] | None) -> LabelScale | None:
    return None if ends is None else check_scale(ends, "label_scale")


def _json_out(name: str | None, inputs: list[str]) -> Path | None:
    """Where a result goes as JSON, if anywhere; raises InputError where it cannot be written."""
    if (out := _path(name)) is not None:
        check_output(out, ".json", map(Path, inputs))
    return out


def _tabled(out: str, contents: TableSummary) -> results.Tabled:
    return results.Tabled(
        out=out,
        rows=contents.rows,
        clips=contents.n_clips,
        n_sources=len(contents.sources),
        sources=contents.sources[:PART],
        labels=contents.labels,
        label_scale=None if contents.label_scale is None else list(contents.label_scale),
    )


RUN: dict[str, Callable[[Any, Progress], Answer]] = {
    function.__name__: function
    for function in (
        *(vmaf_score, rank, list_models, list_backends, eval_model_on_split, compare_models),
        *(describe_worst_frames, extract, ladder, run_benchmark, train_model, export_model),
    )
} | {"import": import_features}
