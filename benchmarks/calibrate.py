"""Calibration by a few rated clips of each title, on public tests: python -m benchmarks.calibrate

Needs their opinion scores and features (`clips.csv`, `frames.parquet`). For each source, or each
test with `--by test`, the process is fitted without it, by marginal likelihood; then clips of every
title of its tests are rated, chosen or at random, and the votes of its other clips are predicted.
`--write` fits to all and writes the file that the package carries.
"""

import argparse
import csv
import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.optimize
import scipy.stats

from vmaf_jax.evaluation.title_process import (
    NO_RATINGS,
    ExperimentClips,
    Floats,
    Hyperparameters,
    Integers,
    Logistic,
    Ratings,
    TitleProcess,
    choose_clips,
    expect_codecs,
    fit_codec,
    half_widths,
    posterior,
)
from vmaf_jax.files import to_json, write_text
from vmaf_jax.jobs.import_features import ImportSettings, ImportSource, import_features
from vmaf_jax.scoring.measured_clips import FILE, load_process, measure_clips
from vmaf_jax.scoring.model import FOUR_K, HD, load_model
from vmaf_jax.tables.dataset import read_table

COUNTS = (0, 1, 2, 3, 4, 5)  # rated clips of each title
LEVELS = (0.8, 0.9, 0.95)
APART = "vsr"  # upscalers, which no feature sees
_VOTE = 25.0  # points a vote, on 1 to 5
_DRAWS = 5  # of clips at random
_FREEDOM = 4.0  # of that t
# Of the shipped process: the fewest, of 6, 10, 16, 24 and 40, with which the 80, 90 and 95 %
# intervals hold within 3 points over all tests after 0, 1, 3 and 5 rated clips.
_SCATTER = 40.0
# Logarithms of centre, width, shared, own, shared_length, own_length, noise: where a fit starts.
_START = np.log([66.0, 20.0, 12.0, 10.0, 0.3, 1.4, 2.0])


@dataclasses.dataclass(frozen=True)
class RatedTests:
    """All clips of the tests with their votes, `[n]`, points.

    Attributes:
        names: Of the tests.
        clips: What the process takes.
        quality: By the model that is calibrated.
        source: Number of the content, the same over tests.
        mos, variance: Of the mean over viewers.
    """

    names: list[str]
    clips: ExperimentClips
    quality: Floats
    source: Integers
    mos: Floats
    variance: Floats

    def expecting(self, logistic: Logistic) -> ExperimentClips:
        """Returns the clips with the votes that a logistic expects."""
        return dataclasses.replace(self.clips, expected=logistic(self.quality))


def load_tests(
    folder: Path, model: str, *, exclude_suspects: bool, codecs: bool = False
) -> RatedTests:
    """Reads the tests and scores their clips.

    Args:
        exclude_suspects: Leave out the clips that `check` suspects.
        codecs: Take each clip's codec from `clips.csv`.
    """
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "table.parquet"
        source = ImportSource(frames=folder / "frames.parquet", clips=folder / "clips.csv")
        settings = ImportSettings(label_scale=(1.0, 5.0), exclude_suspects=exclude_suspects)
        import_features(source, path, settings)
        table = read_table(path)
    measured = measure_clips(table, load_model(model), load_process())
    clips = measured.clips
    if codecs:
        with (folder / "clips.csv").open() as file:
            named = {row["clip"]: row["codec"] for row in csv.DictReader(file)}
        number = np.unique([named[name] for name in measured.name], return_inverse=True)[1]
        clips = dataclasses.replace(clips, codec=number)
    pooled = table.mean_pool()
    if pooled.mos_ci95 is None or measured.experiment is None:
        raise SystemExit(f"{folder}: has no intervals or no tests")
    return RatedTests(
        names=list(dict.fromkeys(measured.experiment)),
        clips=clips,
        quality=measured.quality,
        source=np.unique(measured.source, return_inverse=True)[1],
        mos=pooled.labels["mos"],
        variance=np.square(pooled.mos_ci95 / scipy.stats.norm.ppf(0.975)),
    )


