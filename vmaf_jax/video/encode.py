"""The picture that was encoded, where what is compared was scaled from it.

Netflix asks for it where VMAF v1 is measured: banding is judged at the size and depth of the
encode, not at those of the display. Source: libvmaf's `resource/doc/models_v1.md` and `cambi.c`.
"""

import re
from typing import NamedTuple

from vmaf_jax.video.streams import Facts, common_format

_SCALED = re.compile(r"\bscale=(\d+):(\d+):flags")
_CUT = re.compile(r"\b(?:pad|crop)=(\d+):(\d+)\b")
_LEAST = 216  # pixels; CAMBI takes no encode both of whose sides are shorter


class Encode(NamedTuple):
    """Size of the encode in pixels, and bits of its samples."""

    width: int
    height: int
    bits: int


def encode_of(distorted: Facts, chain: str) -> Encode | None:
    """The encode behind the pictures that are compared; None where they are its own.

    Where a picture was boxed or cut besides, what counts is how far it was scaled.

    Args:
        chain: filters that bring the distorted video to its reference.
    """
    scaled = _SCALED.search(chain)
    if scaled is None:
        return None
    own, shown = (distorted.width, distorted.height), (int(scaled[1]), int(scaled[2]))
    if before := _CUT.search(chain[: scaled.start()]):
        own = int(before[1]), int(before[2])
    after = _CUT.search(chain[scaled.end() :])
    whole = (int(after[1]), int(after[2])) if after else shown
    width, height = (round(w * o / s) for w, o, s in zip(whole, own, shown, strict=True))
    if max(width, height) < _LEAST:
        return None
    bits = common_format([(distorted.width, distorted.height, distorted.pix_fmt)])[1]
    return Encode(width, height, bits)
