"""The shipped models: whole, untouched, and as good as they say."""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np
import pytest

import vmaf_jax
from vmaf_jax.config import ParityConfig
from vmaf_jax.evaluation import all_metrics, loso_metrics, read_held_out
from vmaf_jax.evaluation.behaviour import behaviour
from vmaf_jax.export.onnx_file import OnnxModel, load_onnx
from vmaf_jax.export.parity import check_parity, measure_parity, parity_rows
from vmaf_jax.export.quantize import BUDGET_PLCC, compare
from vmaf_jax.export.registry import verify_registry
from vmaf_jax.load import load_run
from vmaf_jax.models import deploy
from vmaf_jax.reporting.card import write_card

SHIPPED = sorted(path.parent for path in Path("checkpoints").glob("*/model.json"))
LIMITS = {"tiny": (0.03, 0.3, 0.99999), "nano": (0.15, 1.0, 0.9999)}  # RMSE, max_abs, PLCC


@pytest.fixture(params=SHIPPED, ids=lambda path: path.name)
def folder(request):
    return request.param


def stored(folder, name):
    return json.loads((folder / name).read_text())


def test_both_are_here():
    assert [path.name for path in SHIPPED] == ["nano", "tiny"]


def test_files_match_their_digests(folder):
    digest = hashlib.sha256(load_onnx(folder / "model.onnx")).hexdigest()
    assert stored(folder, "model.json")["sha256"] == digest
    config = load_run(folder).config
    assert stored(folder, "model.json")["training"]["config_sha256"] == config.digest()


def test_figures_are_those_of_the_saved_predictions(folder):
    held_out = read_held_out(folder / "folds.parquet")
    found, told = loso_metrics(held_out)["loso"], stored(folder, "metrics.json")["loso"]
    assert jax.tree.structure(found) == jax.tree.structure(told)
    # Processors add the rows up in orders of their own.
    assert jax.tree.leaves(found) == pytest.approx(jax.tree.leaves(told), rel=1e-9, abs=1e-12)


def test_accuracy_on_sources_never_seen(folder):
    rmse, worst, plcc = LIMITS[folder.name]
    pooled = stored(folder, "metrics.json")["loso"]["pooled"]
    assert pooled["rmse"] <= rmse
    assert pooled["max_abs"] <= worst
    assert pooled["plcc"] >= plcc


def test_the_onnx_file_reproduces_its_external_metrics(folder, demo_table):
    predicted = OnnxModel(folder / "model.onnx")(demo_table.features)
    found = all_metrics(predicted, demo_table.label("vmaf_v0.6.1"))
    said = stored(folder, "metrics.json")["external"]["demo"]
    # Another ffmpeg encodes the demo otherwise; the limits must hold there too.
    assert found["rmse"] <= LIMITS[folder.name][0]
    assert found["max_abs"] <= LIMITS[folder.name][1]
    assert found["rmse"] == pytest.approx(said["rmse"], abs=2e-3)


def test_parity_holds_here(folder, support_vectors, demo_table):
    run = load_run(folder)
    rows = parity_rows(support_vectors.feature_set, [support_vectors.features, demo_table.features])
    model = OnnxModel(folder / "model.onnx")
    deployed = deploy(run.student, run.variables)
    report = measure_parity(deployed, model, rows, ParityConfig(max_abs=5e-5, max_ulp=16))
    check_parity(report)
    highest = next(entry for entry in report["octaves"] if entry["from"] == 64)
    assert highest["max_ulp"] <= 4


def test_they_were_shipped_with_equal_bits_at_every_batch_size(folder):
    report = stored(folder, "parity.json")
    assert [run["batch"] for run in report["batches"]] == [4096, *range(1, 65)]
    assert report["max_ulp"] == report["max_abs"] == 0


def test_the_8_bit_file_keeps_its_budget(folder, support_vectors):
    x, label = support_vectors.features.astype(np.float32), support_vectors.label("vmaf_v0.6.1")
    fp32, int8 = OnnxModel(folder / "model.onnx"), OnnxModel(folder / "model.int8.onnx")
    report = compare(fp32, int8, x, label)
    assert report["plcc_drop"] <= BUDGET_PLCC
    assert report["added_rmse"] <= 0.5
    assert report["batch_dependence"] <= 1e-4  # static scales
    assert stored(folder, "metrics.json")["int8"]["plcc_drop"] <= BUDGET_PLCC


def test_the_registry_is_sound():
    registry = verify_registry(Path("checkpoints/registry.json"))
    assert [entry.id for entry in registry.models] == ["nano", "tiny"]


def test_behaviour_outside_the_data(folder, support_vectors):
    model = vmaf_jax.load_model(folder.name)
    teacher = vmaf_jax.load_teacher("vmaf_v0.6.1")
    found = behaviour(model, teacher, support_vectors.features, support_vectors.feature_set)
    assert found["identical"]["max_abs"] <= 0.1
    assert found["still"]["max_abs"] <= 0.1
    assert found["wider_box"]["rmse"] <= {"tiny": 0.3, "nano": 1.0}[folder.name]
    assert found["wider_box"]["max_abs"] <= {"tiny": 3.0, "nano": 9.0}[folder.name]
    black = [[1, 1, 1, 1, 1, 0]]
    assert abs(model(black)[0] - teacher(black)[0]) <= 0.1


def test_the_card_is_generated(folder, tmp_path):
    text = (folder / "card.md").read_text()
    assert f"{stored(folder, 'model.json')['n_params']} parameters" in text
    # Without the external predictions, which are not shipped, the rest of it comes out the same.
    again = write_card(folder).splitlines()
    missing = [line for line in again if line not in text.splitlines()]
    assert missing == []


def test_three_ways_to_load_agree(folder, support_vectors):
    x = support_vectors.features
    by_name = vmaf_jax.load_model(folder.name)
    by_folder = vmaf_jax.load_model(folder)
    by_file = vmaf_jax.load_model(folder / "model.onnx")
    assert (by_name.kind, by_folder.kind, by_file.kind) == ("run", "run", "onnx")
    np.testing.assert_array_equal(by_name(x), by_folder(x))
    np.testing.assert_allclose(by_name(x), by_file(x), atol=1e-4)
    assert jax.config.jax_enable_x64 is False
