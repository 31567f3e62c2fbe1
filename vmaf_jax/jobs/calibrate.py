"""The job `calibrate`: which clips of a title to have rated, and what their votes say of the rest.

The process is in `evaluation.title_process`. Votes come from a file alone: the table's own opinion
scores are not looked at.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pydantic

from vmaf_jax.corpora.records import Number, parse_record, read_records
from vmaf_jax.corpora.votes import RatedClip, compose, read_rated_clips
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.conformal import check_level
from vmaf_jax.evaluation.title_process import (
    NO_RATINGS,
    ExperimentClips,
    Floats,
    Hyperparameters,
    Integers,
    Ratings,
    TitleProcess,
    choose_clips,
    expect_codecs,
    fit_codec,
    half_widths,
    posterior,
)
from vmaf_jax.export.sidecar import check_sidecar
from vmaf_jax.files import atomic_path, check_result_folder, claim_result_folder, to_csv, write_text
from vmaf_jax.jobs.calibrated_folder import CalibratedTitles, write_model
from vmaf_jax.printable import format_count
from vmaf_jax.scoring.measured_clips import DEFAULT_BASE, MeasuredClips, load_process, measure_clips
from vmaf_jax.scoring.model import CLIPS_FILE, Model, load_scorer
from vmaf_jax.tables.dataset import read_table
from vmaf_jax.tables.table import (
    MOS_RANGE,
    FeatureTable,
    LabelScale,
    check_scale,
    from_hundred,
    to_hundred,
    votes_a_point,
)

_LEAST_VARIANCE = 1e-4  # points squared
# Good clips are not rated this low on a larger scale: such votes are on a scale of 1 to 5.
_STARS, _LARGE, _MIDDLING = 5.0, 10.0, 50.0


@dataclasses.dataclass(frozen=True)
class SuggestedClip:
    """A clip to have rated.

    Attributes:
        clip: Its name.
        expected_rmse: Of the predictions of the title's clips that are not rated yet, once this one
            and those before it are; against mean votes, on their scale. None where no clip is left.
    """

    clip: str
    expected_rmse: float | None


@dataclasses.dataclass(frozen=True)
class TitleSuggestions:
    """The clips of a title to have rated, in this order."""

    source: str
    clips: list[SuggestedClip]
    experiment: str | None = None


@dataclasses.dataclass(frozen=True)
class Suggestions:
    """The clips of each title to have rated.

    Attributes:
        label_scale: The worst and the best vote; 0 and 100 where nothing says another.
    """

    label_scale: LabelScale
    suggestions: list[TitleSuggestions]

    def to_csv(self) -> str:
        """Returns a row a clip: `source, clip, expected_rmse`, the last empty where it is None."""
        rows = [
            (
                title.source,
                clip.clip,
                "" if clip.expected_rmse is None else f"{clip.expected_rmse:.4f}",
            )
            for title in self.suggestions
            for clip in title.clips
        ]
        return to_csv(("source", "clip", "expected_rmse"), rows)


@dataclasses.dataclass(frozen=True)
class CalibratedClip:
    """A clip's votes as predicted, on the voters' scale.

    Attributes:
        score: What a panel as large as can be would give on average.
        low, high: Interval of the mean vote of a panel as the one that rated.
        rated: Whether it was.
    """

    clip: str
    source: str
    score: float
    low: float
    high: float
    rated: bool


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """The clips of a table, calibrated by votes on some of them.

    Attributes:
        interval: Level of the intervals, in (0, 1).
        note: Which titles are of a test without votes, in a sentence; None without such.
    """

    model: str
    label_scale: LabelScale
    interval: float
    clips: list[CalibratedClip]
    note: str | None = None

    def to_csv(self) -> str:
        """Returns a row a clip: `clip, source, score, low, high, rated`."""
        rows = [
            (
                c.clip,
                c.source,
                *(f"{v:.4f}" for v in (c.score, c.low, c.high)),
                str(c.rated).lower(),
            )
            for c in self.clips
        ]
        return to_csv(("clip", "source", "score", "low", "high", "rated"), rows)


def suggest(
    features: str | Path,
    count: int,
    model: str | Path = DEFAULT_BASE,
    *,
    titles: Sequence[str] = (),
    already: Path | None = None,
    costs: Path | None = None,
    codecs: Path | None = None,
    label_scale: LabelScale | None = None,
) -> Suggestions:
    """Chooses the clips of each title whose votes would tell most of its other clips.

    Args:
        features: A feature table, by path or address.
        count: Clips of each title.
        model: A MODEL over the six features that scores frames.
        titles: Sources, by default all.
        already: Votes that there are; their clips are not chosen again.
        costs: A file with columns `clip, cost`; the choice is by what a clip tells for its cost.
        codecs: A file with columns `clip, codec`; clips of several are chosen.
        label_scale: The worst and the best vote, by default the table's.

    Raises:
        InputError: A bad table, model, title, scale or file, a title with fewer clips to rate,
            or clips that share a name.
    """
    if count < 1:
        raise InputError(f"--suggest {count}: expected 1 or more clips of each title.")
    _, table, process, measured = _measure(features, model)
    _check_distances(table, features)
    scale = _scale(table, features, label_scale) or MOS_RANGE
    ratings = NO_RATINGS
    if already is not None:
        rated_clips = read_rated_clips(already, scale)
        _check_distances(table, features, rated_clips, already)
        ratings = _place(rated_clips, measured, scale, process, already)
    cost = None
    if costs is not None:
        cost = np.array([row.cost for row in _read_rows(costs, "cost", _CostRow, measured)])
    clips = _name_codecs(measured, codecs)[1]
    hyper = expect_codecs(clips, process.hyperparameters)
    asked = _titles(measured, titles, features)
    _rows_by_name([measured.name[row] for rows in asked for row in rows], measured, features)
    suggestions = []
    for rows in asked:
        rated = np.flatnonzero(np.isin(rows, ratings.row)).tolist()
        source = measured.source[rows[0]]
        if count > len(rows) - len(rated):
            raise InputError(
                f"--suggest {count}: {source!r} has "
                f"{format_count(len(rows) - len(rated), 'clip')} to rate ({len(rows)}, "
                f"{len(rated)} of them rated already); ask for fewer, or choose titles with "
                f"--title."
            )
        chosen = choose_clips(
            posterior(clips, ratings, rows, hyper).covariance,
            count,
            hyper,
            rated=rated,
            cost=None if cost is None else cost[rows],
        )
        unit = votes_a_point(scale)
        named = [
            SuggestedClip(measured.name[rows[c.place]], None if c.error is None else c.error * unit)
            for c in chosen
        ]
        experiment = None if measured.experiment is None else measured.experiment[rows[0]]
        suggestions.append(TitleSuggestions(source, named, experiment))
    return Suggestions(scale, suggestions)


def calibrate(
    features: str | Path,
    votes: Path,
    out: Path,
    model: str | Path = DEFAULT_BASE,
    *,
    titles: Sequence[str] = (),
    codecs: Path | None = None,
    interval: float = 0.9,
    label_scale: LabelScale | None = None,
    overwrite: bool = False,
) -> Calibrated:
    """Predicts the votes of every clip from those on some, and writes them to a folder.

    Args:
        features: A feature table, by path or address.
        votes: As `corpora.votes` reads them.
        out: The folder, as `jobs.calibrated_folder` says; `clips.csv` in it has a row a clip.
        model: A MODEL over the six features that scores frames.
        titles: Sources that are predicted, by default all.
        codecs: A file with columns `clip, codec`; where votes show it, those of one err alike.
        interval: Level of the intervals, in (0, 1).
        label_scale: The worst and the best vote, by default the table's.
        overwrite: Replace an earlier result.

    Raises:
        InputError: A bad table, model, title, scale or file; votes on clips that the table does not
            hold; no clip that is left to predict.
    """
    check_level(interval, "--interval")
    check_result_folder(out, CLIPS_FILE, overwrite=overwrite)
    base, table, process, measured = _measure(features, model)
    scale = _scale(table, features, label_scale)
    if scale is None:
        raise InputError(
            f"{features}: does not say on which scale people vote; pass --label-scale LO HI, as "
            f"--label-scale 1 5."
        )
    rated = read_rated_clips(votes, scale)
    _check_distances(table, features, rated, votes)
    ratings = _place(rated, measured, scale, process, votes)
    groups = _titles(measured, titles, features)
    note = _check_tests(measured, groups, ratings, votes)
    rows = np.concatenate(groups)
    if np.isin(rows, ratings.row).all():
        raise InputError(
            f"{votes}: every clip is rated, so that none is left to predict; leave some out, or "
            f"train a model on them (vmaf-jax train)."
        )
    codec, clips = _name_codecs(measured, codecs)
    hyper = fit_codec(clips, ratings, process.hyperparameters)
    process = dataclasses.replace(process, hyperparameters=hyper)
    mean, deviation = _predict(clips, groups, ratings, hyper)
    panel = float(np.median(ratings.variance))  # a new clip is rated by viewers as these
    half = half_widths(np.sqrt(deviation**2 + panel), interval, process.hyperparameters)
    result = Calibrated(
        base.name, scale, interval, _on_scale(measured, rows, ratings, mean, half, scale), note
    )
    calibration = CalibratedTitles(
        model, base, process, measured, rated, ratings, codec, rows, mean, deviation, scale
    )
    claim = claim_result_folder(out, CLIPS_FILE, overwrite=overwrite)
    with claim, atomic_path(out) as folder:
        folder.mkdir()
        write_model(folder, out.name, calibration)
        write_text(folder / CLIPS_FILE, result.to_csv())
    return result


def _measure(
    features: str | Path, model: str | Path
) -> tuple[Model, FeatureTable, TitleProcess, MeasuredClips]:
    process = load_process()
    scorer = load_scorer(model)
    # The curve of a calibrated folder has its votes in it; of folders, `measure_clips` tells.
    origin = check_sidecar(Path(model)) if str(model).endswith(".onnx") else None
    if origin is not None and origin.calibrated is not None:
        raise InputError(f"{model}: is calibrated by votes already; name its base model.")
    table = read_table(features)
    return scorer, table, process, measure_clips(table, scorer, process)


def _scale(
    table: FeatureTable, features: str | Path, declared: LabelScale | None
) -> LabelScale | None:
    """Returns the scale of votes that is declared or that the table states; None without one."""
    stated = table.label_scale if "label_scale" in table.provenance else None
    if declared is None:
        return stated
    scale = check_scale(declared, "--label-scale")
    if stated is not None and scale != stated:
        raise InputError(
            f"--label-scale {scale[0]:g} {scale[1]:g}: {features} says {stated[0]:g} to "
            f"{stated[1]:g}; drop the flag, or import the table again."
        )
    return scale


def _titles(measured: MeasuredClips, titles: Sequence[str], features: str | Path) -> list[Integers]:
    """Returns the rows of each requested title.

    Raises:
        InputError: The table has no such title.
    """
    known_as = [compose(name) for name in measured.source]
    for name in titles:
        if compose(name) not in known_as:
            known = ", ".join(dict.fromkeys(measured.source))[:200]
            raise InputError(f"--title {name}: not in {features}, which has {known}; name one.")
    order = np.argsort(measured.clips.title, kind="stable")
    ends = np.flatnonzero(np.diff(measured.clips.title[order])) + 1
    groups = np.split(order, ends)
    asked = {compose(name) for name in titles}
    return [rows for rows in groups if not titles or known_as[rows[0]] in asked]


def _check_distances(
    table: FeatureTable,
    features: str | Path,
    rated: Sequence[RatedClip] = (),
    votes: Path | None = None,
) -> None:
    """Raises InputError unless all clips and votes are of one viewing distance, where they tell.

    Votes from one distance say too little of those from another: of 96 public clips, rated from
    1.6 picture heights, two thirds of the votes from 4.8 were in the 90 % intervals.
    """
    seen = set() if table.distance is None else set(table.distance.tolist())
    voted = {clip.distance for clip in rated if clip.distance is not None}
    for path, distances in ((features, seen), (votes, voted)):
        if len(distances) > 1:
            raise InputError(
                f"{path}: is of several viewing distances "
                f"({', '.join(f'{d:g}' for d in sorted(distances)[:6])} picture heights); "
                f"calibrate takes one, so leave the rows of the others out."
            )
    if seen and voted and seen != voted:
        raise InputError(
            f"{votes}: viewers voted from {voted.pop():g} picture heights, {features} is of "
            f"{seen.pop():g}; take the votes from there."
        )


def _check_tests(
    measured: MeasuredClips, groups: Sequence[Integers], ratings: Ratings, votes: Path
) -> str | None:
    """Returns which titles are of a test without votes, of which those of others tell little.

    Raises:
        InputError: All are.
    """
    tests = measured.clips.experiment
    unrated = [rows[0] for rows in groups if tests[rows[0]] not in tests[ratings.row]]
    if measured.experiment is None or not unrated:
        return None
    names = {measured.experiment[row] for row in unrated}
    if len(unrated) == len(groups):
        raise InputError(
            f"{votes}: no clip of the test {min(names)!r} is rated, so that "
            f"{measured.source[unrated[0]]!r} cannot be calibrated; add votes on clips of that "
            f"test, or choose other titles with --title."
        )
    return (
        f"{votes}: no clip of {', '.join(map(repr, sorted(names)))} is rated: "
        f"{format_count(len(unrated), 'title')} of other tests than the votes'. Scores of these "
        f"are the base model's, with wide intervals, and score warns of them."
    )


def _place(
    rated: Sequence[RatedClip],
    measured: MeasuredClips,
    scale: LabelScale,
    process: TitleProcess,
    path: Path,
) -> Ratings:
    """Returns votes as ratings of the table's clips, points.

    Raises:
        InputError: A clip that the table lacks, or has twice.
    """
    rows = _rows_by_name([clip.clip for clip in rated], measured, path)
    _check_against_model(rated, measured.clips.expected[rows], scale, path)
    unit = 100 / (scale[1] - scale[0])
    unknown = process.hyperparameters.votes**2
    return Ratings(
        row=rows,
        mos=to_hundred(np.array([clip.mos for clip in rated]), scale),
        variance=np.array([unknown if c.variance is None else c.variance * unit**2 for c in rated]),
    )


def _check_against_model(
    rated: Sequence[RatedClip], expected: Floats, scale: LabelScale, path: Path
) -> None:
    """Raises InputError where votes of 1 to 5 stand among votes on a scale of 0-100 or so."""
    odd = [
        clip
        for clip, points in zip(rated, expected.tolist(), strict=True)
        if scale[1] > _LARGE and clip.mos <= _STARS and points >= _MIDDLING
    ]
    if len(odd) > 1:
        raise InputError(
            f"{path}: {len(odd)} clips are rated {_STARS:g} or less from {scale[0]:g} to "
            f"{scale[1]:g}, {odd[0].clip!r} first, where the model expects the upper half; if they "
            f"are on another scale, bring all to one, else leave them out."
        )


def _rows_by_name(names: Sequence[str], measured: MeasuredClips, path: str | Path) -> Integers:
    """Returns the row of each named clip; refuses names of none and of several."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(measured.name):
        rows.setdefault(compose(name), []).append(row)
    names = [compose(name) for name in names]
    if strange := [name for name in names if name not in rows]:
        raise InputError(
            f"{path}: clips that the table lacks: {len(strange)} of {len(names)}, "
            f"{strange[0]!r} first (one there is {min(rows)!r}); correct the names, or measure "
            f"the clips."
        )
    if double := [name for name in names if len(rows[name]) > 1]:
        raise InputError(
            f"{path}: {double[0]!r} is the name of {len(rows[double[0]])} clips of the table, and "
            f"votes are by name; give each a name of its own."
        )
    return np.array([rows[name][0] for name in names], np.int64)


