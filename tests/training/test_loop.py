import itertools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.teacher import load_teacher
from vmaf_jax.training import Rows, TrainingSettings, loso_masks, make_members, train_members
from vmaf_jax.training.masks import masked_scaler, source_folds, source_masks
from vmaf_jax.training.optimisers import make_optimiser
from vmaf_jax.training.sharding import members_that_fit

SHORT = {"steps": 60}
QUERIES = {"strategy": "teacher_queries", "batch_size": 64, "learning_rate": 1e-2}

LEAST_SQUARES = QUERIES | {"optimiser": "levenberg_marquardt", "steps": 6}


def problem(table):
    teacher = load_teacher("vmaf_v0.6.1")
    rows = Rows(
        jnp.asarray(table.features, jnp.float32),
        jnp.asarray(teacher(table.features, clip=False), jnp.float32),
    )
    return rows, *loso_masks(table.source)


def run(rows, masks, teacher=None, network="nano", dropouts=(0.1,), **settings):
    """Trained; dropouts that differ are told to the members, one is a constant of the program."""
    chosen = TrainingSettings(**(SHORT | settings))
    network = "rbf" if chosen.optimiser == "levenberg_marquardt" else network
    student = Student(network, chosen.head, dropout=dropouts[0])
    rates = None if len(set(dropouts)) == 1 else dropouts
    heats = [chosen.temperature] * len(dropouts)
    members = make_members(masks, list(chosen.seeds), heats, dropouts=rates)
    return train_members(
        rows, members, teacher, student=student, settings=chosen, feature_set=FEATURES
    )


def same(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def test_every_seed_is_a_training_of_its_own(support_vectors):
    rows, _, masks = problem(support_vectors)
    together = run(rows, masks[:1], seeds=(0, 1, 2), steps=5)
    for one, other in itertools.combinations(range(3), 2):
        assert not same(together.member(one), together.member(other))


def test_masks_hold_out_one_source_each(support_vectors):
    names, masks = loso_masks(support_vectors.source)
    assert names == support_vectors.sources
    assert (~masks).sum(axis=0).tolist() == [1] * len(support_vectors)


@hypothesis.given(
    st.lists(st.integers(1, 50), min_size=2, max_size=30),
    st.data(),
    st.randoms(use_true_random=False),
)
def test_folds_hold_whole_sources_of_about_as_many_rows(sizes, data, random):
    n_folds = data.draw(st.integers(2, len(sizes)))
    rows = [f"s{k:02}" for k, size in enumerate(sizes) for _ in range(size)]
    folds = source_folds(np.array(rows, object), n_folds)
    random.shuffle(rows)
    source = np.array(rows, object)
    assert source_folds(source, n_folds) == folds  # whatever the order of the rows
    assert sorted(name for fold in folds for name in fold) == sorted(set(rows))
    held_out = ~source_masks(source, folds)
    assert (held_out.sum(axis=0) == 1).all()
    for fold, mask in zip(folds, held_out, strict=True):
        assert set(source[mask]) == set(fold)
        assert fold
    n_rows = held_out.sum(axis=1)
    assert n_rows.max() - n_rows.min() <= max(sizes)


def test_scaler_sees_the_mask_only(support_vectors):
    rows, _, masks = problem(support_vectors)
    scaler = masked_scaler(rows.features, jnp.asarray(masks[3], jnp.float32))
    training_rows = np.asarray(rows.features)[masks[3]]
    np.testing.assert_allclose(scaler["mean"], training_rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scaler["inv_std"], 1 / training_rows.std(axis=0), rtol=1e-4)


def test_a_constant_feature_is_left_as_it_is():
    x = jnp.array([[0.5, 1.0], [0.5, 3.0]])
    assert masked_scaler(x, jnp.ones(2))["inv_std"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("settings", "queries"),
    [
        ({}, False),
        ({"loss": "kl"}, False),
        ({"batch_size": 32}, False),
        (QUERIES, True),
        (LEAST_SQUARES, True),
    ],
    ids=["squared_error", "kl", "batches", "teacher_queries", "least_squares"],
)
@pytest.mark.parametrize("poison", [np.nan, pytest.param(1e6, marks=pytest.mark.slow)])
def test_nothing_of_the_held_out_source_enters(support_vectors, settings, queries, poison):
    rows, _, masks = problem(support_vectors)
    teacher = load_teacher("vmaf_v0.6.1").params() if queries else None
    held_out = jnp.asarray(~masks[5])
    poisoned = Rows(
        jnp.where(held_out[:, None], poison, rows.features),
        jnp.where(held_out, poison, rows.targets),
    )
    clean = run(rows, masks[4:7], teacher, **settings)
    other = run(poisoned, masks[4:7], teacher, **settings)
    assert same(clean.member(1), other.member(1))  # its fold: bit for bit
    assert not same(clean.member(0), other.member(0))  # its neighbours do see it


@pytest.mark.parametrize(
    ("network", "settings", "queries"),
    [
        ("nano", {"loss": "kl"}, False),
        ("nano", QUERIES, True),
        ("tiny", {}, False),
        ("rbf", {}, False),
        ("rbf", LEAST_SQUARES, True),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ("nano", {}, False),
                ("nano", LEAST_SQUARES, True),
                ("tiny", {"loss": "kl"}, False),
                ("tiny", QUERIES, True),
                ("tiny", LEAST_SQUARES, True),
                ("rbf", {"loss": "kl"}, False),
                ("rbf", QUERIES, True),
            ]
        ),
    ],
)
def test_a_fold_among_others_equals_the_fold_alone(support_vectors, network, settings, queries):
    rows, _, masks = problem(support_vectors)
    teacher = load_teacher("vmaf_v0.6.1").params() if queries else None
    every = run(rows, masks, teacher, network, **settings)
    alone = run(rows, masks[7:8], teacher, network, **settings)
    assert same(every.member(7), alone.member(0))  # bit for bit, where 1e-5 would do


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("nano", {}),
        pytest.param("nano", {"loss": "kl"}, marks=pytest.mark.slow),
        pytest.param("nano", {"batch_size": 32}, marks=pytest.mark.slow),
        pytest.param("tiny", {}, marks=pytest.mark.slow),
    ],
)
def test_dropouts_are_told_to_members_of_one_program(support_vectors, network, settings):
    rows, _, masks = problem(support_vectors)
    dropouts = (0.5, 0.0, 0.1)
    together = run(rows, masks[:3], network=network, dropouts=dropouts, **settings)
    for k, dropout in enumerate(dropouts):
        constant = run(rows, masks[:3], network=network, dropouts=(dropout,) * 3, **settings)
        own = slice(3 * k, 3 * k + 3)
        if dropout == 0:  # bit for bit, though that program draws no masks
            for member in range(3 * k, 3 * k + 3):
                assert same(together.member(member), constant.member(member))
            assert same(together.losses[own], constant.losses[own])
        np.testing.assert_allclose(together.losses[own], constant.losses[own], rtol=1e-3)
    assert np.abs(together.losses[:3] - together.losses[6:]).max() > 0.01


