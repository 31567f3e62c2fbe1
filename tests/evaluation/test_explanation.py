"""Shapley values are those of the definition, and add up."""

import itertools
import json
import math
import re

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import load_model
from vmaf_jax.evaluation.explanation import MEANINGS, Reasons, explain_scores, shapley_values


def value(rows):
    """A function whose features interact."""
    a, b, c, d = rows.T
    return np.clip(a * b + np.sin(c) - 0.5 * d * a**2, -1, 1)


def test_values_are_means_over_all_orders_of_joining():
    rows, baseline = np.random.default_rng(0).uniform(-2, 2, (2, 5, 4))
    expected = np.zeros((5, 4))
    for order in itertools.permutations(range(4)):
        mixed = baseline.copy()
        for feature in order:
            before = value(mixed)
            mixed[:, feature] = rows[:, feature]
            expected[:, feature] += (value(mixed) - before) / math.factorial(4)
    shares = shapley_values(value, rows, baseline)
    np.testing.assert_allclose(shares, expected, atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), value(rows) - value(baseline), atol=1e-12)


def test_features_of_the_baseline_add_nothing_and_long_clips_are_taken_in_parts():
    rows = np.random.default_rng(1).uniform(-2, 2, (3000, 4))
    baseline = np.where(np.arange(4) == 2, rows, 1.0)
    shares = shapley_values(value, rows, baseline)
    assert not shares[:, 2].any()
    np.testing.assert_allclose(shares.sum(axis=1), value(rows) - value(baseline), atol=1e-12)
    assert not shapley_values(value, baseline, baseline).any()


ROWS = np.array([[0.9, 0.5, 0.8, 0.9, 0.95, 4.0], [1.0, 1.0, 1.0, 1.0, 1.0, 4.0]])


def test_contributions_lead_from_the_identical_pair_to_the_score():
    model = load_model("vmaf_v0.6.1")
    explanation = explain_scores(model, model.feature_set, ROWS)
    total = explanation.identical + explanation.contributions.sum(axis=1)
    np.testing.assert_allclose(total, model(ROWS), atol=1e-9)
    assert not explanation.contributions[:, -1].any()  # motion is the reference's
    np.testing.assert_allclose(explanation.contributions[1], 0, atol=1e-9)
    assert "detail loss (ADM)" in explanation.mean(0).words()
    assert explanation.mean(1).words().endswith("nothing is taken from it")
    assert explanation.mean(1).main_losses() == "nothing is taken from it"


def test_what_takes_at_least_half_as_much_as_the_largest_loss_is_named():
    points = {
        "adm2": -3.0,
        "vif_scale0": -6.0,
        "vif_scale1": -2.9,
        "vif_scale2": 1.0,
        "motion2": 0.0,
    }
    expected = "information lost at the finest scale, detail loss"
    assert Reasons(99.0, points).main_losses() == expected


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
    text = page.read_text()
    assert "VIF 0: information lost at the finest scale;" in text
    (row,) = re.findall(r"<tr><td>1: [^<]*, mean</td><td>([\d.]+)</td><td>([^<]*)</td>", text)
    assert row[0] == f"{result['score']:.1f}"
    largest = min(found["contributions"], key=found["contributions"].get)
    assert row[1].startswith(MEANINGS[largest].loss)


def test_what_cannot_be_explained_is_refused(pair):
    for extra in (("--within", 1), ("--backend", "onnx")):
        assert run_command("score", *pair, "--explain", *extra).code == 2
