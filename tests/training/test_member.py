"""What draws a training beside its rows: priors of experiments, the anchor, trust in a clip."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from tests.training.support import members_of
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.training import ClipRows, TrainingSettings, make_rows, train_members
from vmaf_jax.training.batches import BatchSource, MemberRows, drawn_rows
from vmaf_jax.training.member import apply_effects, with_effects, without_effects

# All clips look alike, so that a student can say one score of them, and the best is known.
CONSTANT = {"steps": 300, "weight_decay": 0.0, "learning_rate": 3e-2}


def trained(
    targets,
    *,
    experiment=None,
    weight=None,
    start=None,
    features=None,
    log_distance=None,
    **settings,
):
    n = len(targets)
    chosen = TrainingSettings(**(CONSTANT | settings))
    if features is None:
        features = np.full((n, 1, 6), 0.7, np.float32)
    clips = ClipRows(
        frames=np.ones((n, 1), np.float32),
        weight=np.ones(n, np.float32) if weight is None else np.asarray(weight, np.float32),
        experiment=np.zeros((n, 0), np.float32) if experiment is None else experiment,
        log_distance=np.zeros(n, np.float32) if log_distance is None else log_distance,
    )
    student = Student("nano", dropout=0.0, knows_distance=log_distance is not None)
    source = np.zeros(n, np.int32)
    rows = make_rows(features, np.asarray(targets, np.float32), source, 1, clips, start)
    members = members_of(rows, np.ones((1, 1), bool))
    if start is not None:
        scaler = {name: np.asarray(value)[None] for name, value in start["scaler"].items()}
        members = members._replace(scaler=scaler)
    result = train_members(
        rows, members, None, student=student, settings=chosen, feature_set=FEATURES
    )
    return student, result.member(0), result.losses[0]


def says(student, variables):
    return float(student.predict(variables, jnp.full((1, 6), 0.7))[0])


def best_score(targets, number):
    """The score at which squared error and priors are least, found by SciPy.

    Head units of 25 points about 50; standard deviations of 0.2 for offsets, 0.1 for gains and
    0.56 for a clip's error.
    """
    y = (np.asarray(targets) - 50) / 25

    def cost(values):
        offset, gain = values[1:3], values[3:]
        error = values[0] * (1 + gain[number]) + offset[number] - y
        prior = np.sum((offset / 0.2) ** 2) + np.sum((gain / 0.1) ** 2)
        return np.mean(error**2) + 0.56**2 * prior / len(y)

    return 50 + 25 * scipy.optimize.minimize(cost, np.zeros(5), tol=1e-12).x[0]


def test_experiments_differ_by_an_offset_and_a_gain_that_are_dropped_in_use():
    targets, number = [85.0] * 9 + [60.0] * 3, np.repeat([0, 1], [9, 3])
    experiment = np.eye(2, dtype=np.float32)[number]
    student, variables, _ = trained(targets, experiment=experiment, experiment_effects=True)
    expected = best_score(targets, number)
    assert expected < np.mean(targets) - 1  # nearer to the mean of the two laboratories
    assert says(student, variables) == pytest.approx(expected, abs=0.02)
    student, variables, _ = trained(targets)
    assert says(student, variables) == pytest.approx(np.mean(targets), abs=0.02)


def test_clips_count_by_their_weights():
    student, variables, _ = trained([40.0] * 4 + [60.0] * 8, weight=[2.0] * 4 + [0.5] * 8)
    assert says(student, variables) == pytest.approx((2 * 40 + 60) / 3, abs=0.02)


def test_clips_drawn_for_a_step_keep_their_weights():
    number = jnp.arange(20.0)
    clips = ClipRows(jnp.ones((20, 1)), 0.5 + number, jnp.zeros((20, 0)), jnp.zeros(20))
    rows = make_rows(np.ones((20, 1, 6)), np.asarray(number), np.zeros(20, np.int32), 1, clips)
    own = MemberRows(rows, jnp.ones(1))
    source = BatchSource(own, jnp.ones(6), jax.random.key(0), lambda scores: scores, None)
    batch = drawn_rows(3, 50).draw(source, jnp.int32(0), jnp.int32(0))(jnp.int32(1))
    assert len(set(batch.labels.tolist())) > 5
    np.testing.assert_array_equal(batch.weight, 0.5 + batch.labels)


def test_the_anchor_is_the_squared_distance_from_the_start():
    """Adam's first step moves every parameter by the rate, whatever its gradient's size."""
    rng = np.random.default_rng(0)
    features, targets = rng.uniform(0, 1, (16, 1, 6)).astype(np.float32), rng.uniform(0, 100, 16)
    student = Student("nano", dropout=0.0, activation="silu")
    fresh = student.init(jax.random.key(3))
    scaler = {"mean": jnp.full(6, 0.5), "inv_std": jnp.full(6, 3.0)}
    start = {"params": fresh["params"], "scaler": scaler}
    rate, weight = 1e-2, 3.0
    how = {"features": features, "start": start, "steps": 2, "warmup_fraction": 0.0}
    free, anchored = (
        trained(targets, anchor=anchor, learning_rate=rate, **how)[2] for anchor in (0.0, weight)
    )
    n_parameters = sum(leaf.size for leaf in jax.tree.leaves(fresh["params"]))
    assert anchored[0] == free[0]
    assert anchored[1] - free[1] == pytest.approx(weight * n_parameters * rate**2, rel=0.02)


def test_the_gain_of_viewing_distance_is_learnt():
    """Clips of one look whose votes rise with the distance, as a gain of 0.8 would have it."""
    away = np.log(np.tile([1.0, 2.0, 3.0], 8)).astype(np.float32)
    targets = 40 + 0.8 * away * 40 * 60 / 100
    student, variables, _ = trained(targets, log_distance=away)
    assert float(student.distance_gain(variables["params"])) == pytest.approx(0.8, abs=0.02)
    assert says(student, variables) == pytest.approx(40, abs=0.3)


def test_hubers_loss_bounds_the_pull_of_wrong_labels():
    targets = [60.0] * 9 + [0.0]
    student, variables, _ = trained(targets, loss="huber")
    # Nine pull by 2 e each, one by its kink of 12.5 points: e = 12.5 / 9.
    assert says(student, variables) == pytest.approx(60 - 12.5 / 9, abs=0.05)
    student, variables, _ = trained(targets)
    assert says(student, variables) == pytest.approx(54, abs=0.05)


def test_effects_begin_without_an_effect_and_are_dropped_in_use():
    clips = ClipRows(np.ones((3, 1)), np.ones(3), np.eye(3)[:, :2], np.zeros(3))
    params = with_effects({"own": np.ones(2)}, clips)
    outputs = jnp.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(apply_effects(params, outputs, clips), outputs)
    assert without_effects(params).keys() == {"own"}
    assert with_effects({"own": 1}, None) == {"own": 1}
