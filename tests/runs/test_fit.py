"""Held-out predictions are of students that never saw the source, by whichever job they come."""

import dataclasses
import json

import numpy as np
import pytest

from tests.end_to_end.cards import card_from_files
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.train import train
from vmaf_jax.models import Student
from vmaf_jax.runs.config import Config, DataConfig
from vmaf_jax.runs.fit import fit_folds
from vmaf_jax.runs.problem import load_problem
from vmaf_jax.training import TrainingSettings

SETTINGS = TrainingSettings(steps=40, seeds=(0, 3))
STUDENT = Student("nano", dropout=0.0)


@pytest.fixture(scope="module")
def problem():
    return load_problem(DataConfig())


@pytest.fixture(scope="module")
def grouped():
    return load_problem(DataConfig(), folds=4)


def poisoned(problem, *sources):
    """The same rows, but what the rows of these sources teach is nonsense."""
    rows = np.isin(problem.table.source, sources)
    return dataclasses.replace(problem, target=np.where(rows, 1e3, problem.target))


def by_fit(problem):
    return fit_folds(problem, STUDENT, SETTINGS).predicted[0]


@pytest.fixture(scope="module")
def clean(problem):
    return fit_folds(problem, STUDENT, SETTINGS)


@pytest.fixture(scope="module")
def clean_grouped(grouped):
    return by_fit(grouped)


@pytest.fixture(scope="module")
def harmed_by(problem):
    """Fits by the source of which the rows were poisoned."""
    return {
        source: fit_folds(poisoned(problem, source), STUDENT, SETTINGS)
        for source in problem.sources[::11]
    }


def test_nothing_that_a_source_teaches_reaches_its_own_predictions(problem, clean, harmed_by):
    clean = clean.predicted[0]
    for source, fit in harmed_by.items():
        rows = problem.table.source == source
        harmed = fit.predicted[0]
        np.testing.assert_array_equal(harmed[:, rows], clean[:, rows])
        # Every other student did learn from it.
        others = [s for s in problem.sources if s != source]
        for other in others:
            assert (
                harmed[:, problem.table.source == other] != clean[:, problem.table.source == other]
            ).any()


def test_sources_of_one_fold_teach_its_student_nothing(problem, grouped, clean_grouped):
    assert grouped.sources == problem.sources
    assert len(grouped.masks) == 4
    clean = clean_grouped
    for fold in grouped.held_out_sources[:2]:
        rows = np.isin(grouped.table.source, fold)
        assert len(fold) > 1
        harmed = by_fit(poisoned(grouped, *fold))
        np.testing.assert_array_equal(harmed[:, rows], clean[:, rows])
        assert (harmed[:, ~rows] != clean[:, ~rows]).any()


def test_more_folds_than_sources_are_refused():
    with pytest.raises(InputError, match="has 23 sources and so at most as many folds"):
        load_problem(DataConfig(), folds=24)


def test_the_train_job_writes_those_predictions(problem, grouped, clean_grouped, tmp_path):
    settings = SETTINGS.model_copy(update={"folds": 4})
    config = Config(name="short", student={"network": "nano", "dropout": 0.0}, training=settings)
    run = train(config, tmp_path / "short")
    np.testing.assert_array_equal(run.held_out.predicted, clean_grouped.ravel())
    np.testing.assert_array_equal(run.held_out.seed, np.repeat([0, 3], len(problem.label)))
    np.testing.assert_array_equal(run.held_out.label, np.tile(problem.label, 2))
    assert [fold.source for fold in run.metrics.folds] == problem.sources * 2
    assert run.metrics.held_out_together == grouped.held_out_sources
    log = json.loads((run.path / "log.jsonl").read_text().splitlines()[0])
    assert list(log["loss"])[:5] == ["fold 1/0", "fold 2/0", "fold 3/0", "fold 4/0", "fold 1/3"]
    card = (run.path / "card.md").read_text()
    assert "Cross-validated in 4 folds of whole sources" in card
    assert f"from {2 * len(problem.label)} held-out predictions of clips of 23 sources" in card
    assert card_from_files(run.path) == card
    assert "They were held out in 4 folds." in (run.path / "report.html").read_text()


def test_the_final_student_learns_from_every_source(clean, harmed_by):
    for harmed in harmed_by.values():
        finals = (clean.final, harmed.final)
        kernels = [f["params"]["network"]["Dense_0"]["kernel"] for f in finals]
        assert (kernels[0] != kernels[1]).any()


def test_temperatures_and_seeds_keep_their_places(problem):
    settings = SETTINGS.model_copy(update={"loss": "kl"})
    student = Student("nano", "distribution", dropout=0.0)
    warmer = settings.model_copy(update={"temperature": 4.0})
    both = fit_folds(problem, student, settings, points=[settings, warmer])
    assert both.predicted.shape == (2, 2, len(problem.label))
    warm = settings.model_copy(update={"temperature": 4.0, "seeds": (3,)})
    alone = fit_folds(problem, student, warm)
    np.testing.assert_allclose(alone.predicted[0, 0], both.predicted[1, 1], atol=1e-3)
    assert np.abs(both.predicted[0] - both.predicted[1]).max() > 0.1
    assert np.abs(both.predicted[1, 0] - both.predicted[1, 1]).max() > 0.1


def test_students_learn_targets_and_are_judged_by_labels(problem, clean):
    relabelled = dataclasses.replace(problem, label=100 - problem.label)
    fit = fit_folds(relabelled, STUDENT, SETTINGS)
    np.testing.assert_array_equal(fit.predicted, clean.predicted)
    assert (fit.held_out(relabelled).label[:211] == relabelled.label).all()


def test_one_source_cannot_be_left_out(problem):
    rows = problem.table.source == problem.sources[0]
    lone = dataclasses.replace(problem, sources=problem.sources[:1], masks=problem.masks[:1])
    assert rows.any()
    with pytest.raises(InputError, match=r"1 source .* leaving one out needs at least two"):
        fit_folds(lone, STUDENT, SETTINGS)
