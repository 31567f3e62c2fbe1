"""A dataset that is trained on from the disk: the same rows, every source held out, limits told."""

import dataclasses

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.runs.config import Config
from vmaf_jax.runs.fit import fit_folds
from vmaf_jax.runs.problem import load_problem, load_streamed
from vmaf_jax.tables.dataset import map_table, read_table, release

TRAINING = {"steps": 100, "batch_size": 64, "seeds": (0, 1), "learning_rate": 5e-3}


@pytest.fixture(scope="module")
def folder(support_vectors, tmp_path_factory):
    """The support vectors' clips in three shards."""
    folder = tmp_path_factory.mktemp("set")
    table = support_vectors
    part = np.array([int(name.split("_")[1].split(".")[0]) % 3 for name in table.source])
    for k in range(3):
        rows = part == k
        texts = {name: getattr(table, name)[rows] for name in ("corpus", "source", "clip", "index")}
        labels = {name: column[rows] for name, column in table.labels.items()}
        numbers = {"features": table.features[rows], "labels": labels}
        dataclasses.replace(table, **texts, **numbers).write(folder / f"part-{k}.parquet")
    return folder


def config(folder, training=TRAINING, **data):
    data = {"features": folder, "buffer_rows": 128, **data}
    return Config(name="x", data=data, student={"network": "nano"}, training=training)


def test_a_mapped_table_is_the_table(folder):
    ours, whole = map_table(folder), read_table(folder)
    assert isinstance(ours.features, np.memmap)
    release(ours)  # from memory; the file has it
    for name in ("corpus", "source", "clip", "index", "features"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(whole, name))
    np.testing.assert_array_equal(ours.label("vmaf_v0.6.1"), whole.label("vmaf_v0.6.1"))
    assert ours.provenance == whole.provenance


def test_every_source_is_held_out_and_predicted(folder):
    problem = load_streamed(config(folder))
    in_memory = load_problem(config(folder).data)
    np.testing.assert_allclose(problem.target, in_memory.target, atol=1e-9)
    np.testing.assert_array_equal(problem.fold, in_memory.fold)
    np.testing.assert_array_equal(problem.masks, in_memory.masks)
    settings = config(folder).training
    fit = fit_folds(problem, config(folder).make_student(), settings)
    assert fit.predicted.shape == (1, 2, len(problem.table))
    assert fit.losses.shape == (2 * len(problem.sources) + 1, 100)
    for seed in range(2):
        error = fit.predicted[0, seed] - problem.label
        assert np.sqrt(np.mean(error**2)) < 10  # VMAF points; their spread is 27


def test_points_of_a_sweep_are_members_of_one_stream(folder):
    """Each as alone; where rates differ XLA rounds otherwise."""
    problem, student = load_streamed(config(folder)), config(folder).make_student()
    training = config(folder, TRAINING | {"steps": 40}).training
    points = [
        training.model_copy(update={"temperature": t, "learning_rate": rate, "loss": "kl"})
        for t, rate in ((1.0, 5e-3), (2.0, 1e-3), (1.0, 1e-3))
    ]
    together = fit_folds(problem, student, points[0], points=points)
    assert together.predicted.shape == (3, 2, len(problem.table))
    for k, point in enumerate(points):
        alone = fit_folds(problem, student, point)
        own = together.at(k)
        assert own.losses.shape == alone.losses.shape
        np.testing.assert_allclose(own.losses, alone.losses, rtol=2e-3)
        np.testing.assert_allclose(own.predicted, alone.predicted, atol=0.05)  # VMAF points
    differs = np.abs(together.predicted[0] - together.predicted[1]).max()
    assert differs > 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"label": "mos"}, "has no data.label=mos"),
        ({"mean_pool": True}, "has no data.mean_pool"),
        ({"training": {"strategy": "rows"}}, "no training.batch_size"),
        ({"training": TRAINING | {"strategy": "teacher_queries"}}, "strategy=teacher_queries"),
        ({"training": TRAINING | {"anchor": 1.0}}, "no training.anchor"),
        ({"features": None}, "a folder of shards; drop it"),
    ],
)
def test_what_streamed_training_has_not_is_told(folder, change, line):
    with pytest.raises(InputError, match=line):
        load_streamed(config(folder, **change))


@pytest.mark.slow
def test_the_command_writes_a_run(folder, tmp_path):
    setting = [
        *("--set", f"data.features={folder}", "--set", "data.buffer_rows=128"),
        *("--set", "training.batch_size=64", "--set", "training.strategy=rows"),
        *("--set", "external=[]", "--set", "training.steps=300"),
    ]
    flags = ("--config", "configs/tiny.yaml", *setting, "--run-dir", tmp_path / "run")
    ended = run_command("train", *flags)
    assert ended.code == 0, ended.stderr
    assert "streamed" in ended.stderr
    ended = run_command("evaluate", "--model", tmp_path / "run", "--features", folder)
    assert ended.code == 0, ended.stderr
