import json

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import HeldOut, all_metrics, loso_metrics, read_held_out
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
