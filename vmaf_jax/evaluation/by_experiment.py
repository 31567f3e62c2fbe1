"""Models beside each other in every subjective test, unmapped and after the test's own line.

Viewers of each test use the scale in their own way, so two questions are kept apart: how far scores
are from a test's votes without a map, and how well they follow them after the line of ITU-T P.1401.
All models get the same lines.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from vmaf_jax.evaluation.metrics import plcc, rmse, srocc
from vmaf_jax.evaluation.opinion_report import paired_differences
from vmaf_jax.evaluation.opinions import Floats, Opinions, mapped_metrics

_SIGNIFICANT = 0.05


@dataclasses.dataclass(frozen=True)
class ExperimentAgreement:
    """Agreement of one model with the votes of one test, points of 0-100.

    Attributes:
        experiment, model: names.
        n: clips.
        bias: mean of predicted less opinion.
        rmse, rmse_mapped: unmapped, and after a line fitted to the test.
    """

    experiment: str
    model: str
    n: int
    plcc: float
    srocc: float
    bias: float
    rmse: float
    rmse_mapped: float


@dataclasses.dataclass(frozen=True)
class ExperimentVerdict:
    """The better of two models in one test, after a line for each.

    Attributes:
        rival: the best of the others there.
        difference: RMSE of the model less the rival's, points.
        p_value: two-sided, paired over sources; NaN with fewer than three.
        word: `better`, `as good` or `worse`, of the model.
    """

    experiment: str
    rival: str
    difference: float
    p_value: float
    word: str


@dataclasses.dataclass(frozen=True)
class Experiments:
    """A model and its rivals in every test.

    Attributes:
        model: the name of the model in `agreement`.
        agreement: an entry a test and model.
        verdicts: an entry a test.
    """

    model: str
    agreement: list[ExperimentAgreement]
    verdicts: list[ExperimentVerdict]


def agree_by_experiment(
    models: Mapping[str, Floats], opinions: Opinions
) -> list[ExperimentAgreement]:
    """Computes the agreement of models, scores `[n]` by name, with each test."""
    entries = []
    for experiment in sorted(set(opinions.experiment.tolist())):
        rows = np.asarray(opinions.experiment == experiment, np.bool_)
        own = opinions.where(rows)
        for model, scores in models.items():
            predicted = scores[rows]
            entries.append(
                ExperimentAgreement(
                    experiment=experiment,
                    model=model,
                    n=int(rows.sum()),
                    plcc=plcc(predicted, own.mos),
                    srocc=srocc(predicted, own.mos),
                    bias=float(np.mean(predicted - own.mos)),
                    rmse=rmse(predicted, own.mos),
                    rmse_mapped=mapped_metrics(predicted, own, "linear").rmse,
                )
            )
    return entries


def best_models(models: Mapping[str, Floats], opinions: Opinions, count: int) -> list[str]:
    """Returns the names of the models whose RMSE after lines is smallest, averaged over tests."""
    errors: dict[str, list[float]] = {}
    for entry in agree_by_experiment(models, opinions):
        errors.setdefault(entry.model, []).append(entry.rmse_mapped)
    return sorted(errors, key=lambda name: float(np.mean(errors[name])))[:count]


def judge_by_experiment(
    model: Floats, rivals: Mapping[str, Floats], opinions: Opinions
) -> list[ExperimentVerdict]:
    """Holds a model against the best of its rivals in each test, after a line for each."""

    def figures(predicted: Floats, own: Opinions) -> dict[str, float]:
        return {"rmse": mapped_metrics(predicted, own, "linear").rmse}

    verdicts = []
    for experiment in sorted(set(opinions.experiment.tolist())):
        rows = np.asarray(opinions.experiment == experiment, np.bool_)
        own = opinions.where(rows)
        names = best_models({name: rival[rows] for name, rival in rivals.items()}, own, 1)
        pair = paired_differences(figures, model[rows], rivals[names[0]][rows], own)["rmse"]
        differs = not math.isnan(pair.p_value) and pair.p_value < _SIGNIFICANT
        word = "as good" if not differs else "better" if pair.difference < 0 else "worse"
        verdicts.append(
            ExperimentVerdict(experiment, names[0], pair.difference, pair.p_value, word)
        )
    return verdicts


def mean_bias(entries: Sequence[ExperimentAgreement], model: str) -> float:
    """Returns the mean over tests of the size of a model's bias, points."""
    return float(np.mean([abs(entry.bias) for entry in entries if entry.model == model]))
