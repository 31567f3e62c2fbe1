"""`bench train --features`: its keys, and figures that can be computed another way."""

import json

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax.benchmarks.training import bench_recipe
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.evaluation.metrics import plcc, rmse
from vmaf_jax.extraction.corpus import support_vector_table
from vmaf_jax.teacher import load_teacher

KEYS = [
    *("compile_s", "train_s", "loso_rmse", "loso_plcc"),
    *("models", "rows_per_s", "gflop_per_s", "peak_gflop_per_s"),
]


@pytest.fixture(scope="module")
def table():
    return support_vector_table(load_teacher("vmaf_v0.6.1"))


@pytest.fixture(scope="module")
def path(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "rows.parquet"
    table.write(path)
    return path


def test_the_figures_are_of_models_that_never_saw_the_source(table, path):
    flags = ("--hidden", "8,4", "--epochs", 2, "--batch", 32, "--seeds", 2, "--json")
    run = run_command("bench", "train", "--features", path, *flags)
    assert run.code == 0
    report = json.loads(run.stdout)
    assert list(report) == KEYS
    names = table.sources
    assert report["models"] == 2 * len(names) + 1
    settings = ["student.network=mlp", "student.hidden=[8,4]", "student.activation=relu"]
    settings += ["student.dropout=0", "training.optimiser=adam", "training.epochs=2"]
    settings += ["training.batch_size=32", "training.learning_rate=0.001", "training.seeds=[0,1]"]
    settings += ["training.schedule=constant", f"data.features={path}", "name=recipe"]
    overrides = [part for setting in settings for part in ("--set", setting)]
    (path.parent / "empty.yaml").write_text("name: recipe\n")
    flags = ("--config", path.parent / "empty.yaml", *overrides)
    run = run_command("train", *flags, "--run-dir", path.parent / "run")
    assert run.code == 0, run.stderr
    held_out = read_held_out(path.parent / "run" / "folds.parquet")
    seeds = [held_out.seed == seed for seed in range(2)]
    scores = [(held_out.predicted[own], held_out.label[own]) for own in seeds]
    assert report["loso_rmse"] == pytest.approx(np.mean([rmse(*pair) for pair in scores]))
    assert report["loso_plcc"] == pytest.approx(np.mean([plcc(*pair) for pair in scores]))
    visits = 2 * (2 * (len(names) - 1) + 1) * len(table)
    assert report["rows_per_s"] * report["train_s"] == pytest.approx(visits)
    flops = 6 * (6 * 8 + 8 * 4 + 4) - 2 * 6 * 8
    assert report["gflop_per_s"] * report["train_s"] * 1e9 == pytest.approx(visits * flops)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inference", "--features", "t.parquet"), "bench inference: takes no --features"),
        (("train", "--features", "none.parquet"), "none.parquet: no such feature table"),
        (("train", "--features", "t.parquet", "--hidden", "64,x"), "--hidden 64,x: expected whole"),
    ],
)
def test_what_cannot_be_measured_is_named(arguments, message):
    run = run_command("bench", *arguments)
    assert run.code == 2
    assert message in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_single_source_cannot_be_held_out(table, tmp_path):
    import dataclasses

    one_source = dataclasses.replace(table, source=np.full(len(table), "only", object))
    one_source.write(tmp_path / "one.parquet")
    with pytest.raises(InputError, match="a single source"):
        bench_recipe(tmp_path / "one.parquet")
