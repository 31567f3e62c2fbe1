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


@pytest.mark.parametrize("name", [*NAMES, "rbf_4k"])
def test_the_table_of_models(name):
    folder = Path("checkpoints") / name
    tables = [folder / "folds.parquet", *folder.glob("external_demo.parquet")]
    expected = [
        f"{metrics.rmse:.4f} / {metrics.max_abs:.3f}"
        for metrics in (
            all_metrics(rows.predicted, rows.label) for rows in map(read_held_out, tables)
        )
    ]
    row = cells("README.md", f"`{name}`:")
    assert row[1].startswith(f"{expected[0]} points")
    assert row[2] == f"{json.loads((folder / 'model.json').read_text())['n_params']:,} parameters"
    if name != "rbf_4k":
        config = {"rbf": "configs/rbf.yaml"}.get(name, f"configs/checkpoints/{name}.yaml")
        assert cells("docs/training.md", f"`{config}` ")[1:3] == expected


def test_the_table_of_models_has_all_of_them():
    rows = re.findall(r"^\| `(\w+)`:", Path("README.md").read_text(), re.M)
    assert set(rows) == {path.parent.name for path in Path("checkpoints").glob("*/model.onnx")}


def test_the_model_of_opinions():
    metrics, _ = shipped("opinions")
    pooled = metrics["loso"]["pooled"]
    low, high = json.loads(Path("checkpoints/opinions/model.json").read_text())["label"]["scale"]
    votes = [pooled[key] * (high - low) / 100 for key in ("rmse", "max_abs")]
    row = cells("README.md", "`opinions`:")
    assert row[1].startswith("{:.3f} / {:.3f} votes".format(*votes))


@pytest.mark.parametrize(
    ("question", "document", "words"),
    [
        ("an encode whose range changes,", "docs/inputs.md", "| {:.1f} for {:.1f} | each frame's"),
        ("VMAF v1 of a banded 8-bit", "docs/inputs.md", "| {:.1f} for {:.1f} | at 10 bits |"),
        (
            "VMAF v1 of a banded 8-bit",
            "docs/vmaf-v1.md",
            "of a banded AV1 encode score {1:.2f} at 10 bits and {0:.2f} at 8.",
        ),
    ],
)
def test_scores_of_the_newest_ffmpeg(question, document, words):
    """The table of `benchmarks.filter_by_build` stands in docs/traps.md."""
    scores = map(float, cells("docs/traps.md", question)[-1].split(", "))
    assert words.format(*scores) in Path(document).read_text()


def test_torchmetrics_is_lower_by_what_torch_md_says():
    row = cells("docs/torch.md", "torchmetrics, of the file's pictures in RGB")
    low, high = sorted(-float(edge) for edge in row[-1].split(" to "))
    row = cells("docs/traps.md", "torchmetrics' VMAF of decoded frames")
    assert f"{low:.1f} to {high:.1f} points lower on eight frames" in row[1]


def test_searches_of_encodes():
    """The page of all figures repeats those of the page that a benchmark writes."""
    _, held, median, lowest, *_ = cells("docs/target-quality.md", "all ")
    _, figures, _ = cells("docs/performance.md", "`encode`, 25 clips over")
    assert figures == f"{held}, one target refused; {median}, {lowest} points"
    encoded, measured = cells("docs/target-quality.md", "encode ")[5:]
    whole = [float(cell) for cell in cells("docs/target-quality.md", "bisection ")[5:]]
    shares = [float(part) / full for part, full in zip((encoded, measured), whole, strict=True)]
    _, figures, _ = cells("docs/performance.md", "`encode` beside bisection")
    assert figures == "{:.2f} of the encoded and {:.2f} of the measured frames".format(*shares)


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
