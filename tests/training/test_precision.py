"""No product of a training or a model is left to a device's shortcuts (TF32, on NVIDIA's)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.support import members_of
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.models import Student
from vmaf_jax.models.student import ROW_NETWORKS
from vmaf_jax.training import TrainingSettings, make_rows
from vmaf_jax.training.member import MemberTraining, Span, make_batches

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


HOWS = [{"steps": 3}, {"steps": 3, "loss": "kl"}, {"epochs": 2}]
# A loss and a way through the rows have the products of one network as those of any other.
RUNS = [
    pytest.param(network, how, marks=[pytest.mark.slow] * (k > 0 and network != "nano"))
    for network in ROW_NETWORKS
    for k, how in enumerate(HOWS)
]


@pytest.mark.parametrize(("network", "how"), RUNS)
def test_a_training_and_its_student(network, how):
    settings = TrainingSettings(**how, batch_size=16 if "epochs" in how else None)
    features = np.random.default_rng(0).uniform(0, 1, (40, 6)).astype(np.float32)
    rows = make_rows(features, 100 * features[:, 0], np.repeat([0, 1], 20), 2)
    batches = make_batches(settings, FEATURES, 40)
    training = MemberTraining(Student(network, settings.head, dropout=0.1), settings, batches)
    member = jax.tree.map(lambda leaf: leaf[0], members_of(rows, ~np.eye(2, dtype=bool)))
    member = jax.tree.map(
        lambda leaf: leaf.astype(np.float32) if leaf.dtype == np.float64 else leaf, member
    )
    span = Span(*(np.array(value, np.int32) for value in (0, 1, 2)))

    def train(rows, member):
        return training.advance(rows, member, None, training.start(rows, member), span)[0]

    assert check(train, rows, member) >= 4
    variables = training.student.init(jax.random.key(0))
    assert check(training.student.predict, variables, features) >= 2
