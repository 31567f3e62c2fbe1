"""The work of each tool: from a request, by one job, to an answer.

These functions run in a worker. A request that reaches them is valid and its paths are allowed.
"""

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_type_hints

import numpy as np
import pydantic

from vmaf_jax.files import check_output, to_json, write_text
from vmaf_jax.jobs import doctor
from vmaf_jax.jobs.calibrate import calibrate, suggest
from vmaf_jax.jobs.encode import EncodeSettings, Encoding, encode
from vmaf_jax.jobs.ladder import BdRate, check_panels, ladder
from vmaf_jax.progress import Progress
from vmaf_jax.scoring.model import (
    AUTO,
    PHONE,
    V1,
    Model,
    ModelLike,
    load_model,
)
from vmaf_jax.scoring.rank import list_warnings, rank
from vmaf_jax.scoring.score import ScoreSettings, score_pair
from vmaf_jax.scoring.scores import Place, Scores
from vmaf_jax.scoring.worst_frames import worst_frames
from vmaf_jax.serving import requests, results
from vmaf_jax.serving.requests import Request, fill_settings
from vmaf_jax.serving.resources import PART, card_uri
from vmaf_jax.tables.table import FeatureTable, LabelScale

if TYPE_CHECKING:
    from vmaf_jax.jobs.evaluate import Evaluation, ModelRanking

_Request = TypeVar("_Request", bound=Request)
_Result = TypeVar("_Result")
_STATISTICS = pydantic.TypeAdapter(results.Statistics)
_MOMENTS = pydantic.TypeAdapter(dict[str, results.Moment])


@dataclasses.dataclass(frozen=True)
class Answer(Generic[_Result]):
    """A result and its pictures (PNG)."""

    result: _Result
    pictures: Sequence[bytes] = ()


def score_video(request: requests.ScoreRequest, progress: Progress) -> Answer[results.ScoreResult]:
    """Scores a pair of videos."""
    scores = _score(request, progress)
    table = scores.table
    rows = zip(
        table.index.tolist(), scores.per_frame.tolist(), table.features.tolist(), strict=True
    )
    result = results.ScoreResult(
        model=scores.model,
        kind=scores.kind,
        backend=table.provenance["backend"],
        score=scores.pooled,
        pooling=scores.pooling,
        moments=_MOMENTS.validate_python(
            {name: scores.describe_moment(moment) for name, moment in scores.moments().items()}
        ),
        model_choice=scores.choice,
        interval=scores.interval,
        worst_region=scores.worst_region,
        inside_training_region=scores.inside_training_region,
        statistics=_statistics(scores),
        features=_mean_features(table),
        seconds=scores.seconds,
        warnings=list_warnings(scores),
        frames=[
            _describe_frame(
                k, scores.places(k), value, dict(zip(table.feature_set, row, strict=True))
            )
            for k, value, row in rows
            if request.per_frame
        ],
    )
    return Answer(result, [scores.plot()] if request.plot else [])


def _score(request: requests.Pair, progress: Progress) -> Scores:
    progress.say("measuring")
    model = _load_scorer(request.model)
    settings = fill_settings(ScoreSettings, request)
    return score_pair(request.reference, request.distorted, model, settings)


def _describe_frame(
    frame: int, places: tuple[Place, Place], score: float, features: dict[str, float]
) -> results.Frame:
    return results.Frame(
        frame=frame,
        reference_frame=places[0].frame,
        distorted_frame=places[1].frame,
        score=score,
        features=features,
    )


def describe_worst_frames(
    request: requests.WorstFramesRequest, progress: Progress
) -> Answer[results.WorstFramesResult]:
    """Describes the frames of a pair that score lowest, with pictures."""
    progress.say("measuring")
    scores, worst = worst_frames(
        request.reference,
        request.distorted,
        _load_scorer(request.model),
        fill_settings(ScoreSettings, request),
        count=request.count,
        apart=request.apart,
        pictures=request.pictures,
    )
    result = results.WorstFramesResult(
        model=scores.model,
        score=scores.pooled,
        frames_in_clip=len(scores.per_frame),
        features=_mean_features(scores.table),
        worst=[
            _describe_frame(frame.frame, frame.places, frame.score, frame.features)
            for frame in worst
        ],
        warnings=list_warnings(scores),
    )
    return Answer(result, [frame.picture for frame in worst if frame.picture is not None])


def draw_maps(request: requests.MapsRequest, progress: Progress) -> Answer[results.MapsResult]:
    """Draws where the lowest frames of a pair lose quality."""
    from vmaf_jax.scoring.quality_map import check_map_folder, write_maps

    out = Path(request.out)
    check_map_folder(out)
    scores = _score(request, progress)
    progress.say("maps")
    result = results.MapsResult(
        model=scores.model,
        score=scores.pooled,
        files=[str(path) for path in write_maps(out, scores)],
        worst_region=scores.worst_region,
        warnings=list_warnings(scores),
    )
    return Answer(result)


