"""A sidecar's figures are those of the files beside it; `registry verify` finds others."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.jobs.doctor import verify_registry


@pytest.fixture
def folder(tmp_path):
    """A copy of what is shipped, to break."""
    shutil.copytree("checkpoints", tmp_path / "models")
    return tmp_path / "models"


def change(path, keys, value):
    """Changes one entry of a JSON file, named by its keys."""
    document = entry = json.loads(path.read_text())
    for key in keys[:-1]:
        entry = entry[key]
    entry[keys[-1]] = value
    path.write_text(json.dumps(document))


METRICS = ["training", "metrics"]


@pytest.mark.parametrize(
    ("name", "keys", "value", "message"),
    [
        ("nano/model.json", ["n_params"], 4674, r"n_params is 4674, of the file it is 4673"),
        ("nano/model.int8.json", ["n_params"], 1, r"n_params is 1, of the file it is 4673"),
        ("tiny/model.json", ["arch", "network"], "nano", r"arch is nano, whose products are"),
        ("tiny/model.json", ["arch", "activation"], "relu", r"arch\.activation gives 3 Relu"),
        ("rbf/model.json", ["arch", "network"], "nu-svr", r"arch is nu-svr, whose products"),
        ("nano/model.json", [*METRICS, "loso", "rmse"], 0.001, r"loso\.rmse is 0\.001, by metr"),
        ("opinions/model.json", [*METRICS, "loso", "plcc"], 0.99, r"loso\.plcc is 0\.99, by metr"),
        ("tiny/model.int8.json", [*METRICS, "loso", "n"], 212, r"loso\.n is 212, by metrics\.json"),
        (
            "rbf/model.json",
            [*METRICS, "external", "demo", "endpoint_rmse", "low", "rmse"],
            0.1,
            r"external\.demo\.endpoint_rmse\.low\.rmse is 0\.1, by metrics\.json beside it 0\.0273",
        ),
        ("nano/model.json", [*METRICS, "external"], {}, r"metrics\.external is \[\], by metrics"),
        (
            "nano/model.json",
            ["training", "config_sha256"],
            "0" * 64,
            r"training\.config_sha256 or training\.corpora is of another training",
        ),
        (
            "nano/model.json",
            ["training", "corpora"],
            {"demo": "0" * 64},
            r"training\.config_sha256 or training\.corpora is of another training",
        ),
        ("opinions/model.json", ["label", "name"], "vmaf", r"label\.name is vmaf, by config\.yaml"),
        ("nano/model.json", ["label", "name"], "mos", r"label\.name is mos, by config\.yaml"),
        (
            "opinions/model.json",
            ["pooling"],
            "percentile 90",
            r"pooling is percentile 90, by config\.yaml beside it percentile 80",
        ),
        ("rbf_4k/model.json", ["arch", "activation"], "relu", r"arch\.activation is relu, by conf"),
        (
            "rbf_4k/model.json",
            ["calibration", "n_clips"],
            212,
            r"calibration\.n_clips is 212, by folds\.parquet beside it 262",
        ),
        (
            "rbf_4k/model.json",
            ["calibration", "n_clips"],
            1_000_000,
            r"calibration\.n_clips is 1000000, by folds\.parquet beside it 262",
        ),
        (
            "nano/model.json",
            ["calibration", "difficulty", 7],
            0.5,
            r"calibration\.difficulty\.7 is 0\.500000, by folds\.parquet",
        ),
    ],
)
def test_a_figure_that_its_files_deny_is_found(folder, name, keys, value, message):
    change(folder / name, keys, value)
    with pytest.raises(InputError, match=message) as refusal:
        verify_registry(folder)
    assert str(refusal.value).startswith(f"{folder / name}: ")
    assert "\n" not in str(refusal.value)


def test_figures_changed_in_the_sidecar_and_its_metrics_alike_are_found(folder):
    for name, keys in (
        ("model.json", [*METRICS, "loso", "rmse"]),
        ("metrics.json", ["loso", "pooled", "rmse"]),
    ):
        change(folder / "nano" / name, keys, 0.001)
    with pytest.raises(InputError, match=r"loso\.rmse is 0\.001, by folds\.parquet beside it 0\.0"):
        verify_registry(folder)


def test_changed_predictions_and_configurations_are_found(folder):
    path = folder / "rbf/external_demo.parquet"
    rows = read_held_out(path)
    predicted = rows.predicted.copy()
    predicted[5] += 1
    dataclasses.replace(rows, predicted=predicted).write(path)
    with pytest.raises(InputError, match=r"demo\.\w+ is .*, by external_demo\.parquet beside"):
        verify_registry(folder)
    predicted[5] = np.nan
    dataclasses.replace(rows, predicted=predicted).write(path)
    with pytest.raises(InputError, match=r"external_demo\.parquet: predicted of row 5 is not a n"):
        verify_registry(folder)
    config = folder / "opinions/config.yaml"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(InputError, match=r"config_sha256 is .*, by config\.yaml beside it"):
        verify_registry(folder)


def test_predictions_without_names_are_refused(folder):
    path = folder / "rbf/folds.parquet"
    table = pq.read_table(path)
    for column, values in (
        ("source", pa.nulls(len(table), pa.string())),
        ("clip", pa.array([None, *table["clip"].to_pylist()[1:]])),
        ("index", pa.nulls(len(table), pa.int32())),
    ):
        at = table.schema.get_field_index(column)
        pq.write_table(table.set_column(at, column, values), path)
        with pytest.raises(InputError, match=r"folds\.parquet: .*; train again\."):
            verify_registry(folder)


def test_an_external_corpus_of_any_name_is_a_file_of_the_folder(folder):
    """A name that no file has tells nothing; one that leads elsewhere is not followed."""
    metrics = folder / "rbf/metrics.json"
    (folder / "rbf/external_a").mkdir()
    outside = folder / "b.parquet"
    outside.write_text("not to be read")
    for name in ("x" * 300, "a/../../b", "a\0b"):
        for path, keys in ((folder / "rbf/model.json", METRICS), (metrics, [])):
            document = entry = json.loads(path.read_text())
            for key in keys:
                entry = entry[key]
            (figures,) = entry["external"].values()
            entry["external"] = {name: figures}
            path.write_text(json.dumps(document))
        assert len(verify_registry(folder).models) == 7


def test_a_checkpoint_of_another_size_is_found(folder):
    shape = folder / "nano/checkpoint/params.network.Dense_1.kernel/.zarray"
    change(shape, ["shape"], [64, 65])
    with pytest.raises(InputError, match="n_params is 4673, by checkpoint beside it 4737"):
        verify_registry(folder)
    for damage in ("{}", '{"shape": [Infinity]}', "[" * 60_000):
        shape.write_text(damage)
        with pytest.raises(InputError, match=r"\.zarray: damaged; train again"):
            verify_registry(folder)


def test_damaged_metrics_are_refused(folder):
    path = folder / "nano/metrics.json"
    for damage in ("", "[]", '{"loso": 3}', '{"loso": {"pooled": {"n": "x"}}}', "[" * 100_000):
        path.write_text(damage)
        with pytest.raises(InputError, match=r"metrics\.json: no figures of a training; restore"):
            verify_registry(folder)


@pytest.mark.parametrize(
    "name", ["card.md", "checkpoint", "checkpoint/scaler.mean/0", "folds.parquet", "config.yaml"]
)
def test_a_link_out_of_the_folder_is_refused(folder, tmp_path, name):
    path, outside = folder / "nano" / name, tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(InputError, match=r"is a link out of .*; copy that file") as refusal:
        verify_registry(folder)
    assert str(refusal.value).startswith(f"{path}: ")
    path.unlink()
    path.symlink_to(folder / "gone")  # within it, to nothing
    if name == "checkpoint/scaler.mean/0":
        with pytest.raises(InputError, match="holds something other than files"):
            verify_registry(folder)


def test_links_within_the_folder_and_files_that_are_missing_are_admitted(folder):
    (folder / "nano/notes.md").symlink_to(folder / "tiny/card.md")
    shutil.rmtree(folder / "tiny/checkpoint")
    for path in folder.glob("*/*.parquet"):
        path.unlink()
    for path in folder.glob("*/metrics.json"):
        path.unlink()
    os.mkfifo(folder / "rbf/folds.parquet")  # would be waited for
    assert len(verify_registry(folder).models) == 7


def test_the_command_ends_with_2_and_one_line(folder):
    change(folder / "nano/model.json", ["n_params"], 5)
    finished = run_command("registry", "verify", folder)
    assert finished.code == 2
    assert finished.stdout == ""
    assert "n_params is 5, of the file it is 4673; export the model again" in finished.stderr
