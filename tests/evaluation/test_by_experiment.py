"""Every test apart: figures by a plain loop, and verdicts that tell better from as good."""

import numpy as np
import pytest

from vmaf_jax.evaluation.by_experiment import (
    Experiments,
    agree_by_experiment,
    best_models,
    judge_by_experiment,
    mean_bias,
)
from vmaf_jax.evaluation.opinions import Opinions
from vmaf_jax.reporting.card import experiment_lines


def case():
    rng = np.random.default_rng(0)
    n = 160
    mos = rng.uniform(10, 90, n)
    opinions = Opinions.of(mos, np.repeat([f"s{k}" for k in range(8)], 20), np.tile(["x", "y"], 80))
    offset = np.where(opinions.experiment == "x", 10.0, -4.0)
    models = {
        "good": mos + offset + rng.normal(0, 3, n),
        "bad": 20 + 0.5 * mos + rng.normal(0, 12, n),
        "worst": rng.uniform(0, 100, n),
    }
    return models, opinions


def test_figures_of_each_test():
    models, opinions = case()
    entries = agree_by_experiment(models, opinions)
    assert [(e.experiment, e.model) for e in entries][:2] == [("x", "good"), ("x", "bad")]
    rows = opinions.experiment == "x"
    error = models["good"][rows] - opinions.mos[rows]
    assert entries[0].bias == pytest.approx(error.mean())
    assert entries[0].rmse == pytest.approx(np.sqrt(np.mean(error**2)))
    line = np.polyfit(models["good"][rows], opinions.mos[rows], 1)
    left = np.polyval(line, models["good"][rows]) - opinions.mos[rows]
    assert entries[0].rmse_mapped == pytest.approx(np.sqrt(np.mean(left**2)))
    assert mean_bias(entries, "good") == pytest.approx(7, abs=1)
    assert best_models(models, opinions, 2) == ["good", "bad"]


def test_verdicts_are_over_sources_and_after_lines():
    models, opinions = case()
    rivals = {name: models[name] for name in ("bad", "worst")}
    for verdict in judge_by_experiment(models["good"], rivals, opinions):
        assert (verdict.word, verdict.rival) == ("better", "bad")
        assert verdict.p_value < 0.05
    worse = judge_by_experiment(models["bad"], {"good": models["good"]}, opinions)
    assert {verdict.word for verdict in worse} == {"worse"}
    same = judge_by_experiment(models["good"], {"good": models["good"] + 5}, opinions)
    assert {verdict.word for verdict in same} == {"as good"}


def test_a_card_shows_every_test_in_votes():
    models, opinions = case()
    rivals = {"bad": models["bad"]}
    experiments = Experiments(
        "good",
        agree_by_experiment({"good": models["good"]} | rivals, opinions),
        judge_by_experiment(models["good"], rivals, opinions),
    )
    text = "\n".join(experiment_lines(experiments, (1.0, 5.0)))
    assert "| x | good | 80 |" in text
    assert "is 0.2" in text  # 7 points
    assert "- y: good is better after lines" in text
    assert experiment_lines(None, (1.0, 5.0)) == []