def rank_videos(request: requests.RankRequest, progress: Progress) -> Answer[results.RankResult]:
    """Scores several videos and ranks them, the best first."""
    out = _json_output(request.out, [request.reference, *request.distorted])
    progress.say("measuring")
    ranking = rank(
        request.reference,
        request.distorted,
        _load_scorer(request.model),
        fill_settings(ScoreSettings, request),
        progress=progress,
    )
    if out is not None:
        write_text(out, to_json(ranking.to_dict(per_frame=True)))
    shown = list(zip(ranking.ranked, ranking.names(), strict=True))[:PART]
    result = results.RankResult(
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
                interval=scores.interval,
                worst_region=scores.worst_region,
                inside_training_region=scores.inside_training_region,
                statistics=_statistics(scores),
                warnings=list_warnings(scores),
            )
            for place, (scores, (reference, distorted)) in enumerate(shown, 1)
        ],
        n_failed=len(ranking.failed),
        failed=ranking.failed[:PART],
        out=request.out,
    )
    return Answer(result)


def extract_features(
    request: requests.ExtractRequest, progress: Progress
) -> Answer[results.TableResult]:
    """Measures a corpus and writes its feature table."""
    from vmaf_jax.extraction.corpus import CorpusSource
    from vmaf_jax.jobs.extract import ExtractSettings, extract

    check_output(Path(request.out), ".parquet")  # the job would write a folder of shards too
    summary = extract(
        fill_settings(CorpusSource, request),
        Path(request.out),
        fill_settings(ExtractSettings, request),
        progress=progress,
    )
    return Answer(results.TableResult.of(request.out, summary))


def import_table(
    request: requests.ImportRequest, progress: Progress
) -> Answer[results.TableResult]:
    """Writes the feature table of features and opinions that are there already."""
    from vmaf_jax.jobs.import_features import ImportSettings, ImportSource, import_features

    check_output(Path(request.out), ".parquet")  # the job would write a folder of shards too
    summary = import_features(
        fill_settings(ImportSource, request),
        Path(request.out),
        fill_settings(ImportSettings, request),
        progress=progress,
    )
    return Answer(results.TableResult.of(request.out, summary))


def check_table(request: requests.CheckRequest, progress: Progress) -> Answer[results.CheckResult]:
    """Finds what deserves no belief in a feature table."""
    from vmaf_jax.jobs.check import check

    out = _json_output(request.out, [request.table])
    checked = check(request.table, _path(request.ratings))
    if out is not None:
        write_text(out, to_json(checked))
    result = results.CheckResult(
        n_clips=checked.n_clips,
        n_findings=len(checked.findings),
        findings=list(checked.findings[:PART]),
        skipped=list(checked.skipped),
        out=request.out,
    )
    return Answer(result)


def compare_codecs(
    request: requests.LadderRequest, progress: Progress
) -> Answer[results.LadderResult]:
    """Compares codecs by rate and quality."""
    from vmaf_jax.reporting.plots import plot_curves

    out = _json_output(request.out, [request.table])
    made = ladder(
        Path(request.table),
        anchor=request.anchor,
        level=request.level,
        hull=request.hull,
        allow_crossing=request.allow_crossing,
        content=request.content,
    )
    hulls = made.hulls()
    if request.plot:
        check_panels(hulls)  # before anything is written
    if out is not None:
        write_text(out, to_json(made.to_dict()))
    hull = [encode for encodes in hulls.values() for encode in encodes]
    result = results.LadderResult(
        anchor=made.anchor,
        level=made.level,
        curves_through="hull" if made.hull else "all encodes",
        n_encodes=len(made.rungs),
        bd_rate=[_in_percent(entry) for entry in made.bd_rates],
        n_left_out=len(made.left_out),
        left_out=list(made.left_out[:PART]),
        n_hull=len(hull),
        hull=hull[:PART],
        out=request.out,
    )
    return Answer(result, [plot_curves(made.curves, hulls)] if request.plot else [])


def suggest_clips(
    request: requests.SuggestRequest, progress: Progress
) -> Answer[results.SuggestResult]:
    """Names the clips of each title to have rated."""
    made = suggest(
        request.features,
        request.count,
        request.model,
        titles=() if request.title is None else (request.title,),
        already=_path(request.already),
        costs=_path(request.costs),
        codecs=_path(request.codecs),
        label_scale=_scale(request.label_scale),
    )
    result = results.SuggestResult(
        label_scale=made.label_scale,
        n_titles=len(made.suggestions),
        suggestions=made.suggestions[:PART],
    )
    return Answer(result)


