"""What many rows take beside themselves: no copy of their names, no table of pairs of clips."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vmaf_jax.evaluation import conformal
from vmaf_jax.evaluation.conformal import HeldOutPredictions, _has_clip_rows, pool_held_out
from vmaf_jax.evaluation.cross_validation import (
    HeldOut,
    loso_metrics,
    pooled_errors,
    read_held_out,
    source_errors,
)
from vmaf_jax.reporting.error_plots import draw_cells, make_scatter
from vmaf_jax.reporting.page import Plot

N, CLIP, SOURCES = 100_000, 100, 10
LONG = "a name as paths are, of some hundred characters, which every row of its clip refers to" * 2


def rows(n=N):
    rng = np.random.default_rng(0)
    clip = np.arange(n) // CLIP
    label = rng.uniform(0, 100, n)
    clips = np.array([f"{LONG} {k}" for k in range(clip[-1] + 1)], object)
    sources = np.array([f"{LONG} {k}" for k in range(SOURCES)], object)
    return HeldOut(
        source=sources[clip % SOURCES],
        clip=clips[clip],
        index=(np.arange(n) % CLIP).astype(np.int32),
        seed=np.zeros(n, np.int32),
        label=label,
        predicted=np.clip(label + rng.normal(0, 2, n), 0, 100),
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    held, path = rows(), tmp_path_factory.mktemp("many") / "folds.parquet"
    held.write(path)
    return held, path


def draw(held, path):
    drawn = make_scatter(held)
    drawn.data()
    draw_cells(Plot((0.0, 100.0), (0.0, 100.0)), drawn.label, held.predicted)


@pytest.mark.parametrize(
    ("most", "work"),
    [
        (200, lambda held, path: loso_metrics(held)),  # as much as SciPy's ranks take
        (60, lambda held, path: pool_held_out(held, {}, "mean")),
        (60, lambda held, path: _has_clip_rows(held)),
        (60, lambda held, path: source_errors(held)),
        (60, lambda held, path: pooled_errors(held)),
        (60, lambda held, path: held.write(path.with_name("again.parquet"))),
        (60, lambda held, path: read_held_out(path)),
        (60, draw),
    ],
    ids=["metrics", "residuals", "has_clip_rows", "by_source", "over", "write", "read", "draw"],
)
def test_work_takes_few_bytes_a_row(many, most, work):
    """A name has 174 characters: 700 bytes a row as an array of text, 70 as tuples in a set."""
    work(*many)  # what is imported or compiled once
    tracemalloc.start()
    work(*many)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / N < most


def test_rows_that_were_read_share_their_names(many):
    held, path = many
    back = read_held_out(path)
    assert back.clip.tolist() == held.clip.tolist()
    assert len(set(map(id, back.source.tolist()))) == SOURCES


def test_files_are_those_of_one_table(tmp_path, monkeypatch):
    """As `write_table` has them, of one group of rows and of several."""
    for n in (1, 300):
        held = rows(n)
        monkeypatch.setattr("vmaf_jax.evaluation.cross_validation._ROW_GROUP", 128)
        held.write(tmp_path / "ours.parquet")
        kinds = (pa.string(), pa.string(), pa.int32(), pa.int32(), pa.float64(), pa.float64())
        names = zip(vars(held), kinds, strict=True)
        table = pa.table({name: pa.array(getattr(held, name), kind) for name, kind in names})
        pq.write_table(table, tmp_path / "whole.parquet", compression="zstd", row_group_size=128)
        ours, whole = (tmp_path / f"{name}.parquet" for name in ("ours", "whole"))
        assert ours.read_bytes() == whole.read_bytes()


def test_residuals_are_the_same_in_any_parts(monkeypatch):
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(12), 25)
    predicted = rng.uniform(0, 100, len(source))
    residuals = source, predicted, np.clip(predicted + rng.normal(0, 3, len(source)), 0, 100)
    whole = HeldOutPredictions(*residuals).profile
    monkeypatch.setattr(conformal, "_MAX_PAIRS", 7 * len(source))
    parts = HeldOutPredictions(*residuals).profile
    np.testing.assert_allclose(parts.quantile, whole.quantile, rtol=1e-13)  # sums of float64
