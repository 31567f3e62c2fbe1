"""From settings to functions: the one place where the names of settings are looked up."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
from jax.typing import DTypeLike

from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.training.batches import Draw, every_row, some_rows, teacher_queries
from vmaf_jax.training.effects import Penalty, make_penalty
from vmaf_jax.training.losses import LOSSES, Loss
from vmaf_jax.training.optimisers import (
    Method,
    Rates,
    gradient_method,
    least_squares_method,
    make_optimiser,
)
from vmaf_jax.training.settings import TrainingSettings


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a member is trained.

    Attributes:
        draw: what a step is fed.
        loss: what it is judged by.
        method: how parameters move, at a member's rates or (None) those of the settings.
        steps: how many.
        precision: of the computation; the result is float32.
        penalty: what is added to the loss.
    """

    draw: Draw
    loss: Loss
    method: Callable[[Rates | None], Method]
    steps: int
    precision: DTypeLike
    penalty: Penalty


def make_recipe(settings: TrainingSettings, feature_set: FeatureSet) -> Recipe:
    """The functions that settings name."""
    draw: Draw = every_row
    if settings.batch_size is not None:
        draw = {
            "rows": some_rows(settings.batch_size),
            "teacher_queries": teacher_queries(settings.batch_size, feature_set),
        }[settings.strategy]
    precision = jnp.float32 if settings.optimiser == "adamw" else jnp.float64

    def method(rates: Rates | None) -> Method:
        if settings.optimiser == "adamw":
            return gradient_method(make_optimiser(settings, rates))
        return least_squares_method()

    loss = LOSSES[settings.loss](settings.sigma)
    penalty = make_penalty(settings.anchor)
    return Recipe(draw, loss, method, settings.steps, precision, penalty)
