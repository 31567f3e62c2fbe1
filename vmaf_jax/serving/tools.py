"""The tools: each names its request and its result, and calls one job.

These functions run in a worker. A request that reaches them is valid and its paths are allowed.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vmaf_jax.files import to_json
from vmaf_jax.jobs.report import Report
from vmaf_jax.serving import requests, results
from vmaf_jax.serving.long_results import PART

ENGINES = {"cpu": "libvmaf", "jax": "jax"}


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
    from vmaf_jax.jobs.model import load_model

    return load_model(model)


def _videos(pair: requests.Pair) -> list[Any]:
    from vmaf_jax.errors import InputError
    from vmaf_jax.video.video import Video

    videos = [Video(Path(pair.ref)), Video(Path(pair.dis))]
    size: dict[str, Any] = {"width": pair.width, "height": pair.height, "pix_fmt": pair.pix_fmt}
    if any(size.values()) and not any(video.is_raw for video in videos):
        raise InputError("width, height, pixfmt and bitdepth are for raw .yuv files; drop them.")
    return [dataclasses.replace(v, **size) if v.is_raw else v for v in videos]


def _means(table: Any) -> dict[str, float]:
    return dict(zip(table.feature_set, np.mean(table.features, axis=0).tolist(), strict=True))


def vmaf_score(request: requests.Score, report: Report) -> Answer:
    """Scores a pair, frame by frame."""
    from vmaf_jax.jobs.score import score
    from vmaf_jax.jobs.scores import statistics

    report.say("measuring")
    model = _load(request.model)
    reference, distorted = _videos(request)
    scores = score(
        reference,
        distorted,
        model,
        backend=ENGINES[request.backend],
        interval=request.interval,
        **request.comparison,
    )
    names = tuple(scores.table.feature_set)
    rows = zip(scores.per_frame.tolist(), scores.table.features.tolist(), strict=True)
    result = results.Scored(
        model=scores.model,
        kind=scores.kind,
        backend=scores.table.provenance["backend"],
        score=scores.pooled,
        interval=None
        if scores.interval is None
        else results.Interval(**dataclasses.asdict(scores.interval)),
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


def describe_worst_frames(request: requests.WorstFrames, report: Report) -> Answer:
    """The lowest frames of a pair, with pictures."""
    from vmaf_jax.jobs.worst_frames import worst_frames

    report.say("measuring")
    reference, distorted = _videos(request)
    scores, worst = worst_frames(
        reference,
        distorted,
        _load(request.model),
        count=request.count,
        apart=request.apart,
        pictures=request.pictures,
        backend=ENGINES[request.backend],
        shortest=request.shortest,
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


def list_models(request: requests.Nothing, report: Report) -> Answer:
    """Models that go by their names."""
    from vmaf_jax.jobs.catalogue import list_models as job
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


def list_backends(request: requests.Nothing, report: Report) -> Answer:
    """What measures features here."""
    from vmaf_jax.jobs.catalogue import list_backends as job

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


def compare_models(request: requests.Compare, report: Report) -> Answer:
    """Models on the same rows, best first."""
    from vmaf_jax.jobs.compare_models import compare_models as job

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


def eval_model_on_split(request: requests.Evaluate, report: Report) -> Answer:
    """One model on a split."""
    from vmaf_jax.jobs.compare_models import compare_models as job

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


def run_benchmark(request: requests.Benchmark, report: Report) -> Answer:
    """Ours against the plain way, timed side by side."""
    import json

    from vmaf_jax.benchmarks import run_benchmark as job
    from vmaf_jax.benchmarks.report import to_lines

    report.say(f"timing {request.what}")
    timed = job(request.what, request.repeats)
    plain = json.loads(to_json(timed))
    return Answer(results.Benchmarked(what=request.what, report=plain, lines=to_lines(timed)))


def train_model(request: requests.Train, report: Report) -> Answer:
    """A student, cross-validated, exported and verified, in a run folder."""
    from vmaf_jax.jobs.config import Config, validate
    from vmaf_jax.jobs.train import train as job

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
    run = job(config, folder, overwrite=request.overwrite, report=report)
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


def export_model(request: requests.Export, report: Report) -> Answer:
    """A model's files, verified."""
    from vmaf_jax.jobs.export import export as job

    out = Path(request.out)
    report.say("export and parity")
    exported = job(request.model, out, request.format, request.quantize)
    files = [str(file) for file in exported.files(out)]
    return Answer(results.Exported(files=files, lines=exported.lines(out)))


RUN: dict[str, Callable[[Any, Report], Answer]] = {
    function.__name__: function
    for function in (
        *(vmaf_score, list_models, list_backends, eval_model_on_split, compare_models),
        *(describe_worst_frames, run_benchmark, train_model, export_model),
    )
}