def _predict(
    clips: ExperimentClips, groups: Sequence[Integers], ratings: Ratings, hyper: Hyperparameters
) -> tuple[Floats, Floats]:
    """Predicts the votes on the clips of titles: mean and deviation, points, title by title."""
    mean, deviation = [], []
    for rows in groups:
        said = posterior(clips, ratings, rows, hyper)
        mean.append(np.clip(said.mean, 0, 100))
        # Rounding takes it below 0 where nearly exact votes leave nothing in doubt.
        deviation.append(np.sqrt(np.maximum(said.covariance.diagonal(), _LEAST_VARIANCE)))
    return np.concatenate(mean), np.concatenate(deviation)


def _on_scale(
    measured: MeasuredClips,
    rows: Integers,
    ratings: Ratings,
    mean: Floats,
    half: Floats,
    scale: LabelScale,
) -> list[CalibratedClip]:
    """Returns predictions and half-widths, points, as clips on the scale of votes."""
    ends = (mean, mean - half, mean + half)
    score, low, high = (from_hundred(np.clip(end, 0, 100), scale) for end in ends)
    rated = np.isin(rows, ratings.row)
    return [
        CalibratedClip(
            clip=measured.name[row],
            source=measured.source[row],
            score=float(score[k]),
            low=float(low[k]),
            high=float(high[k]),
            rated=bool(rated[k]),
        )
        for k, row in enumerate(rows)
    ]


