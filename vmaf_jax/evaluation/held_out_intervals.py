"""What intervals held of clips whose source was left out of their calibration: cards and pages."""

import dataclasses
from collections.abc import Mapping

from vmaf_jax.evaluation.clip_residuals import count_clips, residuals_of
from vmaf_jax.evaluation.conformal import Coverage, Profile, coverage
from vmaf_jax.evaluation.cross_validation import HeldOut

LEVELS = (0.8, 0.9, 0.95)
LEAST_SOURCES = 3  # two remain to calibrate by
MOST_CLIPS = 2000  # whose distances from each other are looked at, source by source


@dataclasses.dataclass(frozen=True)
class HeldOutIntervals:
    """How sure a model's scores are.

    Attributes:
        profile: of all clips: what the model's own intervals are made of.
        coverages: one a level of `LEVELS`, each source by the profile of the others.
    """

    profile: Profile
    coverages: tuple[Coverage, ...]


def held_out_intervals(
    held_out: HeldOut, external: Mapping[str, HeldOut], pooling: str
) -> HeldOutIntervals | str:
    """The intervals of a run's saved predictions, or in a sentence why it has none.

    Args:
        held_out, external, pooling: as for `residuals_of`.
    """
    n_clips = sum(count_clips(rows) for rows in (held_out, *external.values()))
    if n_clips > MOST_CLIPS:
        return f"More than {MOST_CLIPS:,} clips: what their intervals held was not computed."
    residuals = residuals_of(held_out, external, pooling)
    if residuals is None:
        return "Held out were frames; intervals are of clips, and there are none of these."
    if residuals.n_sources < LEAST_SOURCES:
        return f"Fewer than {LEAST_SOURCES} sources: none can be judged by intervals of the others."
    return HeldOutIntervals(
        residuals.profile, tuple(coverage(residuals, level) for level in LEVELS)
    )
