"""Figures of a run: the content of `metrics.json`."""

import dataclasses
from typing import Any

from vmaf_jax.evaluation.behaviour import Deviation
from vmaf_jax.evaluation.by_experiment import Experiments
from vmaf_jax.evaluation.cross_validation import FoldMetrics, Loso
from vmaf_jax.evaluation.metrics import Distance, Metrics
from vmaf_jax.evaluation.rivals import Standing


@dataclasses.dataclass(frozen=True)
class Timing:
    """Duration of a run in seconds: compiling, training, and the whole run."""

    compile_s: float
    train_s: float
    total_s: float


@dataclasses.dataclass(frozen=True)
class RunMetrics:
    """Figures of a run, in VMAF points and correlations.

    Attributes:
        loso, folds: of the held-out predictions; `folds` has an entry for each source and seed.
        held_out_together: the sources of each fold; None where every source is a fold of its own.
        external: of corpora that took no part in the training, by name.
        parity: of the deployed form in JAX against ONNX Runtime.
        behaviour: deviation from the teacher outside the data, by case; None without a teacher.
        beside: comparison of the held-out predictions with models that need no training; None where
            there are none for these rows.
        experiments: agreement of the held-out predictions, and of VMAF at 4K by its best poolings,
            with each subjective test; None without tests.
        environment: description of the machine by `environment.environment`.
    """

    loso: Loso
    folds: tuple[FoldMetrics, ...]
    held_out_together: tuple[tuple[str, ...], ...] | None
    external: dict[str, Metrics]
    parity: Distance
    timing: Timing
    environment: dict[str, Any]
    behaviour: dict[str, Deviation] | None
    beside: Standing | None = None
    experiments: Experiments | None = None
