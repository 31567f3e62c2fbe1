"""The shipped models: whole, untouched, and as good as they say."""

import hashlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vmaf_jax
from tests.end_to_end.cards import card_from_files
from tests.support import opinions_of_uhd_1, run_command
from vmaf_jax.environment import processor
from vmaf_jax.evaluation import all_metrics, loso_metrics, read_held_out
from vmaf_jax.evaluation.conformal import LEVELS
from vmaf_jax.evaluation.run_metrics import behaviour
from vmaf_jax.export.contract import load_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import ParityLimits, check_parity, measure_parity, parity_rows
from vmaf_jax.export.quantize import BUDGET_PLCC, BUDGET_RMSE, compare
from vmaf_jax.export.sidecar import read_sidecar
from vmaf_jax.extraction.corpus import support_vector_table
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features import FEATURES
from vmaf_jax.files import to_json
from vmaf_jax.jobs.doctor import verify_registry
from vmaf_jax.printable import format_points
from vmaf_jax.runs.run_folder import open_run
from vmaf_jax.training.batches import draw_queries
from vmaf_jax.training.masks import masked_scalers

NAMES = ["nano", "rbf", "tiny"]
SHIPPED = ["nano", "opinions", "rbf", "rbf_4k", "tiny"]
# RMSE and max_abs, held out and on the demo frames: what they reach, and a fifth of it more.
HELD_OUT = {"nano": (0.0332, 0.121), "rbf": (0.0259, 0.072), "tiny": (0.0184, 0.072)}
DEMO = {"nano": (0.0374, 0.241), "rbf": (0.0219, 0.082), "tiny": (0.0287, 0.172)}
EXACT = ("nano", "tiny")  # to the bit in ONNX Runtime


@pytest.fixture(params=NAMES)
def folder(request):
    return Path("checkpoints") / request.param


def stored(folder, name):
    return json.loads((folder / name).read_text())


def config_sha256(folder):
    """Of the resolved configuration as it was saved; later settings have defaults of their own."""
    return hashlib.sha256((folder / "config.yaml").read_bytes()).hexdigest()


def test_all_are_here():
    assert sorted(path.parent.name for path in Path("checkpoints").glob("*/model.json")) == SHIPPED


def test_the_4k_model_is_whole_and_near_its_teacher():
    """`rbf_4k`: where models of opinions start."""
    folder = Path("checkpoints/rbf_4k")
    digest = hashlib.sha256(load_onnx(folder / "model.onnx").content).hexdigest()
    assert stored(folder, "model.json")["sha256"] == digest
    assert stored(folder, "model.json")["training"]["config_sha256"] == config_sha256(folder)
    teacher = vmaf_jax.load_teacher("vmaf_4k_v0.6.1")
    rows = support_vector_table(teacher)
    predicted = OnnxModel(folder / "model.onnx")(rows.features)
    metrics = all_metrics(predicted, rows.label("vmaf_4k_v0.6.1"))
    assert metrics.rmse <= 0.09
    assert metrics.max_abs <= 0.62


def test_the_model_of_opinions_is_whole_and_holds_no_row_of_its_data(demo_table):
    folder = Path("checkpoints/opinions")
    assert not list(folder.rglob("*.parquet"))
    assert "Worst cases" not in (folder / "card.md").read_text()
    digest = hashlib.sha256(load_onnx(folder / "model.onnx").content).hexdigest()
    assert stored(folder, "model.json")["sha256"] == digest
    assert stored(folder, "model.json")["label"] == {"name": "mos", "scale": [1.0, 5.0]}
    model = vmaf_jax.load_model("opinions")
    x = demo_table.features[::48]
    np.testing.assert_allclose(model(x), OnnxModel(folder / "model.onnx")(x), atol=1e-4)
    in_libvmaf = vmaf_jax.load_teacher(folder / "model.libvmaf.json")
    np.testing.assert_allclose(model(x), in_libvmaf(x), atol=1e-3)
    assert (model.distance.own, model.distance.nearest, model.distance.farthest) == (1.6, 1.6, 4.8)
    assert model.pooling == "percentile 80"
    # People and VMAF at 4K agree on the order of most encodes that neither was fitted to.
    truth = vmaf_jax.load_teacher("vmaf_4k_v0.6.1")(x)
    assert all_metrics(model(x), truth).srocc > 0.95


def test_the_model_of_opinions_agrees_with_them(tmp_path):
    frames, clips = opinions_of_uhd_1(tmp_path)
    table = tmp_path / "opinions.parquet"
    files = ("--frames", frames, "--clips", clips)
    assert run_command("import", *files, "--label-scale", 1, 5, "--out", table).code == 0
    arguments = ("--model", "opinions", "--features", table, "--label", "mos", "--json")
    overall = json.loads(run_command("evaluate", *arguments).stdout)["overall"]
    assert overall["n"] == 660
    # They are among the clips that taught it: PLCC 0.8601, RMSE 14.250.
    assert overall["plcc"] > 0.859
    assert overall["rmse"] < 14.3


