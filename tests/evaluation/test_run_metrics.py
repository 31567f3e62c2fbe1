"""Differences of runs on their common rows, against the comparison of two models."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from tests.evaluation.support import run
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut, concatenate
from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.evaluation.opinion_report import paired_differences
from vmaf_jax.evaluation.opinions import Opinions, calibrate_held_out
from vmaf_jax.evaluation.run_metrics import compare_runs, compare_with_rivals


def test_a_paired_difference_is_that_of_the_opinion_comparison():
    first, second = run(draw=1), run(draw=2, noise=2)
    opinions = Opinions.of(first.label, first.source)

    def statistics(predicted, opinions):
        return {"rmse": rmse(predicted, opinions.mos)}

    expected = paired_differences(statistics, second.predicted, first.predicted, opinions)["rmse"]
    late = second.source >= "s3"
    turned = concatenate(
        [second.where(late), second.where(~late)]
    )  # the order of rows is no matter
    compared = compare_runs({"a": first, "b": turned})
    gap = compared.against["b"]["rmse"]
    assert gap.difference == pytest.approx(expected.difference, rel=1e-9)
    assert gap.interval.low == pytest.approx(expected.interval.low, rel=1e-6)
    assert gap.p_value == pytest.approx(expected.p_value, rel=1e-6)
    assert compared.figures["a"]["mae"] == pytest.approx(
        np.abs(first.predicted - first.label).mean(), rel=1e-12
    )


def test_only_rows_in_common_are_compared_and_seeds_weigh_nothing():
    whole, seeds = run(), run(seeds=(0, 1, 2))
    fewer = whole.where(whole.source != "s0")
    compared = compare_runs({"fewer": fewer, "seeds": seeds})
    assert compared.n == len(fewer.label)
    assert compared.left_out == len(whole.label) - len(fewer.label)
    assert compared.n_sources == 5
    assert set(compared.by_source) == {f"s{k}" for k in range(1, 6)}
    common = seeds.where(seeds.source != "s0")
    assert compared.figures["seeds"]["rmse"] == pytest.approx(
        rmse(common.predicted, common.label), rel=1e-12
    )


def test_other_labels_and_other_rows_are_refused():
    rows = run()
    moved = HeldOut(rows.source, rows.clip, rows.index, rows.seed, rows.label + 1, rows.predicted)
    with pytest.raises(InputError, match="labels differ from those of a by up to 1 points"):
        compare_runs({"a": rows, "b": moved})
    other = HeldOut(rows.source + "x", rows.clip, rows.index, rows.seed, rows.label, rows.predicted)
    with pytest.raises(InputError, match="no held-out row in common"):
        compare_runs({"a": rows, "b": other})


SOURCE = np.repeat([f"s{k}" for k in range(10)], 8).astype(object)
LABEL = np.random.default_rng(0).uniform(5, 95, 80)


def rows(sigma, seed, offset=0.0):
    error = np.random.default_rng(seed).normal(0, sigma, 80) + offset
    clip = np.array([f"c{k}" for k in range(80)], object)
    numbers = np.full(80, 1, np.int32), np.zeros(80, np.int32)
    return HeldOut(SOURCE, clip, *numbers, LABEL, LABEL + error)


def test_differences_are_the_jackknifes_and_p_is_adjusted():
    new, rivals = rows(5, 1), {"a": rows(7, 2), "b": rows(5.5, 3)}
    standing = compare_with_rivals(new, rivals, has_opinions=True)
    assert [rival.name for rival in standing.rivals] == ["b", "a"]  # the smallest RMSE first
    raw = {}
    for name, other in rivals.items():
        whole = rmse(new.predicted, LABEL) - rmse(other.predicted, LABEL)
        without = np.array(
            [
                rmse(new.predicted[s != SOURCE], LABEL[s != SOURCE])
                - rmse(other.predicted[s != SOURCE], LABEL[s != SOURCE])
                for s in sorted(set(SOURCE))
            ]
        )
        error = np.sqrt(9 / 8 * np.sum((without - without.mean()) ** 2))
        raw[name] = 2 * scipy.stats.t.sf(abs(whole) / error, 9)
        (rival,) = (r for r in standing.rivals if r.name == name)
        assert rival.difference == pytest.approx(whole)
        assert rival.interval.high - rival.difference == pytest.approx(2.262 * error, rel=1e-3)
    small, great = sorted(raw, key=raw.get)
    adjusted = {rival.name: rival.p_value for rival in standing.rivals}
    assert adjusted[small] == pytest.approx(min(1, 2 * raw[small]))
    assert adjusted[great] == pytest.approx(min(1, max(2 * raw[small], raw[great])))


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (rows(2, 1), "Ship it: better than VMAF on sources it never saw"),
        (rows(8, 1), "VMAF is as good, as far as these sources can show"),
        (rows(25, 1), "VMAF is better"),
    ],
)
def test_the_verdict_on_opinion_scores(new, words):
    standing = compare_with_rivals(new, {"vmaf_v0.6.1": rows(8, 2)}, has_opinions=True)
    assert standing.verdict.startswith(words)
    assert "beside vmaf_v0.6.1, p " in standing.verdict


def test_two_sources_cannot_tell():
    few = np.isin(SOURCE, ["s0", "s1"])
    new, other = rows(2, 1).where(few), rows(20, 2).where(few)
    verdict = compare_with_rivals(new, {"vmaf_v0.6.1": other}, has_opinions=True).verdict
    assert verdict.startswith("Too few sources to tell from VMAF")


def test_the_verdict_on_students():
    standing = compare_with_rivals(rows(0.3, 1), {"tiny": rows(0.017, 2)}, has_opinions=False)
    assert standing.verdict.startswith("The shipped tiny has RMSE 0.01")
    assert "take tiny, unless" in standing.verdict
    better = compare_with_rivals(rows(0.01, 1), {"tiny": rows(0.017, 2)}, has_opinions=False)
    assert "take tiny" not in better.verdict
    alike = compare_with_rivals(rows(0.021, 1), {"tiny": rows(0.017, 2)}, has_opinions=False)
    assert "which these sources cannot tell apart (p " in alike.verdict
    assert "take tiny" not in alike.verdict


def test_seeds_of_the_new_model_weigh_nothing():
    first = rows(5, 1)
    second = dataclasses.replace(first, seed=first.seed + 1)
    both = HeldOut(
        *(
            np.concatenate([getattr(first, f.name), getattr(second, f.name)])
            for f in dataclasses.fields(first)
        )
    )
    rivals = {"a": rows(7, 2)}
    one, two = (
        compare_with_rivals(new, rivals, has_opinions=True).rivals[0] for new in (first, both)
    )
    assert two.difference == pytest.approx(one.difference, rel=1e-9)
    assert two.p_value == pytest.approx(one.p_value, rel=1e-6)


def test_a_line_is_of_the_experiment_and_of_the_other_folds():
    rng = np.random.default_rng(1)
    x, fold = rng.uniform(0, 100, 40), np.repeat(np.arange(4), 10)
    test = np.tile(["a", "b"], 20)
    y = np.where(test == "a", 10 + 0.5 * x, 90 - 0.0 * x + 0.1 * x) + rng.normal(0, 1, 40)
    mapped = calibrate_held_out(x, y, fold, test, kind="linear")
    for k in range(4):
        for name in ("a", "b"):
            others, own = (fold != k) & (test == name), (fold == k) & (test == name)
            slope, offset = np.polyfit(x[others], y[others], 1)
            np.testing.assert_allclose(mapped[own], offset + slope * x[own])
    changed = np.where(fold == 2, 0.0, y)  # what is held out does not reach its own line
    np.testing.assert_array_equal(
        calibrate_held_out(x, changed, fold, test, kind="linear")[fold == 2], mapped[fold == 2]
    )


def test_an_experiment_with_too_few_clips_elsewhere_takes_the_line_of_all():
    x, y = np.array([10.0, 50, 90, 30, 60]), np.array([20.0, 60, 100, 10, 15])
    fold = np.array([0, 0, 0, 1, 1])
    mapped = calibrate_held_out(x, y, fold, ["a", "a", "a", "b", "b"], kind="linear")
    np.testing.assert_allclose(mapped[3:], [40.0, 70.0])