def calibrate_titles(
    request: requests.CalibrateRequest, progress: Progress
) -> Answer[results.CalibrateResult]:
    """Predicts the votes of a table's clips from those on some, and writes the model."""
    made = calibrate(
        request.features,
        Path(request.votes),
        Path(request.out),
        request.model,
        titles=() if request.title is None else (request.title,),
        codecs=_path(request.codecs),
        interval=request.interval,
        label_scale=_scale(request.label_scale),
        overwrite=request.overwrite,
    )
    result = results.CalibrateResult(
        out=request.out,
        model=made.model,
        label_scale=made.label_scale,
        interval=made.interval,
        n_clips=len(made.clips),
        n_rated=sum(clip.rated for clip in made.clips),
        clips=made.clips[:PART],
        note=made.note,
    )
    return Answer(result)


def list_models(
    request: requests.ListModelsRequest, progress: Progress
) -> Answer[results.ModelsResult]:
    """Lists the models that go by their names."""
    return Answer(results.ModelsResult(doctor.list_models(card_uri)))


def list_backends(
    request: requests.ListBackendsRequest, progress: Progress
) -> Answer[results.BackendsResult]:
    """Lists what measures features on this machine."""
    return Answer(results.BackendsResult(doctor.list_backends()))


def evaluate_model(
    request: requests.EvaluateRequest, progress: Progress
) -> Answer[results.EvaluateResult]:
    """Evaluates one model on a split."""
    compared = _rank_models([request.model], request)
    agreement = _agreement(compared.ranked[0], PART)
    result = results.EvaluateResult(
        label=compared.label,
        split=compared.split,
        rows=compared.rows,
        sources=compared.sources,
        model=agreement.model,
        kind=agreement.kind,
        plcc=agreement.plcc,
        srocc=agreement.srocc,
        rmse=agreement.rmse,
        max_abs=agreement.max_abs,
        intervals=agreement.intervals,
    )
    return Answer(result)


def compare_models(
    request: requests.CompareRequest, progress: Progress
) -> Answer[results.CompareResult]:
    """Evaluates several models on the same rows, the best first."""
    compared = _rank_models(request.models, request)
    max_clips = PART // len(request.models)
    result = results.CompareResult(
        label=compared.label,
        split=compared.split,
        rows=compared.rows,
        sources=compared.sources,
        ranked=[_agreement(evaluation, max_clips) for evaluation in compared.ranked],
    )
    return Answer(result)