@dataclasses.dataclass(frozen=True)
class Fit:
    """A process fitted to tests; `theta` are its parameters as `_START` has them."""

    theta: Floats
    logistic: Logistic
    hyperparameters: Hyperparameters


def fit_process(tests: RatedTests, rows: Integers, start: Floats = _START) -> Fit:
    """Maximises the marginal likelihood of the votes at `rows`."""
    groups = [rows[tests.clips.experiment[rows] == k] for k in range(len(tests.names))]
    likelihoods = [_Likelihood(tests, group) for group in groups if len(group)]

    def negative(theta: Floats) -> tuple[float, Floats]:
        parts = [likelihood(theta) for likelihood in likelihoods]
        return sum(value for value, _ in parts), np.sum([slope for _, slope in parts], axis=0)

    found = scipy.optimize.minimize(negative, start, jac=True, method="L-BFGS-B")
    centre, width, shared, own, shared_length, own_length, noise = np.exp(found.x).tolist()
    votes = float(np.sqrt(np.median(tests.variance[rows])))
    return Fit(
        found.x,
        Logistic(centre, width),
        Hyperparameters(
            shared,
            own,
            shared_length,
            own_length,
            noise,
            votes,
            scatter=_SCATTER,
            freedom=3.3,
            widening=0.7,
        ),  # the tails follow from what is left out
    )


class _Likelihood:
    """The negative logarithm of the likelihood of one test's votes, and its gradient.

    Each test's votes scatter by a factor of its own, which is integrated out: a multivariate t, so
    that tests which no feature explains do not widen the others.
    """

    def __init__(self, tests: RatedTests, rows: Integers) -> None:
        compared = tests.clips.compared[rows]
        squares = np.square(compared[:, None] - compared[None]).sum(-1)
        self.distance = np.sqrt(3 * squares)
        title = tests.clips.title[rows]
        self.same = (title[:, None] == title).astype(np.float64)
        self.quality, self.mos = tests.quality[rows], tests.mos[rows]
        self.variance = tests.variance[rows]

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        centre, width, shared, own, shared_length, own_length, noise = np.exp(theta)
        near, far = self.distance / shared_length, self.distance / own_length
        common = shared**2 * (1 + near) * np.exp(-near)
        private = own**2 * (1 + far) * np.exp(-far) * self.same
        kernel = common + private + np.diag(self.variance + noise**2)
        lower = scipy.linalg.cholesky(kernel, lower=True)
        expected = Logistic(centre, width)(self.quality)
        inverse = scipy.linalg.cho_solve((lower, True), np.eye(len(kernel)))
        weights = inverse @ (self.mos - expected)
        n, fit = len(expected), weights @ (self.mos - expected)
        value = (_FREEDOM + n) / 2 * np.log1p(fit / _FREEDOM) + np.log(lower.diagonal()).sum()
        share = (_FREEDOM + n) / (_FREEDOM + fit)
        outer = (inverse - share * np.outer(weights, weights)) / 2
        slope = expected * (100 - expected) / 100 / width
        pull = share * weights * slope
        return float(value), np.array(
            [
                pull.sum() * centre,
                pull @ (self.quality - centre),
                2 * np.sum(outer * common),
                2 * np.sum(outer * private),
                shared**2 * np.sum(outer * near**2 * np.exp(-near)),
                own**2 * np.sum(outer * far**2 * np.exp(-far) * self.same),
                2 * noise**2 * np.trace(outer),
            ]
        )


@dataclasses.dataclass(frozen=True)
class Predictions:
    """Clips of a title that were not rated, predicted from those that were, points.

    Attributes:
        test: Name.
        count: Rated clips of each title of the test.
        chosen: By variance; else at random.
        error: Predicted less mean votes, `[m]`.
        deviation: That the process predicts of it, `[m]`.
    """

    test: str
    count: int
    chosen: bool
    error: Floats
    deviation: Floats