def test_files_match_their_digests(folder):
    digest = hashlib.sha256(load_onnx(folder / "model.onnx").content).hexdigest()
    assert stored(folder, "model.json")["sha256"] == digest
    assert stored(folder, "model.json")["training"]["config_sha256"] == config_sha256(folder)


def test_figures_are_those_of_the_saved_predictions(folder):
    held_out = read_held_out(folder / "folds.parquet")
    computed = json.loads(to_json(loso_metrics(held_out)[0]))
    written = stored(folder, "metrics.json")["loso"]
    assert str(jax.tree.structure(computed)) == str(jax.tree.structure(written))
    # Processors add the rows up in orders of their own.
    close = pytest.approx(jax.tree.leaves(written), rel=1e-9, abs=1e-12)
    assert jax.tree.leaves(computed) == close


def test_accuracy_on_sources_never_seen(folder, support_vectors):
    rows = read_held_out(folder / "folds.parquet")
    np.testing.assert_array_equal(rows.source, support_vectors.source)
    np.testing.assert_allclose(rows.label, support_vectors.label("vmaf_v0.6.1"), atol=1e-9)
    metrics = all_metrics(rows.predicted, support_vectors.label("vmaf_v0.6.1"))
    assert (metrics.rmse, metrics.max_abs) <= HELD_OUT[folder.name]
    assert metrics.max_abs <= HELD_OUT[folder.name][1]
    assert metrics.plcc >= 0.99999


def test_the_onnx_file_reproduces_its_external_metrics(folder, demo_table):
    predicted = OnnxModel(folder / "model.onnx")(demo_table.features)
    metrics = all_metrics(predicted, demo_table.label("vmaf_v0.6.1"))
    # Another ffmpeg encodes the demo otherwise; the limits must hold there too.
    assert metrics.rmse <= DEMO[folder.name][0]
    assert metrics.max_abs <= DEMO[folder.name][1]
    written = stored(folder, "metrics.json")["external"]["demo"]
    assert metrics.rmse == pytest.approx(written["rmse"], abs=2e-3)


def test_stock_ffmpeg_runs_the_shipped_rbf(demo_table):
    from vmaf_jax.corpora import demo

    clips = [clip for clip in demo.load_clips() if clip.source == "bikes"]
    model = Path("checkpoints/rbf/model.libvmaf.json")
    table = extract_clips(clips, Request((str(model),)))
    in_jax = vmaf_jax.load_model("rbf")(table.features)
    assert len(table) == 8 * 48
    np.testing.assert_allclose(table.label("model.libvmaf"), in_jax, rtol=0, atol=1e-3)
    teacher = demo_table.label("vmaf_v0.6.1")[demo_table.source == "bikes"]
    assert np.abs(table.label("model.libvmaf") - teacher).max() <= DEMO["rbf"][1]


def test_parity_holds_here(folder, support_vectors, demo_table):
    run = open_run(folder)
    rows = parity_rows(support_vectors.feature_set, [support_vectors.features, demo_table.features])
    exact = folder.name in EXACT
    limits = ParityLimits(max_abs=5e-5, max_ulp=16) if exact else ParityLimits()
    parity = measure_parity(
        run.student, run.variables, OnnxModel(folder / "model.onnx"), rows, limits
    )
    check_parity(parity)
    highest = next(entry for entry in parity.octaves if entry.low == 64)
    assert highest.max_ulp <= (4 if exact else 16)
    assert parity.trained_against_deployed.max_abs <= 1e-3


@pytest.mark.parametrize("name", EXACT)
def test_they_were_shipped_with_equal_bits_at_every_batch_size(name):
    parity = stored(Path("checkpoints") / name, "parity.json")
    assert [entry["batch"] for entry in parity["batches"]] == [4096, *range(1, 65)]
    assert parity["max_ulp"] == parity["max_abs"] == 0


@pytest.mark.parametrize("name", EXACT)
def test_the_8_bit_file_keeps_its_budgets(name, demo_table):
    folder, label = Path("checkpoints") / name, demo_table.label("vmaf_v0.6.1")
    fp32, int8 = OnnxModel(folder / "model.onnx"), OnnxModel(folder / "model.int8.onnx")
    cost = compare(fp32, int8, demo_table.features.astype(np.float32), label)
    assert cost.plcc_drop <= BUDGET_PLCC
    assert cost.added_rmse <= BUDGET_RMSE
    assert cost.batch_dependence <= 1e-4  # static scales
    assert stored(folder, "model.json")["quant_mode"] == "fp32"
    assert stored(folder, "model.int8.json")["quant_mode"] in ("static", "qat")


