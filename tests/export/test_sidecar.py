import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support import full_disk
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.conformal import Calibration, pool_held_out
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.export.sidecar import (
    CalibrationEntry,
    Origin,
    check_sidecar,
    read_sidecar,
    write_models,
    write_sidecar,
)
from vmaf_jax.runs.conclude import calibration_of

PATH = Path("checkpoints/tiny/model.json")
FILES = ("folds", "external_demo")


@pytest.fixture
def description():
    return json.loads(PATH.read_text())


@pytest.fixture
def calibration():
    return read_sidecar(PATH).read_calibration()


def test_the_shipped_calibration_is_of_the_saved_predictions(
    description, calibration, support_vectors
):
    folder = PATH.parent
    rows = read_held_out(folder / "folds.parquet")
    external = {"demo": read_held_out(folder / "external_demo.parquet")}
    made = calibration_of(rows, external, support_vectors, "mean")
    assert made.profile.n_sources == calibration.profile.n_sources == 23 + 9
    assert made.profile.n_clips == calibration.profile.n_clips == 211 + 72
    np.testing.assert_allclose(made.profile.quantile, calibration.profile.quantile, atol=1e-6)
    np.testing.assert_allclose(made.profile.difficulty, calibration.profile.difficulty, atol=1e-6)
    assert made.region.limit == pytest.approx(calibration.region.limit, rel=1e-6)
    stored = CalibrationEntry.from_calibration(calibration).model_dump()
    assert stored == description["calibration"]


def test_clips_of_frames_are_their_means():
    folds, external = (read_held_out(PATH.parent / f"{n}.parquet") for n in FILES)
    of_clip = (external.source == "rocket") & (external.clip == "av1_crf54")
    residuals = pool_held_out(folds, {"demo": external}, "mean")
    error = np.abs(residuals.predicted - external.predicted[of_clip].mean())
    assert error.min() <= 1e-6
    assert residuals.label[error.argmin()] == pytest.approx(external.label[of_clip].mean())


def test_what_is_written_is_what_was_read(description, tmp_path):
    shutil.copy(PATH.with_suffix(".onnx"), tmp_path)
    write_sidecar(tmp_path / "model.onnx", read_sidecar(PATH))
    assert json.loads((tmp_path / "model.json").read_text()) == description


def test_a_foreign_file_needs_no_origin(tmp_path):
    shutil.copy(PATH.with_suffix(".onnx"), tmp_path)
    path = tmp_path / "model.onnx"
    assert check_sidecar(path) is None
    write_sidecar(path, Origin(name="foreign"))
    sidecar = check_sidecar(path)
    assert (sidecar.name, sidecar.pooling, sidecar.label_name) == ("foreign", "mean", None)
    assert sidecar.read_calibration() is None
    with pytest.raises(InputError, match=r"model\.json: has no label; export the model again"):
        check_sidecar(path, complete=True)


def test_undefined_metrics_are_null(description, tmp_path):
    description["training"]["metrics"]["loso"]["krocc"] = None
    path = tmp_path / "model.json"
    path.write_text(json.dumps(description))
    sidecar = read_sidecar(path)
    assert np.isnan(sidecar.training.metrics.loso.krocc)
    shutil.copy(PATH.with_suffix(".onnx"), tmp_path)
    write_sidecar(tmp_path / "model.onnx", sidecar)
    assert json.loads(path.read_text()) == description


DAMAGE = [
    (lambda e: e.clear(), r"has no calibration\.n_clips"),
    (lambda e: e.update(n_clips=0), r"calibration\.n_clips is 0: .* greater than 0"),
    (lambda e: e.update(n_sources=e["n_clips"] + 1), "n_sources exceeds n_clips"),
    (lambda e: e.update(n_clips=2.5), r"calibration\.n_clips is 2\.5: .* integer"),
    (lambda e: e.update(n_clips=True), r"calibration\.n_clips is True: .* integer"),
    (lambda e: e.update(quantile=e["quantile"][:-1]), "at least 500 items"),
    (lambda e: e["quantile"].__setitem__(3, 1e9), "quantile falls"),
    (lambda e: e.update(quantile=[1e300] * 500), "its errors exceed the scale of 100 points"),
    (lambda e: e["difficulty"].__setitem__(3, 1e9), "its errors exceed the scale of 100 points"),
    (lambda e: e["region"]["mean"].__setitem__(5, 1e9), r"has a mean motion2 of 1e\+09"),
    (lambda e: e["region"]["mean"].__setitem__(0, -3.0), "has a mean adm2 of -3"),
    (lambda e: e["quantile"].__setitem__(3, float("nan")), r"calibration\.quantile\.3 is .*finite"),
    (lambda e: e["difficulty"].__setitem__(3, "7"), r"calibration\.difficulty\.3 is '7'"),
    (lambda e: e["difficulty"].__setitem__(0, -1.0), "greater than or equal to 0"),
    (lambda e: e.update(region=[]), r"calibration\.region is \[\]"),
    (lambda e: e["region"].pop("limit"), r"has no calibration\.region\.limit"),
    (lambda e: e["region"].update(limit=0), r"calibration\.region\.limit is 0"),
    (
        lambda e: e["region"].update(mean=[0.0], covariance=[[1.0]]),
        r"calibration\.region is not of 6 features",
    ),
    (lambda e: e["region"]["covariance"].pop(), "not square"),
    (lambda e: e["region"]["covariance"][0].__setitem__(0, -1.0), "not positive definite"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[message for _, message in DAMAGE])
def test_a_damaged_calibration_is_refused(description, damage, message, tmp_path):
    damage(description["calibration"])
    path = tmp_path / "model.json"
    path.write_text(json.dumps(description))
    with pytest.raises(InputError, match=rf"model\.json: .*{message}"):
        read_sidecar(path)


def test_one_source_and_levels_outside(calibration):
    profile = dataclasses.replace(calibration.profile, n_sources=1)
    with pytest.raises(InputError, match="calibrated on one source"):
        Calibration(profile, calibration.region).interval(50.0, 0.9, "tiny")
    for level in (0.0, 1.0, -0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="expected more than 0 and less than 1"):
            calibration.interval(50.0, level, "tiny")


def test_models_and_their_sidecars_are_written_together_or_not_at_all(tmp_path):
    """A full disk left a model without its sidecar."""
    origin = read_sidecar(Path("checkpoints/nano/model.json"))
    names = {"m.int8.onnx": "model.int8.onnx", "m.onnx": "model.onnx"}
    files = {tmp_path / "new" / k: Path("checkpoints/nano") / v for k, v in names.items()}
    largest = max(path.stat().st_size for path in files.values())
    refusal = pytest.raises(InputError, match=r"cannot write \(File too large\)")
    with full_disk(largest - 1), refusal:
        write_models(files, origin, reports={tmp_path / "new" / "m.parity.json": "{}"})
    assert list(tmp_path.iterdir()) == []
    write_models(files, origin)
    for path, source in files.items():
        assert path.read_bytes() == source.read_bytes()
        assert check_sidecar(path).onnx == path.name
    assert len(list((tmp_path / "new").iterdir())) == 4
