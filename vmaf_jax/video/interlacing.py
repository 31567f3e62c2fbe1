"""Interlaced pictures: found in what a stream says, told, and made progressive where asked for.

A frame of interlaced video holds two moments, a field each; VMAF was made on progressive pictures.
ffmpeg's `bwdif` makes a progressive frame of each, so frames pair by number as before.
"""

import dataclasses

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.facts import Facts
from vmaf_jax.video.video import Video

_ROLES = ("reference", "distorted")


@dataclasses.dataclass(frozen=True)
class Fields:
    """What is done about the fields of a pair.

    Attributes:
        filters: at the start of the reference's and the distorted video's chain, each "" or ending
            in a comma.
        roles: which of the two are deinterlaced.
        warnings: what a reader of the score should know, a sentence each.
    """

    filters: tuple[str, str]
    roles: tuple[str, ...]
    warnings: tuple[str, ...]


def deinterlacing(
    videos: tuple[Video, Video], facts: tuple[Facts, Facts], how: Comparison
) -> Fields:
    """What is done about the fields of the reference and the distorted video `videos`.

    Raises:
        InputError: fields would be compared with whole pictures; names the flags that allow it.
    """
    scans = [stream.scan for stream in facts]
    parity = how.deinterlace
    if parity is not None:
        chosen = [parity != "auto" or scan == "interlaced" for scan in scans]
        order = "auto" if parity == "auto" else parity
        filters = [f"bwdif=mode=send_frame:parity={order}:deint=all," if c else "" for c in chosen]
        roles = tuple(role for role, c in zip(_ROLES, chosen, strict=True) if c)
        none = () if roles else ("neither says that it is interlaced; nothing was deinterlaced",)
        return Fields((filters[0], filters[1]), roles, none)
    if "interlaced" not in scans:
        return Fields(("", ""), (), ())
    if set(scans) == {"interlaced", "progressive"} and not how.force:
        interlaced = scans.index("interlaced")
        raise InputError(
            f"{videos[interlaced].path}: is interlaced, and {videos[1 - interlaced].path.name} is "
            f"not; pass --deinterlace auto, or --force to compare fields with pictures."
        )
    named = " and ".join(r for r, scan in zip(_ROLES, scans, strict=True) if scan == "interlaced")
    verb = "are" if "and" in named else "is"
    return Fields(("", ""), (), (f"the {named} {verb} interlaced; fields are compared as woven",))