def test_groups_that_fit_the_memory_train_the_same_members(support_vectors, monkeypatch):
    rows, _, masks = problem(support_vectors)
    together = run(rows, masks[:9])
    monkeypatch.setenv("VMAF_JAX_MAX_TRAINING_BYTES", "1")  # two members a device
    apart = run(rows, masks[:9])
    assert together.groups.shape[0] == 1
    assert apart.groups.shape == (-(-9 // (2 * jax.device_count())), 2 * jax.device_count())
    assert same((together.variables, together.losses), (apart.variables, apart.losses))


@pytest.mark.parametrize("n_members", [2, 3, 10, 207])
def test_groups_are_few_and_fit(n_members):
    assert members_that_fit(n_members, 100, 100) == n_members
    for allowed in (1, 30, 99):
        most = members_that_fit(n_members, 100, allowed)
        assert most == 2 or most * 100 <= allowed * n_members


def test_same_seed_same_bits_other_seed_other_bits(support_vectors):
    rows, _, masks = problem(support_vectors)
    first = run(rows, masks[:2])
    assert same(first.variables, run(rows, masks[:2]).variables)
    assert not same(first.variables, run(rows, masks[:2], seeds=(1,)).variables)


def test_members_nest_seeds_temperatures_folds():
    masks = np.array([[True, False], [False, True]])
    members = make_members(masks, [0, 1], [1.0, 4.0])
    assert members.temperature.tolist() == [1, 1, 4, 4, 1, 1, 4, 4]
    assert members.mask[:, 0].tolist() == [1, 0] * 4
    keys = jax.random.key_data(members.key)
    assert (keys[:4] == keys[0]).all()
    assert (keys[4:] != keys[0]).any(axis=1).all()


def test_queries_need_a_teacher_and_a_number(support_vectors):
    rows, _, masks = problem(support_vectors)
    with pytest.raises(ValueError, match="pass the teacher's parameters"):
        run(rows, masks[:1], **QUERIES)
    with pytest.raises(ValueError, match="needs a batch_size"):
        TrainingSettings(strategy="teacher_queries")


def test_training_learns(support_vectors):
    rows, _, masks = problem(support_vectors)
    trained = run(rows, masks[:1], steps=300)
    assert trained.losses[0, -1] < trained.losses[0, 0] / 100


def test_biases_do_not_decay():
    optimiser = make_optimiser(TrainingSettings(steps=10, weight_decay=0.5, warmup_fraction=0))
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    state = optimiser.init(params)
    updates, _ = optimiser.update(jax.tree.map(jnp.zeros_like, params), state, params)
    assert (updates["bias"] == 0).all()
    assert (updates["kernel"] < 0).all()