def predict_left_out(tests: RatedTests, by_test: bool) -> Iterator[Predictions]:
    """Yields predictions of the titles of each source, or test, by processes fitted without it."""
    left_out = tests.clips.experiment if by_test else tests.source
    random = np.random.default_rng(0)
    start = fit_process(tests, np.arange(len(tests.mos))).theta
    for k in np.unique(left_out):
        fit = fit_process(tests, np.flatnonzero(left_out != k), start)
        clips = tests.expecting(fit.logistic)
        for test in np.unique(clips.experiment[left_out == k]):
            titles = [
                np.flatnonzero((clips.experiment == test) & (clips.title == title))
                for title in np.unique(clips.title[clips.experiment == test])
            ]
            yield from _predict_test(tests, fit, clips, titles, left_out == k, random)


def _predict_test(
    tests: RatedTests,
    fit: Fit,
    clips: ExperimentClips,
    titles: Sequence[Integers],
    judged: npt.NDArray[np.bool_],
    random: np.random.Generator,
) -> Iterator[Predictions]:
    hyper = expect_codecs(clips, fit.hyperparameters)
    test = tests.names[clips.experiment[titles[0][0]]]
    ladders = []
    for rows in titles:
        prior = posterior(clips, NO_RATINGS, rows, hyper).covariance
        chosen = choose_clips(prior, min(COUNTS[-1], len(rows) - 1), hyper)
        ladders.append(rows[[clip.place for clip in chosen]])
    for count in COUNTS:
        for draw in range(1 + _DRAWS if count else 1):
            rated = np.concatenate(
                [
                    ladder[:count] if draw == 0 else random.choice(rows, count, replace=False)
                    for ladder, rows in zip(ladders, titles, strict=True)
                ]
            ).astype(np.int64)
            ratings = Ratings(rated, tests.mos[rated], tests.variance[rated])
            hyper = fit_codec(clips, ratings, fit.hyperparameters)
            for rows in titles:
                left = np.setdiff1d(rows, rated)
                if not judged[rows[0]] or not len(left):
                    continue
                said = posterior(clips, ratings, left, hyper)
                deviation = np.sqrt(said.covariance.diagonal() + tests.variance[left])
                error = np.clip(said.mean, 0, 100) - tests.mos[left]
                yield Predictions(test, count, draw == 0, error, deviation)
                if count == 0:
                    yield Predictions(test, count, False, error, deviation)


def oracle_line(tests: RatedTests, test: int) -> float:
    """Computes the RMSE of the best line of quality through a test's own votes, votes."""
    rows = tests.clips.experiment == test
    line = np.polyfit(tests.quality[rows], tests.mos[rows], 1)
    return (
        float(np.sqrt(np.mean(np.square(np.polyval(line, tests.quality[rows]) - tests.mos[rows]))))
        / _VOTE
    )


def fit_tails(predictions: Sequence[Predictions]) -> tuple[float, float]:
    """Fits Student's t to errors over their predicted deviations: freedom and widening."""
    ratios = np.concatenate([p.error / p.deviation for p in predictions if p.chosen])
    freedom, _, widening = scipy.stats.t.fit(ratios, floc=0.0)
    return float(freedom), float(widening)


def rmse(predictions: Sequence[Predictions], test: str, count: int, chosen: bool) -> float:
    """Computes the RMSE over the clips of a test, votes."""
    errors = [p.error for p in predictions if (p.test, p.count, p.chosen) == (test, count, chosen)]
    return float(np.sqrt(np.mean(np.square(np.concatenate(errors))))) / _VOTE


def coverage(
    predictions: Sequence[Predictions],
    processes: Mapping[str, Hyperparameters],
    count: int,
    level: float,
) -> float:
    """Computes the share of mean votes in their intervals, each by the process of its test."""
    parts = [p for p in predictions if p.count == count and p.chosen]
    inside = [np.abs(p.error) <= half_widths(p.deviation, level, processes[p.test]) for p in parts]
    return float(np.mean(np.concatenate(inside)))


