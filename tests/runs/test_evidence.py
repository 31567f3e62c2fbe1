"""A sidecar's figures are those of its model file and of the files beside it."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.export.test_onnx import exported, rows
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.quantize import quantize
from vmaf_jax.export.sidecar import (
    Identity,
    TrainingRecord,
    read_sidecar,
    sidecar_path,
    teacher_origin,
    write_sidecar,
)
from vmaf_jax.export.teacher_onnx import teacher_onnx
from vmaf_jax.features import FEATURES
from vmaf_jax.jobs.doctor import verify_registry
from vmaf_jax.jobs.export import export_ensemble
from vmaf_jax.models import ACTIVATIONS, HEADS, NETWORKS, ROW_NETWORKS, Student, deploy
from vmaf_jax.models.sizes import HIDDEN_LAYERS
from vmaf_jax.runs.evidence import GATES, check_architecture, check_origin
from vmaf_jax.teacher import load_teacher

TRAINING = TrainingRecord(config_sha256="0" * 64, corpora={})


def identity(student):
    return Identity("test", student, FEATURES, "vmaf_v0.6.1", TRAINING)


def check(path, **changes):
    """Checks the sidecar beside a model file, with entries of it changed."""
    sidecar = read_sidecar(sidecar_path(path)).model_copy(update=changes)
    check_architecture(sidecar, onnx.load(path), sidecar_path(path))
    check_origin(sidecar, onnx.load(path), sidecar_path(path))


def with_sidecar(tmp_path, network="nano", head="scalar", activation="silu", hidden=()):
    student, _, path = exported(tmp_path, network, head, activation, hidden)
    write_sidecar(path, identity(student).origin)
    return path, read_sidecar(sidecar_path(path))


def test_every_network_and_activation_is_known():
    assert set(GATES) == set(ACTIVATIONS)
    assert set(HIDDEN_LAYERS) == {name for name, network in NETWORKS.items() if network.hidden}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("network", sorted(ROW_NETWORKS))
def test_what_is_exported_is_found_again(network, head, tmp_path):
    path, sidecar = with_sidecar(tmp_path, network, head)
    check(path)
    for n_params in (sidecar.n_params - 1, sidecar.n_params + 1, 1):
        with pytest.raises(InputError, match=f"n_params is {n_params}, of the file it is"):
            check(path, n_params=n_params)
    others = {*NETWORKS, "nu-svr"} - {network}
    if network == "mlp":  # of the layers that the sidecar lists
        others -= {"mlp"}
    for other in others:
        with pytest.raises(InputError, match=r"model\.json: arch"):
            check(path, arch=sidecar.arch.model_copy(update={"network": other, "hidden": None}))
    other = next(name for name in HEADS if name != head)
    with pytest.raises(InputError, match="whose products are"):
        check(path, arch=sidecar.arch.model_copy(update={"head": other}))
    for damaged in ({"network": "resnet"}, {"head": "none"}):
        with pytest.raises(InputError, match="expected one of mlp"):
            check(path, arch=sidecar.arch.model_copy(update=damaged))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_is_told_from_every_other(activation, tmp_path):
    path, sidecar = with_sidecar(tmp_path, "mlp", activation=activation, hidden=(8, 5, 4))
    files = [path]
    for mode in ("dynamic", "static"):
        files.append(quantize(path, tmp_path / f"{mode}.onnx", mode=mode, calibration=rows()))
        write_sidecar(files[-1], sidecar)
    for file in files:
        check(file)
        for other in {*ACTIVATIONS, "magic"} - {activation}:
            with pytest.raises(InputError, match=r"arch\.activation"):
                check(file, arch=sidecar.arch.model_copy(update={"activation": other}))
        for hidden in ((8, 4, 5), (8, 5), (5, 8, 4), (8, 5, 4, 4)):
            with pytest.raises(InputError, match="whose products are"):
                check(file, arch=sidecar.arch.model_copy(update={"hidden": hidden}))


def test_attention_and_vmafs_own_models_are_found(tmp_path):
    student = Student("attention", teacher="vmaf_4k_v0.6.1")
    variables = jax.tree.map(np.asarray, student.init(jax.random.key(0)))
    path = tmp_path / "clips.onnx"
    export_onnx(deploy(student, variables), path, identity(student))
    write_sidecar(path, identity(student).origin)
    check(path)
    with pytest.raises(InputError, match="n_params is 10, of the file it is 9"):
        check(path, n_params=10)
    teacher, own = load_teacher("vmaf_v0.6.1"), tmp_path / "own.onnx"
    teacher_onnx(teacher, own)
    write_sidecar(own, teacher_origin(teacher))
    check(own)
    arch = read_sidecar(sidecar_path(path)).arch
    for file, changes in ((own, {"n_params": 1476}), (own, {"arch": arch})):
        with pytest.raises(InputError, match=r"own\.json: "):
            check(file, **changes)


def test_members_of_an_ensemble_are_counted_together(tmp_path):
    path = tmp_path / "both.onnx"
    export_ensemble(["nano", "rbf"], path)
    check(path)
    sidecar = read_sidecar(sidecar_path(path))
    nano, rbf = sidecar.members
    assert sidecar.n_params == 4673 + 231
    for changes, message in (
        ({"n_params": 4673}, "n_params is 4673, of the file it is 4904"),
        ({"members": None}, "whose products are"),
        ({"members": (nano, nano)}, "whose products are"),
        ({"members": (rbf, nano)}, "is not that of the first of its members"),
    ):
        with pytest.raises(InputError, match=message):
            check(path, **changes)


def test_the_gain_of_viewing_distance_is_a_parameter_that_is_in_no_graph():
    path = Path("checkpoints/opinions/model.onnx")
    sidecar = read_sidecar(sidecar_path(path))
    model = onnx.load(path)
    check_architecture(sidecar, model, Path("model.json"))
    for changes in ({"n_params": 231}, {"distance": None}, {"n_params": 233}):
        with pytest.raises(InputError, match="n_params is"):
            check_architecture(sidecar.model_copy(update=changes), model, Path("model.json"))


def test_a_sidecar_of_another_training_is_found(tmp_path):
    path, sidecar = with_sidecar(tmp_path)
    for changes in ({"config_sha256": "1" * 64}, {"corpora": {"demo": "0" * 64}}):
        with pytest.raises(InputError, match="is of another training"):
            check(path, training=sidecar.training.model_copy(update=changes))


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
        ("nano/model.json", ["calibration"], None, r"has no calibration, which folds\.parquet"),
        ("nano/model.json", ["members"], [], r"members is \[\]: Tuple should have at least 2"),
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


def test_predictions_without_names_and_numbers_are_refused(folder):
    path = folder / "rbf/folds.parquet"
    table = pq.read_table(path)
    for column, values in (
        ("source", pa.nulls(len(table), pa.string())),
        ("clip", pa.array([None, *table["clip"].to_pylist()[1:]])),
        ("index", pa.nulls(len(table), pa.int32())),
        ("index", pa.array([2**40] * len(table))),
        ("seed", pa.array([0.5] * len(table))),
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
