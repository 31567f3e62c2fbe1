"""Figures in documents are those of the files that they come from."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from vmaf_jax import FEATURES, load_model, load_teacher
from vmaf_jax.evaluation import all_metrics, read_held_out

NAMES = ("nano", "tiny", "rbf")


def shipped(name):
    folder = Path("checkpoints") / name
    return tuple(json.loads((folder / f"{f}.json").read_text()) for f in ("metrics", "parity"))


def cells(document, first):
    """The cells of the table's row that opens with `first`."""
    (line,) = [li for li in Path(document).read_text().splitlines() if li.startswith(f"| {first}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_models(name):
    folder = Path("checkpoints") / name
    held_out = read_held_out(folder / "folds.parquet")
    external = read_held_out(folder / "external_demo.parquet")
    expected = [
        f"{metrics.rmse:.4f} / {metrics.max_abs:.3f}"
        for metrics in (all_metrics(rows.predicted, rows.label) for rows in (held_out, external))
    ]
    n_params = json.loads((folder / "model.json").read_text())["n_params"]
    row = cells("README.md", f"`{name}` (")
    assert row[1:] == [f"{n_params:,}", *expected]
    config = {"rbf": "configs/rbf.yaml"}.get(name, f"configs/checkpoints/{name}.yaml")
    assert cells("docs/training.md", f"`{config}` ")[1:3] == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_errors_on_frames_of_real_encodes(name):
    frames = Path("../shared/opinions/frames.parquet")
    if not frames.is_file():
        pytest.skip(f"no frames of real encodes at {frames}")
    table = pq.read_table(frames, columns=list(FEATURES))
    features = np.stack([table[feature].to_numpy() for feature in FEATURES], axis=1)
    errors = load_model(name)(features) - load_teacher("vmaf_v0.6.1")(features)
    _, rmse, worst = cells("docs/limits.md", f"`{name}` ")
    assert f"{len(features):,} frames" in Path("docs/limits.md").read_text()
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(float(rmse), abs=1e-3)
    assert np.abs(errors).max() == pytest.approx(float(worst), abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_parity(name):
    metrics, parity = shipped(name)
    assert metrics["parity"]["max_abs"] == parity["max_abs"]
    text = " ".join(Path("docs/onnx-contract.md").read_text().split())
    distance = f"{parity['trained_against_deployed']['max_abs']:.1e}"
    assert re.search(rf"{distance}( points)? for `{name}`", text)
    if name == "rbf":
        assert f"within {parity['max_abs']:.1e} points and {parity['max_ulp']} ULP" in text
    else:
        assert parity["max_abs"] == parity["max_ulp"] == 0


def test_the_readme_names_the_largest_of_those_distances():
    largest = max(shipped(n)[1]["trained_against_deployed"]["max_abs"] for n in NAMES)
    assert f"at most {largest:.1e} points" in Path("README.md").read_text()


@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_what_8_bits_cost(name, demo_table):
    from vmaf_jax.export.onnx_runtime import OnnxModel

    text = " ".join(Path("docs/onnx-contract.md").read_text().split())
    says = re.search(
        rf"`{name}` (?:has RMSE )?([\d.]+) (?:in 8 bits )?and ([\d.]+) (?:in float32 )?\(worst",
        text,
    )
    assert says
    label = demo_table.label("vmaf_v0.6.1")
    files = ("model.int8.onnx", "model.onnx")
    for figure, file in zip(says.groups(), files, strict=True):
        predicted = OnnxModel(Path("checkpoints") / name / file)(demo_table.features)
        # Another ffmpeg encodes the demo otherwise.
        assert all_metrics(predicted, label).rmse == pytest.approx(float(figure), abs=2e-3)


def test_registry_entries_say_what_their_metrics_do():
    registry = json.loads(Path("checkpoints/registry.json").read_text())
    for entry in registry["models"]:
        metrics, _ = shipped(Path(entry["onnx"]).parent.name)
        if entry["quant_mode"] == "fp32":
            figure = f"held-out RMSE {metrics['loso']['pooled']['rmse']:.4f} points"
        else:
            figure = f"RMSE {metrics['int8']['added_rmse']:+.3f} points"
        assert figure in entry["description"]


def test_the_demo_printout_is_of_its_kind():
    """The rows of `make demo` that the README shows: the held-out ones come out alike anywhere."""
    text = Path("README.md").read_text()
    config = Path("configs/tiny.yaml").read_text()
    (pooled,) = re.findall(r"all held out +211 +([\d.]+) +([\d.]+) +([\d.]+) +[\d.]+", text)
    (line,) = re.findall(r"PLCC ([\d.]+), SROCC ([\d.]+), RMSE ([\d.]+)\.", config)
    assert [f"{float(a):.3f}" for a in pooled] == [f"{float(b):.3f}" for b in line]
