"""AdamW with warm-up and cosine decay; weights decay, biases do not."""

from typing import Any, NamedTuple

import jax
import optax
from jax.typing import ArrayLike

from vmaf_jax.training.settings import TrainingSettings


class Rates(NamedTuple):
    """What members of one program may differ in; may be traced.

    Attributes:
        learning_rate: at its peak.
        weight_decay: of every step, times the rate.
    """

    learning_rate: ArrayLike
    weight_decay: ArrayLike


def make_optimiser(
    settings: TrainingSettings, rates: Rates | None = None
) -> optax.GradientTransformation:
    """The optimiser for one training of `settings.steps` steps.

    Args:
        rates: a member's own; None for those of the settings. The same numbers either way, but XLA
            rounds a program with constants otherwise than one that is told them.

    Source: "Decoupled weight decay regularization", arXiv:1711.05101.
    """

    def schedule_to(peak: float) -> Any:
        return optax.warmup_cosine_decay_schedule(
            init_value=0.0,
            peak_value=peak,
            warmup_steps=int(settings.steps * settings.warmup_fraction),
            decay_steps=settings.steps,
            end_value=peak * 1e-3,
        )

    schedule = schedule_to(settings.learning_rate)
    weight_decay: Any = settings.weight_decay
    if rates is not None:
        unit, weight_decay = schedule_to(1.0), rates.weight_decay

        def schedule(step: Any) -> Any:
            return rates.learning_rate * unit(step)

    def only_weights(params: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    return optax.adamw(
        schedule,
        b2=settings.second_moment_decay,
        weight_decay=weight_decay,
        mask=only_weights,
    )