def test_the_registry_is_sound():
    registry = verify_registry(Path("checkpoints/registry.json"))
    ids = [entry.id for entry in registry.models]
    assert ids == ["nano", "nano_int8", "opinions", "rbf", "rbf_4k", "tiny", "tiny_int8"]


def test_behaviour_outside_the_data(folder, support_vectors):
    model = vmaf_jax.load_model(folder.name)
    teacher = vmaf_jax.load_teacher("vmaf_v0.6.1")
    cases = behaviour(model, teacher, support_vectors.features, support_vectors.feature_set)
    assert cases["identical"].max_abs <= 0.1
    assert cases["still"].max_abs <= {"nano": 0.15}.get(folder.name, 0.1)
    assert cases["wider_box"].rmse <= {"tiny": 0.2}.get(folder.name, 0.5)
    assert cases["wider_box"].max_abs <= {"tiny": 1.0}.get(folder.name, 5.0)
    black = [[1, 1, 1, 1, 1, 0]]
    assert abs(model(black)[0] - teacher(black)[0]) <= 0.1


@pytest.mark.parametrize("name", [*NAMES, "rbf_4k"])
def test_the_card_is_computed_from_what_is_shipped(name):
    folder = Path("checkpoints") / name
    assert card_from_files(folder) == (folder / "card.md").read_text()


@pytest.mark.parametrize("name", SHIPPED)
def test_cards_say_how_sure_a_score_is(name):
    """Half-widths are those of the calibration that the sidecar carries; coverage is near."""
    folder = Path("checkpoints") / name
    text = (folder / "card.md").read_text()
    profile = read_sidecar(folder / "model.json").read_calibration().profile
    assert f"{profile.n_clips:,} held-out predictions of clips of {profile.n_sources} sour" in text
    for level in LEVELS:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {level:.0%} |")]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        half = profile.half_width(np.array([20.0, 50.0, 80.0]), level)
        assert cells[1:4] == [f"±{format_points(value)}" for value in half]
        assert float(cells[4].rstrip("%")) == pytest.approx(100 * level, abs=3)


def test_three_ways_to_load_agree(folder, support_vectors):
    x = support_vectors.features
    by_name = vmaf_jax.load_model(folder.name)
    by_folder = vmaf_jax.load_model(folder)
    by_file = vmaf_jax.load_model(folder / "model.onnx")
    assert (by_name.kind, by_folder.kind, by_file.kind) == ("run", "run", "onnx")
    np.testing.assert_array_equal(by_name(x), by_folder(x))
    np.testing.assert_allclose(by_name(x), by_file(x), atol=1e-4)
    assert jax.numpy.zeros(1).dtype == np.float32


def test_the_queries_of_nano_stay(support_vectors):
    """Other draws would train another model."""
    x = jnp.asarray(support_vectors.features, jnp.float32)
    everything = np.ones((1, 1), bool)
    scalers = masked_scalers(support_vectors.features, np.zeros(211, int), everything)

    def draw_rows(key, count):
        return x[jax.random.randint(key, (count,), 0, len(x))]

    inv_std = scalers["inv_std"][0].astype(np.float32)
    drawn = draw_queries(jax.random.key(0), draw_rows, inv_std, FEATURES, (1, 256))[0]
    first = [0.8791295, 0.2456437, 0.7574335, 0.8636836, 0.9105794, 1.8712261]
    last = [0.9999015, 0.9853252, 0.9904896, 0.9947698, 0.9958013, 0.2961545]
    mean = [0.6857414, 0.3375115, 0.5655658, 0.7007263, 0.8039435, 6.3511982]
    # Processors round sums otherwise.
    for values, expected in ((drawn[0], first), (drawn[-1], last), (drawn.mean(axis=0), mean)):
        np.testing.assert_allclose(values, expected, rtol=0, atol=2e-6)


def trained_files(folder):
    """The bytes that a training made, by their place in a run folder."""
    parameters = (path for path in (folder / "checkpoint").rglob("*") if path.is_file())
    files = (*parameters, folder / "folds.parquet", folder / "model.onnx")
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.mark.slow
def test_nano_trains_to_the_shipped_bytes(tmp_path):
    """On the kind of processor that trained it; elsewhere to figures of the same size."""
    run, shipped = tmp_path / "nano", Path("checkpoints/nano")
    config = "configs/checkpoints/nano.yaml"
    assert run_command("train", "--config", config, "--run-dir", run).code == 0
    if stored(shipped, "parity.json")["processor"] != processor():
        rmse = [stored(f, "metrics.json")["loso"]["pooled"]["rmse"] for f in (run, shipped)]
        assert rmse[0] == pytest.approx(rmse[1], rel=0.3)
        return
    again, before = map(trained_files, (run, shipped))
    assert {name for name in before if before[name] != again.get(name)} == set()
