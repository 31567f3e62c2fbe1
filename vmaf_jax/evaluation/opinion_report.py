"""Statistics of one model against the opinions of clips, and differences of two, with intervals.

Every figure of two models is compared by a jackknife over sources. Beside that stand the tests of
ITU-T P.1401 and Krasula et al., which take clips, or pairs of clips, as independent:

    PLCC           z = (atanh r1 - atanh r2) / sqrt(2 / (n - 3)), normal             7.6.1
    outlier ratio  z = (o1 - o2) / sqrt((o1 (1 - o1) + o2 (1 - o2)) / n), normal     7.6.2
    RMSE*          F = the greater squared over the smaller, F(n - d, n - d)         7.7

Clips of a source depend on each other and both models see the same clips, so these tests find
differences too often. All p values are two-sided: P.1401 holds F against the one-sided 5 % point,
which is p < 0.1 here, as the greater RMSE* is always the numerator.

Viewers of each test use the scale in their own way, so in every test models are compared unmapped
and after the test's own line, which all of them get.

Krasula's two analyses of pairs of clips tell whether a model sees a difference, and which is
better. Pairs are of one experiment. Two clips are *different* when their opinion scores are apart
by more than chance, |mos_a - mos_b| > 1.96 sqrt(se_a^2 + se_b^2), which with ci95 = 1.96 se is
sqrt(ci95_a^2 + ci95_b^2); otherwise they are *similar*.

    different/similar  AUC of |difference of predictions| as a detector of different pairs
    better/worse       AUC of the difference of predictions as a detector of the better clip, over
                       the different pairs, each taken both ways round
    correct            share of different pairs whose better clip has the higher prediction

Two models are compared over the same pairs by DeLong's test, which is far too optimistic: pairs
share clips. `paired_differences` takes sources as the sample.
Source: ITU-T P.1401 (01/2020); "On the accuracy of objective image and video quality models: new
methodology for performance evaluation", Krasula et al., QoMEX 2016; DeLong et al., Biometrics 44
(1988), 837-845.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy
import scipy.stats

from vmaf_jax.evaluation.intervals import (
    Interval,
    PairedDifference,
    adjust_p_values,
    is_significant,
    paired_jackknife,
    plcc_interval,
    rmse_interval,
    rmse_jackknife,
    sum_by_source,
)
from vmaf_jax.evaluation.metrics import plcc, rmse, srocc
from vmaf_jax.evaluation.opinions import (
    OpinionMetrics,
    Opinions,
    all_maps,
    mapped_metrics,
    opinion_metrics,
    rmse_mapped,
)
from vmaf_jax.tables.table import encode

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class OpinionReport:
    """Statistics of a model against the opinions of clips.

    Attributes:
        overall: of all clips, unmapped (`none`) and after each map fitted to each experiment.
        experiments: the same statistics of each experiment alone.
        plcc_interval, rmse_interval, rmse_mapped_interval: 95 %, over sources; RMSE in points; NaN
            with fewer than three sources.
        sources: number of sources.
        krasula: analyses of pairs; None where the opinions have no intervals.
    """

    overall: dict[str, OpinionMetrics]
    experiments: dict[str, dict[str, OpinionMetrics]]
    plcc_interval: Interval
    rmse_interval: Interval
    rmse_mapped_interval: Interval
    sources: int
    krasula: "PairAnalysis | None"


def opinion_report(predicted: npt.ArrayLike, opinions: Opinions) -> OpinionReport:
    """Computes all statistics of a model's scores `[n]` of the clips.

    Raises:
        InputError: a score that is not a number.
    """
    p = opinions.check(predicted)
    names, source = encode(opinions.source)
    moments = sum_by_source(p, opinions.mos, source, len(names))
    return OpinionReport(
        overall=all_maps(p, opinions),
        experiments={
            name: all_maps(p[rows], opinions.where(rows))
            for name, rows in opinions.experiments().items()
        },
        plcc_interval=plcc_interval(moments),
        rmse_interval=rmse_interval(moments),
        rmse_mapped_interval=_rmse_mapped_interval(p, opinions),
        sources=len(names),
        krasula=None if opinions.ci95 is None else analyse_pairs(p, pair_clips(opinions)),
    )


def _rmse_mapped_interval(predicted: Floats, opinions: Opinions) -> Interval:
    """Computes the jackknife interval over sources; lines are fitted anew without each source."""
    experiment = opinions.experiment
    rmse = rmse_mapped(predicted, opinions.mos, experiment).mapped
    without = []
    for name in sorted(set(opinions.source.tolist())):
        rest = np.asarray(opinions.source != name, np.bool_)
        if rest.any():
            mapped = rmse_mapped(predicted[rest], opinions.mos[rest], experiment[rest]).mapped
            without.append(mapped)
    return rmse_jackknife(rmse, np.array(without))


@dataclasses.dataclass(frozen=True)
class OpinionComparison:
    """Two models against the opinions of the same clips; differences are first less second.

    `rmse_mapped`, `rmse_star` and `outlier_ratio` are taken after a line fitted to each experiment.
    Opinions without intervals have no `rmse_star`, `outlier_ratio` and figures of pairs.

    Attributes:
        n_clips, n_sources: size of the sample.
        differences: by figure, with 95 % intervals and p values over sources. Go by these.
        clip_p_values: by figure, p values of the tests that take clips or pairs as independent:
            `plcc`, `rmse_star` and `outlier_ratio` by P.1401, `auc_different_similar` and
            `auc_better_worse` by DeLong's test, `correct` by Fisher's exact test.
    """

    n_clips: int
    n_sources: int
    differences: dict[str, PairedDifference]
    clip_p_values: dict[str, float]


def compare_against_opinions(
    first: npt.ArrayLike, second: npt.ArrayLike, opinions: Opinions
) -> OpinionComparison:
    """Tests whether two models agree differently with opinions, and by how much.

    Args:
        first, second: scores `[n]` of the same clips, points of 0-100.
        opinions: of these clips. A teacher's labels can stand in: `Opinions.of(labels, source)`.

    Raises:
        InputError: a score that is not a number.
    """
    models = opinions.check(first), opinions.check(second)
    differences = paired_differences(_figures, models[0], models[1], opinions)
    n = len(opinions.mos)
    correlations = differences["plcc"]
    p_values = {"plcc": plcc_p_value(correlations.first, correlations.second, n)}
    if opinions.ci95 is not None:
        stars, outliers = differences["rmse_star"], differences["outlier_ratio"]
        # d depends on the maps and the experiments alone, so it is the same for both models.
        freedom = n - mapped_metrics(models[0], opinions, "linear").freedom
        p_values["rmse_star"] = rmse_p_value(stars.first, stars.second, (freedom, freedom))
        p_values["outlier_ratio"] = outlier_p_value(outliers.first, outliers.second, n)
        p_values |= compare_on_pairs(models[0], models[1], pair_clips(opinions))
    return OpinionComparison(n, len(set(opinions.source.tolist())), differences, p_values)


def _figures(predicted: Floats, opinions: Opinions) -> dict[str, float]:
    """Computes the figures that two models are compared by."""
    raw = opinion_metrics(predicted, opinions)
    mapped = mapped_metrics(predicted, opinions, "linear")
    figures = {
        "plcc": raw.plcc,
        "srocc": raw.srocc,
        "krocc": raw.krocc,
        "rmse": raw.rmse,
        "rmse_mapped": mapped.rmse,
    }
    if mapped.rmse_star is None or mapped.outlier_ratio is None:
        return figures
    pairs = analyse_pairs(predicted, pair_clips(opinions))
    return figures | {
        "rmse_star": mapped.rmse_star,
        "outlier_ratio": mapped.outlier_ratio,
        "auc_different_similar": pairs.auc_different_similar,
        "auc_better_worse": pairs.auc_better_worse,
        "correct": pairs.correct,
    }


def paired_differences(
    figures: Callable[[Floats, Opinions], Mapping[str, float]],
    first: Floats,
    second: Floats,
    opinions: Opinions,
) -> dict[str, PairedDifference]:
    """Computes figures of two models and their differences, with jackknife intervals over sources.

    Args:
        figures: from predictions and opinions of some clips to figures by name. Maps are fitted
            inside it, so that leaving a source out leaves it out of the maps too.
        first, second: predictions `[n]` for the same clips.
    """
    whole = figures(first, opinions), figures(second, opinions)
    names = sorted(set(opinions.source.tolist()))
    without: list[tuple[Mapping[str, float], Mapping[str, float]]] = []
    for name in names if len(names) >= 3 else []:
        rows = np.asarray(opinions.source != name, np.bool_)
        rest = opinions.where(rows)
        without.append((figures(first[rows], rest), figures(second[rows], rest)))
    return {
        name: paired_jackknife(
            whole[0][name], whole[1][name], np.array([a[name] - b[name] for a, b in without])
        )
        for name in whole[0]
    }


def plcc_p_value(first: float, second: float, n: int) -> float:
    """Returns the p value of Fisher's z test that two correlations over `n` clips are equal.

    NaN with fewer than four clips or an undefined correlation.
    """
    if n < 4 or not (math.isfinite(first) and math.isfinite(second)):
        return math.nan
    if first == second:
        return 1.0
    with np.errstate(divide="ignore"):  # a correlation of 1 has no finite z: p is 0
        z = float(np.arctanh(first) - np.arctanh(second)) / math.sqrt(2 / (n - 3))
    return float(2 * scipy.stats.norm.sf(abs(z)))


def outlier_p_value(first: float, second: float, n: int) -> float:
    """Returns the p value of the z test that two outlier ratios over `n` clips are equal."""
    if first == second:
        return 1.0
    error = math.sqrt((first * (1 - first) + second * (1 - second)) / n)
    return float(2 * scipy.stats.norm.sf(abs(first - second) / error)) if error > 0 else 0.0


def rmse_p_value(first: float, second: float, freedom: tuple[int, int]) -> float:
    """Returns the p value of the F test that two RMSE* are equal; NaN where it is undefined.

    Args:
        freedom: degrees of freedom n - d of each model.
    """
    if not (math.isfinite(first) and math.isfinite(second)) or min(freedom) < 1:
        return math.nan
    if first == second:
        return 1.0
    (small, below), (great, above) = sorted(zip((first, second), freedom, strict=True))
    if small == 0:
        return 0.0
    return min(1.0, 2 * float(scipy.stats.f.sf((great / small) ** 2, above, below)))


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
        p_value: two-sided, paired over sources, adjusted for the number of tests (Holm); NaN with
            fewer than three sources.
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
    for experiment, rows in opinions.experiments().items():
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

    pairs = {}
    for experiment, rows in opinions.experiments().items():
        own = opinions.where(rows)
        (name,) = best_models({name: rival[rows] for name, rival in rivals.items()}, own, 1)
        differences = paired_differences(figures, model[rows], rivals[name][rows], own)
        pairs[experiment, name] = differences["rmse"]
    # Unadjusted, one of many tests would show a difference by chance.
    p_values = adjust_p_values([pair.p_value for pair in pairs.values()])
    verdicts = []
    for ((experiment, name), pair), p_value in zip(pairs.items(), p_values, strict=True):
        word = "better" if pair.difference < 0 else "worse"
        word = word if is_significant(p_value) else "as good"
        verdicts.append(ExperimentVerdict(experiment, name, pair.difference, p_value, word))
    return verdicts


def mean_bias(entries: Sequence[ExperimentAgreement], model: str) -> float:
    """Returns the mean over tests of the size of a model's bias, points."""
    return float(np.mean([abs(entry.bias) for entry in entries if entry.model == model]))


Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Pairs of clips of one experiment, each pair once.

    Attributes:
        first, second: row numbers of the clips, `[p]`.
        outcome: 1 where the first is better, -1 where the second is, 0 where they are similar,
            `[p]`.
    """

    first: Ints
    second: Ints
    outcome: Ints

    def differences(self, predicted: Floats) -> Floats:
        """Returns the prediction of the first clip less that of the second, `[p]`."""
        return predicted[self.first] - predicted[self.second]


@dataclasses.dataclass(frozen=True)
class PairAnalysis:
    """Both analyses of one model; NaN where one kind of pair is missing.

    Attributes:
        different, similar: number of pairs.
        auc_different_similar, auc_better_worse, correct: in [0, 1].
    """

    different: int
    similar: int
    auc_different_similar: float
    auc_better_worse: float
    correct: float


def pair_clips(opinions: Opinions) -> Pairs:
    """Forms all pairs of clips within each experiment and tells which clip the viewers prefer.

    Raises:
        ValueError: the opinions have no intervals.
    """
    if opinions.ci95 is None:
        raise ValueError("pairs need the intervals of the opinion scores.")
    groups = [np.flatnonzero(rows) for rows in opinions.experiments().values()]
    chosen = [clips[np.stack(np.triu_indices(len(clips), 1))] for clips in groups]
    first, second = np.concatenate(chosen, axis=1)
    gap = opinions.mos[first] - opinions.mos[second]
    apart = np.abs(gap) > np.hypot(opinions.ci95[first], opinions.ci95[second])
    return Pairs(first, second, np.where(apart, np.sign(gap), 0).astype(np.int64))


def analyse_pairs(predicted: Floats, pairs: Pairs) -> PairAnalysis:
    """Computes both analyses of predictions `[n]`."""
    gaps = pairs.differences(predicted)
    different, similar = _absolute_gaps(gaps, pairs)
    better = _better_less_worse(gaps, pairs)
    return PairAnalysis(
        different=len(different),
        similar=len(similar),
        auc_different_similar=auc(different, similar),
        auc_better_worse=auc(better, -better),
        correct=float(np.mean(better > 0)) if better.size else math.nan,
    )


def compare_on_pairs(first: Floats, second: Floats, pairs: Pairs) -> dict[str, float]:
    """Tests whether two models, predictions `[n]` each, do equally well over the same pairs.

    Returns:
        Two-sided p values by figure of `PairAnalysis`, with pairs taken as independent: of the AUC
        by DeLong's test, of the share correct by Fisher's exact test.
    """
    gaps = [pairs.differences(predicted) for predicted in (first, second)]
    better = [_better_less_worse(gap, pairs) for gap in gaps]
    n_correct = [int((gap > 0).sum()) for gap in better]
    n_wrong = [len(gap) - n for gap, n in zip(better, n_correct, strict=True)]
    return {
        "auc_different_similar": _delong(
            _absolute_gaps(gaps[0], pairs), _absolute_gaps(gaps[1], pairs)
        ),
        "auc_better_worse": _delong_mirrored(better[0], better[1]),
        "correct": float(scipy.stats.fisher_exact([n_correct, n_wrong]).pvalue),
    }


def auc(positive: Floats, negative: Floats) -> float:
    """Computes the share of (positive, negative) with the positive higher; ties count half."""
    if not (positive.size and negative.size):
        return math.nan
    return float(_placements(positive, negative)[0].mean())


def _absolute_gaps(gaps: Floats, pairs: Pairs) -> tuple[Floats, Floats]:
    """Splits |difference of predictions| into those of different and of similar pairs."""
    size = np.abs(gaps)
    return size[pairs.outcome != 0], size[pairs.outcome == 0]


def _better_less_worse(gaps: Floats, pairs: Pairs) -> Floats:
    """Returns the prediction of the better clip less that of the worse, of the different pairs."""
    return (gaps * pairs.outcome)[pairs.outcome != 0]


def _placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Returns DeLong's placements: per positive, the share of negatives below it; per negative, the
    share of positives above it."""
    m, n = len(positive), len(negative)
    ranks = scipy.stats.rankdata(np.concatenate([positive, negative]))
    # A rank among all, less the rank within its own sample, counts the other sample's values below.
    among_positive, among_negative = map(scipy.stats.rankdata, (positive, negative))
    return (ranks[:m] - among_positive) / n, 1 - (ranks[m:] - among_negative) / m