class _ClipRow(pydantic.BaseModel, frozen=True, extra="ignore"):
    clip: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)


class _CostRow(_ClipRow, frozen=True):
    cost: Number = pydantic.Field(gt=0)


class _CodecRow(_ClipRow, frozen=True):
    codec: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)


_Row = TypeVar("_Row", bound=_ClipRow)


def _name_codecs(
    measured: MeasuredClips, path: Path | None
) -> tuple[list[str] | None, ExperimentClips]:
    """Returns the codec of each clip of the table, and the clips with its number."""
    if path is None:
        return None, measured.clips
    codecs = [row.codec for row in _read_rows(path, "codec", _CodecRow, measured)]
    number = np.unique(codecs, return_inverse=True)[1]
    return codecs, dataclasses.replace(measured.clips, codec=number)


def _read_rows(path: Path, what: str, model: type[_Row], measured: MeasuredClips) -> list[_Row]:
    """Reads a row for each clip of the table, in its order; further rows are left out.

    Raises:
        InputError: A file or row that cannot be, a clip that recurs, or one without a row.
    """
    found: dict[str, _Row] = {}
    for number, values in enumerate(read_records(path, f"file of {what}s", model), 1):
        row = parse_record(model, path, number, values)
        name = compose(row.clip)
        if name in found:
            raise InputError(f"{path}: row {number}: a second {what} of {row.clip!r}; drop one.")
        found[name] = row
    if missing := [name for name in measured.name if compose(name) not in found]:
        raise InputError(f"{path}: {missing[0]!r} has no {what}; add a row for it.")
    return [found[compose(name)] for name in measured.name]
