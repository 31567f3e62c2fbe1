"""No product of a training or a model is left to a device's shortcuts (TF32, on NVIDIA's)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.models.networks import ROW_NETWORKS
from vmaf_jax.training import Rows, TrainingSettings, make_members
from vmaf_jax.training.epochs import EpochRows, EpochSettings, EpochTraining, cross_validation
from vmaf_jax.training.member import train_member
from vmaf_jax.training.recipes import make_recipe

HIGHEST = jax.lax.Precision.HIGHEST


def products(jaxpr):
    """The products of float32 in a program, in whatever it calls."""
    for equation in jaxpr.eqns:
        is_product = equation.primitive.name in ("dot_general", "conv_general_dilated")
        if is_product and equation.outvars[0].aval.dtype == jnp.float32:
            yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def check(function, *arguments):
    """How many there are, none of them loose."""
    every = list(products(jax.make_jaxpr(function)(*arguments).jaxpr))
    loose = [str(p) for p in every if p.params["precision"] not in (HIGHEST, (HIGHEST, HIGHEST))]
    assert not loose, loose[:3]
    return len(every)


def rows(n=40):
    features = np.random.default_rng(0).uniform(0, 1, (n, 6)).astype(np.float32)
    return Rows(features, 100 * features[:, 0])


@pytest.mark.parametrize("network", ROW_NETWORKS)
@pytest.mark.parametrize("loss", ["squared_error", "kl"])
def test_a_training_and_its_student(network, loss):
    settings = TrainingSettings(steps=3, loss=loss)
    student = Student(network, settings.head, dropout=0.1)
    members = make_members(np.ones((1, 40), np.bool_), [0], [1.0])
    members = members._replace(mask=members.mask.astype(np.float32))
    member = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), members)
    recipe = make_recipe(settings, FEATURES)

    def train(rows, member):
        return train_member(rows, member, None, student=student, recipe=recipe)

    assert check(train, rows(), member) >= 4
    variables, _ = jax.jit(train)(rows(), member)
    assert check(student.predict, variables, rows().features) >= 2


def test_a_training_by_epochs():
    data = EpochRows(rows().features, rows().targets, np.arange(40, dtype=np.int32) % 2)
    training = EpochTraining(EpochSettings(hidden=(8, 4), epochs=1, batch_size=16), 6)
    members = cross_validation(2, [0])
    state = jax.vmap(training.start)(members)
    assert check(training.advance, data, members, state, jnp.int32(0), jnp.int32(1)) >= 9
