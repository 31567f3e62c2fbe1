"""Pixel formats by ffmpeg's names: luma alone, luma and chroma, or RGB; depth, layout, bytes.

A decoder always says in which format its frames are, while many name no matrix and no range.
"""

import math
import re

# Chroma subsampling (horizontal, vertical) of the planar formats that libvmaf takes.
SUBSAMPLING = {"yuv420p": (2, 2), "yuv422p": (2, 1), "yuv444p": (1, 1)}
# Formats of raw files: subsampling (None for luma alone) and bytes of a sample. Samples of 10 and
# 12 bits lie in the lower bits of two bytes, little endian.
RAW_FORMATS = {
    base + suffix: (subsampling, sample_bytes)
    for base, subsampling in (*SUBSAMPLING.items(), ("gray", None))
    for suffix, sample_bytes in (("", 1), ("10le", 2), ("12le", 2))
}

_RGB = re.compile(r".*(rgb|bgr|gbr)|pal8|mono[bw]|bayer_|xyz12")
_LUMA_ALONE = re.compile(r"gray|ya(?!uv)")
_PLANAR = re.compile(r"yuva?j?(420|422|444)p")
_PACKED = {
    "420": "nv12 nv21 p010 p012 p016",
    "422": "nv16 nv20 p210 p212 p216 yuyv422 uyvy422 yvyu422 y210 y212 y216",
    "444": "nv24 nv42 p410 p412 p416 xv30 v30x xv36 xv48 vuyx vuya ayuv uyva vyu444 ayuv64",
}
# The number at the end of a name is bits of a sample in most formats, and of a whole pixel in some.
_NUMBERED = re.compile(
    r"(?:p[024]?|gray|ya|y2|xv|xyz|x2rgb|x2bgr|bayer_[a-z]{4})(9|10|12|14|16|30|36|48)(?:msb)?$"
)
_BITS_OF_PIXEL = {"30": 10, "36": 12, "48": 16}  # three samples
_SIXTEEN = re.compile(r"(?:rgb|bgr)48|(?:rgba|bgra|ayuv)64|.*(?:32|96|128|f16)$")
_UNNUMBERED = {"nv20": 10, "v30x": 10}  # names that do not follow the pattern


def is_rgb(pix_fmt: str) -> bool:
    """Tells whether a format holds red, green and blue, which have no luma of their own."""
    return _RGB.match(pix_fmt) is not None


def is_luma_alone(pix_fmt: str) -> bool:
    """Tells whether a format holds luma, or luma and alpha, and no chroma."""
    return _LUMA_ALONE.match(pix_fmt) is not None


def chroma_layout(pix_fmt: str) -> str | None:
    """Returns `420`, `422` or `444`; None for formats without such chroma (grey, RGB, 4:1:1)."""
    if match := _PLANAR.match(pix_fmt):
        return match[1]
    name = _without_byte_order(pix_fmt)
    return next((layout for layout, names in _PACKED.items() if name in names.split()), None)


def sample_bits(pix_fmt: str) -> int:
    """Returns the bits of a sample, 8 to 16: 8 for coarser formats, 16 for floats."""
    name = _without_byte_order(pix_fmt)
    if _SIXTEEN.match(name):
        return 16
    if match := _NUMBERED.search(name):
        return _BITS_OF_PIXEL.get(match[1], 0) or int(match[1])
    return _UNNUMBERED.get(name, 8)


def planar_format(layout: str, bits: int) -> str:
    """Returns the planar format of a chroma layout (`420`, say) and a depth, little endian."""
    return f"yuv{layout}p" if bits == 8 else f"yuv{layout}p{bits}le"


def common_bits(*pix_fmts: str, least_bits: int = 8) -> int:
    """Returns the depth that formats are compared in: 8, 10 or 12 bits.

    The deepest of them, so that nothing is rounded away, and at least `least_bits`; samples of
    more than 12 bits are compared in 12.
    """
    bits = max(least_bits, *map(sample_bits, pix_fmts))
    return 8 if bits == 8 else 10 if bits <= 10 else 12


def common_format(reference: str, distorted: str, *, least_bits: int = 8) -> str:
    """Returns the planar format that libvmaf takes both in: the reference's chroma layout."""
    bits = common_bits(reference, distorted, least_bits=least_bits)
    return planar_format(chroma_layout(reference) or "420", bits)


def chroma_size(height: int, width: int, pix_fmt: str) -> tuple[int, int]:
    """Returns height and width of a chroma plane, rounded up as ffmpeg does."""
    across, down = SUBSAMPLING[f"yuv{chroma_layout(pix_fmt) or 444}p"]
    return math.ceil(height / down), math.ceil(width / across)


def frame_bytes(width: int, height: int, pix_fmt: str) -> int:
    """Returns the bytes of one raw frame; `pix_fmt` is a key of `RAW_FORMATS`."""
    subsampling, sample_bytes = RAW_FORMATS[pix_fmt]
    chroma = 0 if subsampling is None else 2 * math.prod(chroma_size(height, width, pix_fmt))
    return (width * height + chroma) * sample_bytes


def _without_byte_order(pix_fmt: str) -> str:
    return re.sub("(le|be)$", "", pix_fmt)
