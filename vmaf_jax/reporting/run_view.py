"""A run as its files have it: the values that pages and notebooks show.

Only the held-out predictions have to be there. Other files may be missing or damaged: `number_at`
gives None for what they lack, and the page says what it could not show.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.conformal import HeldOutIntervals, held_out_intervals
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.models.pooling import OVER_FRAMES
from vmaf_jax.reporting.notebook import run_html


@dataclasses.dataclass(frozen=True)
class Curves:
    """Training losses at the steps that were logged.

    Attributes:
        steps: `[k]`, increasing.
        members: names of the members, `[m]`; the last is the final fit.
        losses: `[m, k]`; NaN where a file has none.
    """

    steps: npt.NDArray[np.int64]
    members: tuple[str, ...]
    losses: npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class RunView:
    """Values of a run that a page shows.

    Attributes:
        name: of the run.
        config: its settings; `config_text` the same as text.
        held_out: every held-out prediction.
        external: predictions of other corpora, by name.
        metrics, parity: the content of their files, empty without one.
        curves: of the training, if logged.
        missing: a line on each file that could not be shown.
        label_scale: the worst and the best vote behind 0 and 100, where people voted.
        pooling: of frames to a clip, by its full name; None where no file says.
    """

    name: str
    config: Mapping[str, Any]
    config_text: str
    held_out: HeldOut
    external: Mapping[str, HeldOut]
    metrics: Mapping[str, Any]
    parity: Mapping[str, Any]
    curves: Curves | None
    missing: tuple[str, ...] = ()
    label_scale: tuple[float, float] | None = None
    pooling: str | None = None

    def _repr_html_(self) -> str:
        return run_html(self.name, self.held_out)

    @property
    def label(self) -> str:
        """The label that was learnt: a teacher's name, or `mos`."""
        data = object_at(self.config, "data")
        if data.get("label") == "mos":
            return "mos"
        return str(data.get("teacher") or data.get("label") or "the label")

    @property
    def label_words(self) -> str:
        """The label in words."""
        return "opinion scores" if self.label == "mos" else self.label

    @functools.cached_property
    def intervals(self) -> HeldOutIntervals | str:
        """Intervals of clips' scores with their coverage, or a sentence on why there are none."""
        # With no pooling known there is a clip's score only where rows are clips, as over frames.
        return held_out_intervals(self.held_out, self.external, self.pooling or OVER_FRAMES)


def number_at(document: Mapping[str, Any], key: str) -> float | None:
    """Returns the finite number under a key; None where it is missing or something else."""
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def object_at(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns the object under a key; an empty one where it is missing or something else."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}
