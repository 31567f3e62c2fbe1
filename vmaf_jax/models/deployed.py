"""A trained student as it runs: the same function in as few operations as it takes.

What a network becomes is said beside it (`Network.deploy`), and computed in float64. It is this
form that is exported, served and judged.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from vmaf_jax.models.student import Student, Variables

Predict = Callable[..., Float[Array, " n"]]


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A pure function and its numbers.

    Attributes:
        predict: from `constants` and raw features `[n, d]` to scores `[n]`, clipped to 0-100; of a
            network over frames also from clips `[n, t, d]` and their mask `[n, t]`.
        constants: float32 arrays.
    """

    predict: Predict
    constants: Any


def deploy(student: Student, variables: Variables) -> Deployed:
    """`student.predict` on `variables`, in the form that is exported and served."""
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), dict(variables))
    folded = student.spec.deploy(exact, student.head, student.activation)
    predict, constants = folded or (student.predict, exact)
    return Deployed(predict, jax.tree.map(lambda leaf: leaf.astype(np.float32), constants))
