"""Errors by source and paired differences, against plain loops over the rows."""

import math

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.by_source import holm, over_sources, paired, source_errors
from vmaf_jax.evaluation.cross_validation import HeldOut, join
from vmaf_jax.evaluation.intervals import Moments, jackknife, paired_difference, rmse_interval
from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.evaluation.opinions import Opinions


def run(n_sources=6, n_clips=4, n_frames=3, seeds=(0,), noise=1.0, draw=0):
    """Predictions with an error of the source, of the clip and of the row."""
    rng = np.random.default_rng(draw)
    parts = []
    for seed in seeds:
        grid = np.indices((n_sources, n_clips, n_frames)).reshape(3, -1)
        s, c, i = grid
        label = np.random.default_rng(99).uniform(0, 100, (n_sources, n_clips))[s, c]
        error = rng.normal(0, noise, n_sources)[s] + rng.normal(0, noise, len(s))
        source = np.array([f"s{k}" for k in s], object)
        clip = np.array([f"c{k}" for k in c], object)
        numbers = i.astype(np.int32), np.full(len(s), seed, np.int32)
        parts.append(HeldOut(source, clip, *numbers, label, label + error))
    return join(parts)


def test_a_source_s_figures_are_those_of_its_rows():
    rows = run(seeds=(0, 1))
    entries = source_errors(rows)
    assert [e.rmse for e in entries] == sorted((e.rmse for e in entries), reverse=True)
    for entry in entries:
        own = rows.where(rows.source == entry.source)
        assert entry.n == len(own.label)
        assert entry.n_clips == 4
        assert entry.rmse == pytest.approx(rmse(own.predicted, own.label), rel=1e-12)
        error = own.predicted - own.label
        assert entry.bias == pytest.approx(error.mean(), rel=1e-9)
        assert entry.max_abs == np.abs(error).max()
        without = [
            math.log(rmse(rest.predicted, rest.label))
            for clip in sorted(set(own.clip))
            for rest in [own.where(own.clip != clip)]
        ]
        interval = jackknife(math.log(entry.rmse), np.array(without))
        assert entry.interval.low == pytest.approx(math.exp(interval.low), rel=1e-9)
        assert entry.interval.high == pytest.approx(math.exp(interval.high), rel=1e-9)


@pytest.mark.parametrize("n_clips", [1, 2])
def test_two_clips_give_no_interval(n_clips):
    assert all(math.isnan(e.interval.low) for e in source_errors(run(n_clips=n_clips)))


def test_exact_predictions_have_no_interval_but_a_figure():
    rows = run(noise=0)
    assert {entry.rmse for entry in source_errors(rows)} == {0.0}


def test_a_clip_that_is_far_off_hides_no_small_error_of_the_others():
    rows = run(n_sources=1, n_clips=4, noise=1e-9)
    rows.predicted[rows.clip == "c1"] += 40
    (entry,) = source_errors(rows)
    without = [
        math.log(rmse(rest.predicted, rest.label))
        for clip in sorted(set(rows.clip))
        for rest in [rows.where(rows.clip != clip)]
    ]
    interval = jackknife(math.log(entry.rmse), np.array(without))
    assert math.log(entry.interval.low) == pytest.approx(interval.low, rel=1e-9)


def test_over_sources_is_the_jackknife_of_the_intervals_module():
    rows = run(seeds=(0, 1))
    group = np.unique(rows.source, return_inverse=True)[1]
    moments = Moments.of(rows.predicted[None, None], rows.label, group)
    whole = over_sources(rows)
    assert whole.rmse == pytest.approx(rmse(rows.predicted, rows.label), rel=1e-12)
    expected = rmse_interval(moments)
    assert whole.rmse_interval.low == pytest.approx(expected.low, rel=1e-9)
    assert whole.rmse_interval.high == pytest.approx(expected.high, rel=1e-9)


def test_a_paired_difference_is_that_of_the_significance_module():
    first, second = run(draw=1), run(draw=2, noise=2)
    opinions = Opinions.of(first.label, first.source)

    def statistics(predicted, opinions):
        return {"rmse": rmse(predicted, opinions.mos)}

    expected = paired_difference(statistics, second.predicted, first.predicted, opinions)["rmse"]
    late = second.source >= "s3"
    turned = join([second.where(late), second.where(~late)])  # the order of rows is no matter
    compared = paired({"a": first, "b": turned})
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
    compared = paired({"fewer": fewer, "seeds": seeds})
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
        paired({"a": rows, "b": moved})
    other = HeldOut(rows.source + "x", rows.clip, rows.index, rows.seed, rows.label, rows.predicted)
    with pytest.raises(InputError, match="no held-out row in common"):
        paired({"a": rows, "b": other})


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    mixed = holm([math.nan, 0.02])
    assert math.isnan(mixed[0])
    assert mixed[1] == 0.02
