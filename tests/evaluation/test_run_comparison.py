"""Differences of runs on their common rows, against the comparison of two models."""

import numpy as np
import pytest

from tests.evaluation.support import run
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut, concatenate
from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.evaluation.opinion_report import paired_differences
from vmaf_jax.evaluation.opinions import Opinions
from vmaf_jax.evaluation.run_comparison import compare_runs


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
