"""Sweeps: every combination, in few programs; ranked; interrupted and taken up again."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.cards import card_from_files
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.jobs.train import train
from vmaf_jax.models import Student
from vmaf_jax.progress import NullProgress
from vmaf_jax.reporting.evaluation_tables import show_sweep
from vmaf_jax.runs.config import Config
from vmaf_jax.runs.fit import Point, fit_folds, fit_points, programs_of
from vmaf_jax.runs.problem import load_problem
from vmaf_jax.runs.run_folder import open_run
from vmaf_jax.runs.sweep import combinations, load_combinations, ranked
from vmaf_jax.training import TrainingSettings

SWEEP = {"training.learning_rate": [0.02, 0.002], "student.activation": ["silu", "relu"]}
CONFIG = Config(
    name="swept",
    student={"network": "nano", "dropout": 0.0},
    training={"steps": 40, "folds": 3, "seeds": [0, 1]},
    sweep=SWEEP,
)


class StoppedError(Exception):
    """The job ends here."""


@dataclasses.dataclass
class Told(NullProgress):
    """A report that remembers, and stops the job at a line."""

    stop: str = "never"
    lines: list = dataclasses.field(default_factory=list)

    def say(self, text):
        self.lines.append(text)
        if text.startswith(self.stop):
            raise StoppedError


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "swept"
    report = Told("program 1 of 2")
    with pytest.raises(StoppedError):
        train(CONFIG, folder, progress=report)
    assert not folder.exists()
    report = Told()
    return train(CONFIG, folder, progress=report), report.lines


def test_a_stopped_sweep_goes_on_with_its_unfinished_programs(swept, tmp_path):
    run, lines = swept
    assert sum("done before" in line for line in lines) == 1
    assert not run.path.with_name("swept.state").exists()
    straight = train(CONFIG, tmp_path / "swept")
    for name in ("sweep.json", "sweep.parquet", "folds.parquet", "model.onnx", "log.jsonl"):
        assert (run.path / name).read_bytes() == (straight.path / name).read_bytes()


def test_points_are_ranked_and_the_first_is_the_run(swept, capsys):
    run, _ = swept
    points = json.loads((run.path / "sweep.json").read_text())["points"]
    assert [p["rank"] for p in points] == [1, 2, 3, 4]
    errors = [p["metrics"]["rmse"] for p in points]
    assert errors == sorted(errors)
    assert len({json.dumps(p["settings"]) for p in points}) == 4
    assert points[0]["above_best"] is None
    for p in points[1:]:
        assert p["above_best"] == pytest.approx(p["metrics"]["rmse"] - errors[0])
        low, high = p["above_best_interval"].values()
        assert low < p["above_best"] < high
    best = open_run(run.path).config
    assert not best.sweep
    assert best.training.learning_rate == points[0]["settings"]["training.learning_rate"]
    assert best.student.activation == points[0]["settings"]["student.activation"]
    every = pq.read_table(run.path / "sweep.parquet").to_pydict()
    own = np.array(every["point"]) == points[0]["point"]
    held_out = read_held_out(run.path / "folds.parquet")
    np.testing.assert_array_equal(np.array(every["predicted"])[own], held_out.predicted)
    card = (run.path / "card.md").read_text()
    assert "the best of 4 combinations" in card
    assert card_from_files(run.path) == card
    show_sweep(run.sweep)
    assert "above" in capsys.readouterr().out


def test_a_point_is_what_its_own_training_gives(swept):
    run, _ = swept
    settings, lone = combinations(CONFIG)[3]
    assert settings == {"training.learning_rate": 0.002, "student.activation": "relu"}
    problem = load_problem(lone.data, folds=3)
    alone = fit_folds(problem, lone.make_student(), lone.training)
    # Rates of members are told to the program and no constants in it, so they round otherwise.
    np.testing.assert_allclose(
        run.sweep.held_out[3].predicted, alone.held_out(problem).predicted, atol=1e-3
    )
    assert np.abs(run.sweep.held_out[1].predicted - run.sweep.held_out[3].predicted).max() > 0.1


def test_only_other_shapes_make_other_programs():
    def point(dropout=0.0, **settings):
        student = dataclasses.replace(CONFIG.make_student(), dropout=dropout)
        return Point("p", student, TrainingSettings(**settings))

    points = [
        point(temperature=2.0),
        point(steps=10),
        point(learning_rate=0.1),
        point(weight_decay=0.0),
        point(steps=10, temperature=4.0),
        point(seeds=(1,)),
        point(dropout=0.1),
        dataclasses.replace(point(), student=Student("tiny", dropout=0.0)),
    ]
    assert programs_of(points) == [[0, 2, 3, 6], [1, 4], [5], [7]]


def test_dropouts_are_members_and_each_fit_is_of_its_own_student():
    sweep = {"student.dropout": [0.0, 0.3]}
    config = CONFIG.model_copy(update={"sweep": sweep})
    report = Told()
    tried = load_combinations([config], report)
    fits = fit_points(tried.points, tried.problems, progress=report)
    assert sum(line.startswith("program 1 of 1") for line in report.lines) == 1
    assert [fit.student.dropout for fit in fits] == [0.0, 0.3]
    (problem,) = tried.problems.values()
    for fit, variant in zip(fits, tried.configs, strict=True):
        alone = fit_folds(problem, variant.make_student(), variant.training)
        np.testing.assert_allclose(fit.predicted, alone.predicted, atol=1e-3)
    assert np.abs(fits[0].predicted - fits[1].predicted).max() > 0.1


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"training.step": [1]}, r"sweep at training.step=1: unknown key 'training.step'"),
        ({"training.steps": [0]}, r"sweep at training.steps=0: training.steps is 0"),
        ({"training.loss": ["kl"], "training.optimiser": ["levenberg_marquardt"]}, "squared_error"),
        ({"name": ["a"]}, "'name' cannot be tried"),
        ({"training.steps.x": [1]}, "steps holds no keys"),
        ({"training.steps": list(range(1, 1002))}, "1001 combinations, at most 1000"),
    ],
)
def test_bad_sweeps_name_the_setting(sweep, message, tmp_path):
    config = Config(name="x", sweep=sweep)
    with pytest.raises(InputError, match=message):
        train(config, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_point_that_diverged_comes_last(swept):
    rows = swept[0].sweep.held_out[0]
    diverged = dataclasses.replace(rows, predicted=np.full_like(rows.predicted, np.nan))
    settings = [{"training.learning_rate": rate} for rate in (1.0, 0.02)]
    table = ranked(settings, [1, 1], [diverged, rows], same_rows=True)
    assert [point.point for point in table.points] == [1, 0]
    assert np.isnan(table.points[1].metrics.rmse)