def _delong(first: tuple[Floats, Floats], second: tuple[Floats, Floats]) -> float:
    """Returns the p value that two AUC over the same positives and negatives are equal.

    Args:
        first, second: scores of the positives and of the negatives, by each model.
    """
    if min(map(len, first)) < 2:
        return math.nan
    placements = zip(
        _placements(first[0], first[1]), _placements(second[0], second[1]), strict=True
    )
    gaps = [a - b for a, b in placements]
    variance = sum(float(np.var(gap, ddof=1)) / len(gap) for gap in gaps)
    return _normal_p_value(float(gaps[0].mean()), variance)


def _delong_mirrored(first: Floats, second: Floats) -> float:
    """Returns the p value that two better/worse AUC are equal.

    The negatives are the positives with their sign turned: one sample, not two. DeLong's own
    variance would take them as independent and be half the true one, so a pair's two placements are
    added up and the pair counts once.
    """
    if len(first) < 2:
        return math.nan
    gap = np.sum(_placements(first, -first), axis=0) - np.sum(_placements(second, -second), axis=0)
    return _normal_p_value(float(gap.mean()) / 2, float(np.var(gap, ddof=1)) / len(gap))


def _normal_p_value(difference: float, variance: float) -> float:
    if variance <= 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * scipy.stats.norm.sf(abs(difference) / math.sqrt(variance)))
