"""A clip: one (reference, distorted) pair with its place in a corpus."""

import dataclasses

from vmaf_jax.video.video import Video


@dataclasses.dataclass(frozen=True)
class Clip:
    """One pair.

    Attributes:
        corpus, source, name: where it belongs; `source` is what leave-one-source-out leaves out.
        reference, distorted: the files.
        mos: opinion score, 0-100, or None.
    """

    corpus: str
    source: str
    name: str
    reference: Video
    distorted: Video
    mos: float | None = None
