"""Clips: pairs of a reference and a distorted video, with their place in a corpus."""

import dataclasses

from vmaf_jax.tables.opinions import LabelScale
from vmaf_jax.video.inputs import Video


@dataclasses.dataclass(frozen=True)
class Clip:
    """A pair of videos with its place in a corpus and its opinion score.

    Attributes:
        corpus, source, name: where it belongs; `source` is what leave-one-source-out leaves out.
        reference, distorted: the files.
        mos: opinion score, 0-100, or None.
        mos_ci95: half-width of its 95 % interval, on 0-100, or None.
        experiment: the test whose viewers voted, or None.
        label_scale: the worst and the best vote of the scale that they used, or None.
    """

    corpus: str
    source: str
    name: str
    reference: Video
    distorted: Video
    mos: float | None = None
    mos_ci95: float | None = None
    experiment: str | None = None
    label_scale: LabelScale | None = None
