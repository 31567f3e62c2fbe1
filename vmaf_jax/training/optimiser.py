"""AdamW with warm-up and cosine decay; weights decay, biases do not."""

from typing import Any

import jax
import optax

from vmaf_jax.training.settings import TrainingSettings


def make_optimiser(settings: TrainingSettings) -> optax.GradientTransformation:
    """The optimiser for one training of `settings.steps` steps.

    Source: "Decoupled weight decay regularization", arXiv:1711.05101.
    """
    schedule = optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=settings.learning_rate,
        warmup_steps=int(settings.steps * settings.warmup_fraction),
        decay_steps=settings.steps,
        end_value=settings.learning_rate * 1e-3,
    )

    def only_weights(params: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf.ndim > 1, params)

    return optax.adamw(
        schedule,
        b2=settings.second_moment_decay,
        weight_decay=settings.weight_decay,
        mask=only_weights,
    )
