"""Clips as the process of votes takes them."""

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURES, NEG_FEATURES
from vmaf_jax.scoring.measured_clips import check_calibratable, load_process, logistic_of
from vmaf_jax.scoring.model import Model


def model(label=None, feature_set=FEATURES):
    return Model("m", "onnx", feature_set, lambda rows: np.zeros(len(rows)), label=label)


def test_the_shipped_process_maps_scores_of_vmaf_to_votes():
    process = load_process()
    logistic = logistic_of(model(label="vmaf_4k_v0.6.1"), process)
    assert (np.diff(logistic(np.linspace(0, 100, 9))) > 0).all()
    assert logistic_of(model(label="mos"), process) is None
    with pytest.raises(InputError, match="known only of"):
        logistic_of(model(label="psnr"), process)


def test_models_of_other_features_cannot_be_calibrated():
    check_calibratable(model())
    with pytest.raises(InputError, match="cannot be calibrated"):
        check_calibratable(model(feature_set=NEG_FEATURES))
