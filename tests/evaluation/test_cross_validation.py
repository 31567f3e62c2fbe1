import json
import math

import numpy as np
import pytest

from tests.evaluation.support import run
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import HeldOut, all_metrics, loso_metrics, read_held_out
from vmaf_jax.evaluation.cross_validation import pooled_errors, source_errors
from vmaf_jax.evaluation.intervals import jackknife, rmse_interval, sum_by_source
from vmaf_jax.evaluation.metrics import rmse
from vmaf_jax.files import to_json


@pytest.fixture
def held_out():
    rng = np.random.default_rng(0)
    n = 60
    label = rng.uniform(0, 100, n)
    return HeldOut(
        source=np.array(["a", "b", "c"] * 20, dtype=object),
        clip=np.array([f"c{k}" for k in range(n)], dtype=object),
        index=np.ones(n, np.int32),
        seed=np.zeros(n, np.int32),
        label=label,
        predicted=np.clip(label + rng.normal(0, 2, n), 0, 100),
    )


def test_summary_is_over_folds_and_pooled(held_out):
    loso, folds = loso_metrics(held_out)
    assert [fold.source for fold in folds] == ["a", "b", "c"]
    per_fold = [
        all_metrics(held_out.predicted[rows], held_out.label[rows]).rmse
        for rows in (held_out.source == s for s in "abc")
    ]
    assert loso.rmse.mean == pytest.approx(np.mean(per_fold))
    assert loso.rmse.std == pytest.approx(np.std(per_fold))
    assert loso.pooled == all_metrics(held_out.predicted, held_out.label)


def test_stored_rows_give_the_same_figures(held_out, tmp_path):
    held_out.write(tmp_path / "folds.parquet")
    back = read_held_out(tmp_path / "folds.parquet")
    assert to_json(loso_metrics(back)) == to_json(loso_metrics(held_out))
    (tmp_path / "bad.parquet").write_bytes(b"x")
    for name in ("bad.parquet", "none.parquet"):
        with pytest.raises(InputError, match="not a run's held-out table"):
            read_held_out(tmp_path / name)


def test_undefined_becomes_null():
    assert json.loads(to_json({"a": float("nan"), "b": [np.float64(1.5)]})) == {
        "a": None,
        "b": [1.5],
    }


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
    moments = sum_by_source(rows.predicted, rows.label, group, 6)
    whole = pooled_errors(rows)
    assert whole.rmse == pytest.approx(rmse(rows.predicted, rows.label), rel=1e-12)
    expected = rmse_interval(moments)
    assert whole.rmse_interval.low == pytest.approx(expected.low, rel=1e-9)
    assert whole.rmse_interval.high == pytest.approx(expected.high, rel=1e-9)
