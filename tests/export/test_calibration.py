import copy
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.conformal import pool_held_out
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.export.sidecar import Calibration, read_calibration
from vmaf_jax.runs.conclude import calibration_of

PATH = Path("checkpoints/tiny/model.json")
FILES = ("folds", "external_demo")


@pytest.fixture
def description():
    return json.loads(PATH.read_text())


def test_the_shipped_one_is_of_the_saved_predictions(description, support_vectors):
    folder = PATH.parent
    rows = read_held_out(folder / "folds.parquet")
    external = {"demo": read_held_out(folder / "external_demo.parquet")}
    made = calibration_of(rows, external, support_vectors, "mean")
    read = read_calibration(description, 6, PATH)
    assert made.profile.n_sources == read.profile.n_sources == 23 + 9
    assert made.profile.n_clips == read.profile.n_clips == 211 + 72
    np.testing.assert_allclose(made.profile.quantile, read.profile.quantile, atol=1e-6)
    np.testing.assert_allclose(made.profile.difficulty, read.profile.difficulty, atol=1e-6)
    assert made.region.limit == pytest.approx(read.region.limit, rel=1e-6)
    assert read.to_dict() == description["calibration"]


def test_clips_of_frames_are_their_means():
    folds, external = (read_held_out(PATH.parent / f"{n}.parquet") for n in FILES)
    of_clip = (external.source == "rocket") & (external.clip == "av1_crf54")
    residuals = pool_held_out(folds, {"demo": external}, "mean")
    error = np.abs(residuals.predicted - external.predicted[of_clip].mean())
    assert error.min() <= 1e-6
    assert residuals.label[error.argmin()] == pytest.approx(external.label[of_clip].mean())


def test_a_sidecar_without_one_has_none():
    assert read_calibration({}, 6, PATH) is None


def nothing(entry):
    entry.clear()


DAMAGE = [
    (nothing, "no 'region'"),
    (lambda e: e.update(n_clips=0), "not counts"),
    (lambda e: e.update(n_sources=e["n_clips"] + 1), "not counts"),
    (lambda e: e.update(n_clips=2.5), "not counts"),
    (lambda e: e.update(n_clips=True, n_sources="1"), "n_clips or n_sources is not numbers"),
    (lambda e: e.update(quantile=e["quantile"][:-1]), "quantile is not 500 numbers"),
    (lambda e: e["quantile"].__setitem__(3, 1e9), "quantile falls"),
    (lambda e: e["quantile"].__setitem__(3, float("nan")), "not finite"),
    (lambda e: e["difficulty"].__setitem__(3, "7"), "difficulty is not numbers"),
    (lambda e: e["difficulty"].__setitem__(0, -1.0), "difficulty is not 41 numbers from 0"),
    (lambda e: e.update(region=[]), "no record"),
    (lambda e: e["region"].pop("limit"), "no 'limit'"),
    (lambda e: e["region"].update(limit=0), "limit is not above 0"),
    (lambda e: e["region"].update(mean=[0.0]), "not of 6 features"),
    (lambda e: e["region"]["covariance"][0].__setitem__(0, -1.0), "not positive definite"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE, ids=[message for _, message in DAMAGE])
def test_a_damaged_one_is_refused(description, damage, message):
    damaged = copy.deepcopy(description)
    damage(damaged["calibration"])
    with pytest.raises(InputError, match=rf"model.json: its calibration is damaged.*({message})"):
        read_calibration(damaged, 6, PATH)


def test_one_source_and_levels_outside(description):
    read = read_calibration(description, 6, PATH)
    profile = dataclasses.replace(read.profile, n_sources=1)
    with pytest.raises(InputError, match="calibrated on one source"):
        Calibration(profile, read.region).interval(50.0, 0.9, "tiny")
    for level in (0.0, 1.0, -0.1, 1.5, float("nan")):
        with pytest.raises(InputError, match="expected more than 0 and less than 1"):
            read.interval(50.0, level, "tiny")
