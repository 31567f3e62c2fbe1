"""Every kind of training: alone and among others, poisoned, stopped and taken up again."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.training.support import MemorySaver, StoppedError, members_of, same
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.teacher import load_teacher
from vmaf_jax.training import TrainingSettings, fold_masks, make_rows, train_members
from vmaf_jax.training.batches import Batch, permutation
from vmaf_jax.training.member import Keys
from vmaf_jax.training.optimisers import Objective, gradient_method
from vmaf_jax.training.sharding import deal_members, members_that_fit

QUERIES = {"strategy": "teacher_queries", "batch_size": 64, "learning_rate": 1e-2}
LEAST_SQUARES = QUERIES | {"optimiser": "levenberg_marquardt", "steps": 6}
EPOCHS = {
    "optimiser": "adam",
    "epochs": 4,
    "batch_size": 32,
    "learning_rate": 1e-3,
    "schedule": "constant",
}
KINDS = {
    "all rows": {},
    "kl": {"loss": "kl"},
    "drawn rows": {"batch_size": 32},
    "teacher queries": QUERIES,
    "least squares": LEAST_SQUARES,
    "epochs": EPOCHS,
}


@pytest.fixture(scope="module")
def data(support_vectors):
    teacher = load_teacher("vmaf_v0.6.1")
    sources, number = np.unique(support_vectors.source.astype(str), return_inverse=True)
    targets = np.asarray(teacher(support_vectors.features, clip=False))
    rows = make_rows(support_vectors.features, targets, number, len(sources))
    return rows, fold_masks(sources.tolist())


def run(rows, masks, network="nano", *, dropouts=(0.1,), saver=None, **settings):
    """Trained; dropouts that differ are told to the members, one is a constant of the program."""
    steps = {} if "epochs" in settings else {"steps": 60}
    chosen = TrainingSettings(**(steps | settings))
    network = "rbf" if chosen.optimiser == "levenberg_marquardt" else network
    student = Student(network, chosen.head, dropout=dropouts[0])
    own = None if len(set(dropouts)) == 1 else dropouts
    temperatures = [chosen.temperature] * len(dropouts)
    return train_members(
        rows,
        members_of(rows, masks, chosen.seeds, temperatures, dropouts=own),
        load_teacher("vmaf_v0.6.1").params() if chosen.strategy != "rows" else None,
        student=student,
        settings=chosen,
        feature_set=FEATURES,
        saver=saver,
    )


def poisoned(rows, source, value):
    own = rows.source == source
    return rows._replace(
        features=np.where(own[:, None], value, rows.features),
        targets=np.where(own, value, rows.targets),
    )


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("poison", [np.nan, pytest.param(1e6, marks=pytest.mark.slow)])
def test_nothing_of_the_held_out_source_enters(data, settings, poison):
    rows, masks = data
    clean = run(rows, masks[4:7], **settings)
    other = run(poisoned(rows, 5, poison), masks[4:7], **settings)
    assert same(clean.member(1), other.member(1))  # its fold: bit for bit
    assert not same(clean.member(0), other.member(0))  # its neighbours do see it


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("nano", KINDS["kl"]),
        ("nano", QUERIES),
        ("mlp", EPOCHS),
        ("tiny", {}),
        ("rbf", LEAST_SQUARES),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ("nano", {}),
                ("nano", LEAST_SQUARES),
                ("tiny", {"loss": "kl"}),
                ("tiny", QUERIES),
                ("rbf", {}),
                ("rbf", {"loss": "kl"}),
                ("rbf", QUERIES),
            ]
        ),
    ],
)
def test_a_fold_among_others_equals_the_fold_alone(data, network, settings):
    rows, masks = data
    every = run(rows, masks, network, **settings)
    alone = run(rows, masks[7:8], network, **settings)
    assert same(every.member(7), alone.member(0))
    assert same(every.losses[7], alone.losses[0])


@pytest.mark.parametrize(
    ("settings", "stops"),
    [
        ({}, (2, 7)),
        (EPOCHS, (1, 1)),
        (LEAST_SQUARES, (2,)),
        pytest.param(QUERIES, (2,), marks=pytest.mark.slow),
        pytest.param({"loss": "kl", "batch_size": 32}, (1,), marks=pytest.mark.slow),
    ],
    ids=["all rows", "epochs", "least squares", "queries", "kl batches"],
)
def test_a_stopped_training_ends_with_the_bits_of_one_that_never_saved(data, settings, stops):
    rows, masks = data
    masks = masks[: 2 * jax.device_count() + 1]  # two rounds
    keeper = MemorySaver()
    for stop in stops:
        keeper.left = stop
        with pytest.raises(StoppedError):
            run(rows, masks, saver=keeper, **settings)
    keeper.left = -1
    resumed, never_saved = run(rows, masks, saver=keeper, **settings), run(rows, masks, **settings)
    assert len(keeper.steps) > sum(stops) or settings is LEAST_SQUARES
    assert same(resumed.variables, never_saved.variables)
    assert same(resumed.losses, never_saved.losses)


def test_epochs_are_the_plain_loop(data):
    """Against one member in float64 and NumPy, with the order of rows and the start of ours."""
    rows, masks = data
    fold, settings = 3, TrainingSettings(**EPOCHS, seeds=(5,))
    student = Student("mlp", activation="relu", dropout=0.0, hidden=(8, 4))
    members = members_of(rows, masks, settings.seeds)
    trained = train_members(rows, members, student=student, settings=settings, feature_set=FEATURES)
    keys = Keys.of(jax.tree.map(lambda leaf: leaf[fold], members))
    layers = student.init(keys.weights)["params"]["network"]
    layers = [
        [np.asarray(layers[f"Dense_{k}"][name], float) for name in ("kernel", "bias")]
        for k in range(3)
    ]
    own = rows.source != fold
    x = rows.features[own]
    x, z = (x - x.mean(axis=0)) / x.std(axis=0), (rows.targets[own] - 50) / 25
    memory = [[(0.0 * leaf, 0.0 * leaf) for leaf in layer] for layer in layers]
    losses, t = [], 0
    for epoch in range(4):
        key = jax.random.fold_in(keys.batches, epoch)
        count = jnp.asarray(own.sum(), jnp.int32)
        order = np.asarray(permutation(key, count, jnp.arange(own.sum())))
        total = 0.0
        for first in range(0, len(order), 32):
            batch = order[first : first + 32]
            t += 1
            value, grads = gradients(layers, x[batch], z[batch])
            total += value * len(batch)
            for layer, memories, grad in zip(layers, memory, grads, strict=True):
                for k in range(2):
                    mean, square = memories[k]
                    mean = 0.9 * mean + 0.1 * grad[k]
                    square = 0.999 * square + 0.001 * grad[k] ** 2
                    memories[k] = mean, square
                    step = mean / (1 - 0.9**t) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
                    layer[k] = layer[k] - settings.learning_rate * step
        losses.append(total / len(order))
    # float32 over some 28 steps of Adam against float64.
    np.testing.assert_allclose(trained.losses[fold], losses, rtol=1e-4)
    network = trained.member(fold)["params"]["network"]
    for k, (kernel, bias) in enumerate(layers):
        np.testing.assert_allclose(network[f"Dense_{k}"]["kernel"], kernel, atol=1e-4)
        np.testing.assert_allclose(network[f"Dense_{k}"]["bias"], bias, atol=1e-4)


def gradients(layers, x, z):
    outputs = [x]
    for k, (kernel, bias) in enumerate(layers):
        h = outputs[-1] @ kernel + bias
        outputs.append(np.maximum(h, 0) if k < len(layers) - 1 else h)
    error = outputs[-1][:, 0] - z
    g, grads = 2 * error[:, None] / len(z), []
    for k in reversed(range(len(layers))):
        grads.append((outputs[k].T @ g, g.sum(axis=0)))
        g = (g @ layers[k][0].T) * (outputs[k] > 0)
    return np.mean(error**2), grads[::-1]


def test_unsorted_rows_train_as_sorted_ones(data):
    rows, masks = data
    order = np.random.default_rng(0).permutation(len(rows.targets))
    again = make_rows(rows.features[order], rows.targets[order], rows.source[order], len(masks))
    assert (np.diff(again.source) >= 0).all()
    assert again.counts.tolist() == rows.counts.tolist()


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("nano", {}),
        pytest.param("nano", {"loss": "kl"}, marks=pytest.mark.slow),
        pytest.param("tiny", {}, marks=pytest.mark.slow),
    ],
)
def test_dropouts_are_told_to_members_of_one_program(data, network, settings):
    rows, masks = data
    dropouts = (0.5, 0.0, 0.1)
    together = run(rows, masks[:3], network, dropouts=dropouts, **settings)
    for k, dropout in enumerate(dropouts):
        constant = run(rows, masks[:3], network, dropouts=(dropout,), **settings)
        own = slice(3 * k, 3 * k + 3)
        np.testing.assert_allclose(together.losses[own], constant.losses, rtol=1e-3)
    assert np.abs(together.losses[:3] - together.losses[6:]).max() > 0.01


def test_seeds_differ_and_repeat(data):
    rows, masks = data
    together = run(rows, masks[:1], seeds=(0, 1, 2), steps=5)
    for one, other in itertools.combinations(range(3), 2):
        assert not same(together.member(one), together.member(other))
    assert same(together.member(1), run(rows, masks[:1], seeds=(1,), steps=5).member(0))


def test_members_nest_seeds_temperatures_folds(data):
    rows, _ = data
    masks = ~np.eye(2, len(rows.counts), dtype=bool)
    members = members_of(rows, masks, [0, 1], [1.0, 4.0])
    assert members.temperature.tolist() == [1, 1, 4, 4, 1, 1, 4, 4]
    assert members.trains[:, 0].tolist() == [0, 1] * 4
    keys = jax.random.key_data(members.key)
    assert (keys[:4] == keys[0]).all()
    assert (keys[4:] != keys[0]).any(axis=1).all()


def test_a_seed_is_the_seed_of_its_members_key(data):
    """Or an earlier configuration would train another student, and its card be of none."""
    rows, masks = data
    keys = jax.random.key_data(members_of(rows, masks[:1], [0, 1, 7]).key)[:3]
    expected = [jax.random.key_data(jax.random.key(seed)) for seed in (0, 1, 7)]
    np.testing.assert_array_equal(keys, np.stack(expected))


@pytest.mark.parametrize("n_members", [2, 3, 10, 207])
def test_groups_are_few_and_fit(n_members):
    assert members_that_fit(n_members, 100, 100) == n_members
    for allowed in (1, 30, 99):
        most = members_that_fit(n_members, 100, allowed)
        assert most == 2 or most * 100 <= allowed * n_members
    dealt = deal_members(np.arange(n_members) % 5, 4)
    assert sorted(set(dealt.ravel().tolist())) == list(range(n_members))
    assert dealt.size - n_members < 4


def test_training_learns(data):
    rows, masks = data
    trained = run(rows, masks[:1], steps=300)
    assert trained.losses[0, -1] < trained.losses[0, 0] / 100


def test_queries_need_a_teacher(data):
    rows, masks = data
    with pytest.raises(ValueError, match="pass the teacher's parameters"):
        train_members(
            rows,
            members_of(rows, masks[:1]),
            student=Student("nano"),
            settings=TrainingSettings(**QUERIES),
            feature_set=FEATURES,
        )


@pytest.mark.parametrize("optimiser", ["adamw", "adam"])
@pytest.mark.parametrize("rate", ["cosine", "constant"])
def test_a_step_is_that_of_optax(optimiser, rate):
    """On a tree in place of one vector; biases do not decay."""
    settings = TrainingSettings(
        optimiser=optimiser, schedule=rate, steps=40, weight_decay=0.5, learning_rate=0.1
    )
    peak = settings.learning_rate
    expected_rate = optax.warmup_cosine_decay_schedule(0.0, peak, 2, 40, peak * 1e-3)
    if rate == "constant":
        expected_rate = optax.constant_schedule(peak)
    decay = {"weight_decay": 0.5, "mask": lambda p: jax.tree.map(lambda x: x.ndim > 1, p)}
    make = {"adamw": optax.adamw, "adam": optax.adam}[optimiser]
    plain = make(
        expected_rate,
        b2=settings.second_moment_decay,
        **(decay if optimiser == "adamw" else {}),
    )
    rng = np.random.default_rng(0)
    params = {
        "bias": rng.normal(size=3).astype(np.float32),
        "kernel": rng.normal(size=(2, 3)).astype(np.float32),
    }

    def loss(params, batch, _key):
        return sum(jnp.sum(jnp.square(leaf - batch.labels[0])) for leaf in jax.tree.leaves(params))

    method = gradient_method(settings, params, 40)
    objective, key = Objective(loss, lambda _, x: x[:, 0]), jax.random.key(0)
    state, ours, memory = method.init(params), params, plain.init(params)
    for k in range(40):
        batch = Batch(jnp.ones((1, 6)), jnp.full(1, float(k)), jnp.ones(1))
        state, _ = method.step(state, key, batch, objective)
        updates, memory = plain.update(jax.grad(loss)(ours, batch, None), memory, ours)
        ours = optax.apply_updates(ours, updates)
    for a, b in zip(jax.tree.leaves(method.params(state)), jax.tree.leaves(ours), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