def train_model(request: requests.TrainRequest, progress: Progress) -> Answer[results.TrainResult]:
    """Trains a student, cross-validates it, and verifies its export, in a run folder."""
    from vmaf_jax.jobs.train import train
    from vmaf_jax.runs.config import Config, validate

    folder = Path(request.name)
    # An RBF network has few parameters and converges in few steps of Levenberg and Marquardt.
    optimiser = "levenberg_marquardt" if request.network == "rbf" else "adamw"
    settings = {
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
    config = validate(Config, settings, Path("request"))
    run = train(config, folder, overwrite=request.overwrite, progress=progress)
    held_out = run.metrics.loso.pooled
    result = results.TrainResult(
        run_dir=str(run.path),
        plcc=held_out.plcc,
        srocc=held_out.srocc,
        rmse=held_out.rmse,
        max_abs=held_out.max_abs,
        rows=held_out.n,
        sources=len(run.metrics.folds),
        parity_max_abs=run.parity.max_abs,
        train_s=run.metrics.timing.train_s,
    )
    return Answer(result)


def export_model(
    request: requests.ExportRequest, progress: Progress
) -> Answer[results.ExportResult]:
    """Writes the files of a model and verifies them."""
    from vmaf_jax.jobs.export import export

    out = Path(request.out)
    progress.say("export and parity")
    exported = export(request.model, out, request.format, request.quantize)
    files = [str(file) for file in exported.files(out)]
    return Answer(results.ExportResult(files=files, lines=exported.lines(out)))


def run_benchmark(
    request: requests.BenchmarkRequest, progress: Progress
) -> Answer[results.BenchmarkResult]:
    """Times a part of the library side by side with what it replaces."""
    from vmaf_jax import benchmarks
    from vmaf_jax.benchmarks.timing import to_lines

    progress.say(f"timing {request.what}")
    report = benchmarks.run_benchmark(request.what, request.repeats)
    plain = json.loads(to_json(report))
    return Answer(results.BenchmarkResult(what=request.what, report=plain, lines=to_lines(report)))


def encode_to_target(request: requests.EncodeRequest, progress: Progress) -> Answer[Encoding]:
    """Encodes a video as cheaply as a target score allows."""
    settings = fill_settings(EncodeSettings, request)
    return Answer(encode(request.reference, Path(request.out), settings, progress=progress))


class Work(Generic[_Request, _Result]):
    """The function behind a tool, the kind of its requests, and the schema of its results."""

    def __init__(self, run: Callable[[_Request, Progress], Answer[_Result]]) -> None:
        """Reads the kinds from the annotations of `run`."""
        hints = get_type_hints(run)
        (self._result,) = get_args(hints["return"])
        self.run, self.request = run, hints["request"]

    @functools.cached_property
    def _adapter(self) -> Any:  # beartype, in tests, does not know TypeAdapter[...]
        return pydantic.TypeAdapter(self._result)

    def output_schema(self) -> dict[str, Any]:
        """Returns the JSON schema of the result, which clients check answers against."""
        schema_generator = results.ResultSchema
        return self._adapter.json_schema(mode="serialization", schema_generator=schema_generator)

    def to_plain(self, result: _Result) -> dict[str, Any]:
        """Returns a result as JSON values; undefined figures, which are not finite, are null."""
        return dict(json.loads(self._adapter.dump_json(result)))


_TOOLS: tuple[Callable[[Any, Progress], Answer[Any]], ...] = (
    score_video,
    rank_videos,
    describe_worst_frames,
    draw_maps,
    extract_features,
    import_table,
    check_table,
    compare_codecs,
    encode_to_target,
    suggest_clips,
    calibrate_titles,
    list_models,
    list_backends,
    evaluate_model,
    compare_models,
    train_model,
    export_model,
    run_benchmark,
)
WORK: dict[type[Request], Work[Any, Any]] = {work.request: work for work in map(Work, _TOOLS)}


def output_schemas() -> dict[str, dict[str, Any]]:
    """Returns the JSON schema of each tool's result, by the tool's name."""
    return {name: WORK[tool.request].output_schema() for name, tool in requests.TOOLS.items()}


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _scale(ends: Sequence[float] | None) -> LabelScale | None:
    return None if ends is None else (ends[0], ends[1])


def _load_scorer(model: str) -> ModelLike:
    """Returns what scores a pair: a model that stays loaded, or a name that the pair decides."""
    return model if model in (AUTO, PHONE, V1) else _load(model)


def _load(model: str) -> Model:
    """Returns a model that stays loaded; it is loaded again where its files have changed."""
    path = Path(model)
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.exists() else []
    stamps = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return _load_version(model, stamps)


@functools.lru_cache(maxsize=8)  # a model in use holds compiled programs
def _load_version(model: str, _stamps: tuple[tuple[str, int, int], ...]) -> Model:
    return load_model(model)


def _statistics(scores: Scores) -> results.Statistics:
    return _STATISTICS.validate_python(scores.statistics())


def _mean_features(table: FeatureTable) -> dict[str, float]:
    return dict(zip(table.feature_set, np.mean(table.features, axis=0).tolist(), strict=True))


def _rank_models(models: Sequence[str], request: requests.RowsRequest) -> "ModelRanking":
    from vmaf_jax.jobs.evaluate import rank_models

    return rank_models(
        [_load(model) for model in models],
        Path(request.features),
        split=request.split,
        label=request.label,
        interval=request.interval,
    )


def _agreement(evaluation: "Evaluation", max_clips: int) -> results.Agreement:
    """Returns a model's figures, and the intervals of at most `max_clips` clips."""
    intervals = None
    if evaluation.intervals is not None:
        intervals = results.SplitIntervals(
            level=evaluation.intervals.level,
            held=evaluation.intervals.held,
            mean_width=evaluation.intervals.mean_width,
            n_clips=len(evaluation.intervals.clips),
            clips=evaluation.intervals.clips[:max_clips],
        )
    return results.Agreement(
        model=evaluation.model,
        kind=evaluation.kind,
        plcc=evaluation.overall.plcc,
        srocc=evaluation.overall.srocc,
        rmse=evaluation.overall.rmse,
        max_abs=evaluation.overall.max_abs,
        intervals=intervals,
    )


def _in_percent(entry: BdRate) -> results.BdRate:
    return results.BdRate(
        codec=entry.codec,
        contents=len(entry.contents),
        mean={method: 100 * value for method, value in entry.mean.items()},
        intervals={
            method: None if ends is None else (100 * ends[0], 100 * ends[1])
            for method, ends in entry.intervals.items()
        },
    )


def _json_output(name: str | None, inputs: Sequence[str]) -> Path | None:
    """Returns where a result is to be written as JSON, if anywhere.

    Raises:
        InputError: it cannot be written there.
    """
    if name is None:
        return None
    check_output(Path(name), ".json", map(Path, inputs))
    return Path(name)
