"""What a run found: the content of `metrics.json`."""

import dataclasses
from typing import Any

from vmaf_jax.evaluation.behaviour import Deviation
from vmaf_jax.evaluation.cross_validation import FoldMetrics, Loso
from vmaf_jax.evaluation.metrics import Distance, Metrics
from vmaf_jax.evaluation.rivals import Standing


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of a run: compiling, training, all of it."""

    compile_s: float
    train_s: float
    total_s: float


@dataclasses.dataclass(frozen=True)
class RunMetrics:
    """Figures of a run, in VMAF points and correlations.

    Attributes:
        loso, folds: of the held-out predictions; an entry of `folds` a source and seed.
        held_out_together: the sources of each fold; None where every source is one.
        external: of corpora that took no part in the training, by name.
        parity: of the deployed form in JAX against ONNX Runtime.
        behaviour: against the teacher outside the data, by case; None where none can be asked.
        beside: the held-out predictions beside models that need no training; None where there are
            none for these rows.
        environment: of the machine, as `environment()` gives it.
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
