"""What a run's page is made of: its saved predictions, and what its other files say.

Only the predictions have to be there. Other files may be missing or of an older schema; `number_at`
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
    """A run, as its files have it.

    Attributes:
        name: for people.
        config: its settings; `config_text` the same as the file has them.
        held_out: every held-out prediction.
        external: predictions of other corpora, by name.
        metrics, parity: the content of their files, or nothing.
        curves: of the training, if logged.
        label_scale: the worst and the best vote behind 0 and 100, where people voted.
        missing: a line on each file that could not be shown.
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
        """What was learnt: a teacher's name, or `mos`."""
        data = self.config.get("data")
        data = data if isinstance(data, Mapping) else {}
        if data.get("label") == "mos":
            return "mos"
        return str(data.get("teacher") or data.get("label") or "the label")

    @property
    def label_words(self) -> str:
        """The same, for people."""
        return "opinion scores" if self.label == "mos" else self.label

    @functools.cached_property
    def intervals(self) -> HeldOutIntervals | str:
        """How sure a score of a clip is, or in a sentence why nothing says it."""
        # With no pooling known there is a clip's score only where rows are clips, as over frames.
        return held_out_intervals(self.held_out, self.external, self.pooling or OVER_FRAMES)


def as_voted(view: RunView, error: float) -> str:
    """An error in points on the scale that people voted on, to follow it; "" for other labels."""
    if view.label != "mos" or view.label_scale is None:
        return ""
    low, high = view.label_scale
    return f" ({error * (high - low) / 100:.3f} where people vote {low:g} to {high:g})"


def number_at(document: Mapping[str, Any], *keys: str) -> float | None:
    """The finite number under keys; None where it is missing or something else."""
    value: Any = document
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under a key; an empty one where it is missing or something else."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def points(value: float | None) -> str:
    """VMAF points for people: three digits that say something; a dash where undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3:
        return f"{value:.1e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(size)))}f}".replace("-", "\u2212")