def summarise(tests: RatedTests, predictions: Sequence[Predictions], model: str) -> str:
    """Returns the curve of error against rated clips in a sentence, for cards."""
    names = [name for name in tests.names if name != APART]
    means = [np.mean([rmse(predictions, name, n, True) for name in names]) for n in COUNTS]
    errors = _join([f"{mean:.2f}" for mean in means])
    counts = _join([str(n) for n in COUNTS])
    return (
        f"The method was tested with {model} as the base model, and with no other, on {len(names)} "
        f"public tests with votes of 1 to 5. Each content was left out of everything that was "
        f"fitted. With {counts} rated clips of a title, the RMSE on its other clips was {errors} "
        f"votes. In one more test, of upscalers, ratings lowered it little."
    )


def _join(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def report(tests: RatedTests, predictions: Sequence[Predictions], hyper: Hyperparameters) -> None:
    """Prints the curves of error against rated clips, and what the intervals held."""
    print("RMSE in votes on clips that are not rated, chosen (at random); line: the best by test")
    print("test", "line", *COUNTS, sep=" | ")
    means = []
    for k, test in enumerate(tests.names):
        cells = [[rmse(predictions, test, n, how) for n in COUNTS] for how in (True, False)]
        if test != APART:
            means.append(cells)
        shown = [f"{a:.3f} ({b:.3f})" for a, b in zip(*cells, strict=True)]
        print(test, f"{oracle_line(tests, k):.3f}", *shown, sep=" | ")
    chosen, drawn = np.mean(means, axis=0)
    print(
        "mean", "", *(f"{a:.3f} ({b:.3f})" for a, b in zip(chosen, drawn, strict=True)), sep=" | "
    )
    same = dict.fromkeys(tests.names, hyper)
    for name, some in (
        ("all", predictions),
        (f"without {APART}", [p for p in predictions if p.test != APART]),
    ):
        for level in LEVELS:
            held = [f"{coverage(some, same, n, level):.3f}" for n in COUNTS]
            print(f"{100 * level:g} % intervals held, {name}", *held, sep=" | ")
    for test in tests.names:
        some = [p for p in predictions if p.test == test]
        held = [f"{coverage(some, same, n, 0.9):.3f}" for n in COUNTS]
        print(f"90 % intervals held, {test}", *held, sep=" | ")
    foreign = {test: _without(predictions, test, hyper) for test in tests.names}
    held = [f"{coverage(predictions, foreign, n, 0.9):.3f}" for n in COUNTS]
    print("90 % intervals held, tails by the other tests", *held, sep=" | ")


def _without(
    predictions: Sequence[Predictions], test: str, hyper: Hyperparameters
) -> Hyperparameters:
    """Returns the process with tails that are fitted without a test."""
    freedom, widening = fit_tails([p for p in predictions if p.test != test])
    return dataclasses.replace(hyper, freedom=freedom, widening=widening)


def format_process(process: TitleProcess) -> str:
    """Returns the process as JSON, its numbers with the digits that every machine finds."""
    rounded = json.loads(to_json(process), parse_float=lambda text: float(f"{float(text):.4g}"))
    return to_json(rounded)


def main() -> None:
    """Runs the leave-one-out, and fits what is shipped where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--opinions", type=Path, default=Path("../shared/opinions"))
    parser.add_argument("--model", default=FOUR_K)
    parser.add_argument("--by", choices=("source", "test"), default="source")
    parser.add_argument("--exclude-suspects", action="store_true")
    parser.add_argument("--codecs", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    exclude: bool = arguments.exclude_suspects
    tests = load_tests(
        arguments.opinions, arguments.model, exclude_suspects=exclude, codecs=arguments.codecs
    )
    predictions = list(predict_left_out(tests, arguments.by == "test"))
    freedom, widening = fit_tails(predictions)
    fit = fit_process(tests, np.arange(len(tests.mos)))
    hyper = dataclasses.replace(fit.hyperparameters, freedom=freedom, widening=widening)
    print(hyper, fit.logistic)
    report(tests, predictions, hyper)
    if arguments.write:
        hd = load_tests(arguments.opinions, HD, exclude_suspects=exclude)
        logistics = {
            arguments.model: fit.logistic,
            HD: fit_process(hd, np.arange(len(hd.mos))).logistic,
        }
        process = TitleProcess(hyper, logistics, summarise(tests, predictions, arguments.model))
        write_text(FILE, format_process(process))


if __name__ == "__main__":
    main()
