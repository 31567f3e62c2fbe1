"""A score is explained against the identical pair, in points and in words."""

import json

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import load_model
from vmaf_jax.scoring.explanation import explain_scores

ROWS = np.array([[0.9, 0.5, 0.8, 0.9, 0.95, 4.0], [1.0, 1.0, 1.0, 1.0, 1.0, 4.0]])


def test_contributions_lead_from_the_identical_pair_to_the_score():
    model = load_model("vmaf_v0.6.1")
    explanation = explain_scores(model, model.feature_set, ROWS)
    total = explanation.identical + explanation.contributions.sum(axis=1)
    np.testing.assert_allclose(total, model(ROWS), atol=1e-9)
    assert not explanation.contributions[:, -1].any()  # motion is the reference's
    np.testing.assert_allclose(explanation.contributions[1], 0, atol=1e-9)
    assert "detail loss (ADM)" in explanation.words(0)
    assert explanation.words(1).endswith("nothing is taken from it")


@pytest.fixture
def pair(encodes):
    return encodes / "ref.y4m", encodes / "dis.mp4"


def test_score_explains_the_mean_and_the_lowest_frame(pair, tmp_path):
    end = run_command("score", *pair, "--explain", "--json")
    result = json.loads(end.stdout)
    found = result["explanation"]
    mean = found["identical"] + sum(found["contributions"].values())
    assert abs(mean - result["score"]) < 1e-6
    lowest = found["lowest_frame"]
    points = lowest["identical"] + sum(lowest["contributions"].values())
    assert abs(points - result["statistics"]["min"]) < 1e-6
    page = tmp_path / "page.html"
    assert run_command("score", *pair, "--html", page, "--quiet").code == 0
    assert "Why it is low" in page.read_text()


def test_what_cannot_be_explained_is_refused(pair):
    for extra in (("--within", 1), ("--backend", "onnx")):
        assert run_command("score", *pair, "--explain", *extra).code == 2
