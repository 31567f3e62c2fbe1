"""What ffmpeg's pixel formats hold, told by their names: luma alone, luma and chroma, or RGB.

A decoder always says in which format its frames are, while many name no matrix and no range.
"""

import re

_RGB = re.compile(r".*(rgb|bgr|gbr)|pal8|mono[bw]|bayer_|xyz12")
_LUMA_ALONE = re.compile(r"gray|ya(?!uv)")
_PLANAR = re.compile(r"yuva?j?(420|422|444)p")
_PACKED = {
    "420": "nv12 nv21 p010 p012 p016",
    "422": "nv16 nv20 p210 p212 p216 yuyv422 uyvy422 yvyu422 y210 y212 y216",
    "444": "nv24 nv42 p410 p412 p416 xv30 v30x xv36 xv48 vuyx vuya ayuv uyva vyu444 ayuv64",
}
_NUMBERED = re.compile(
    r"(?:p[024]?|gray|ya|y2|xv|xyz|x2rgb|x2bgr|bayer_[a-z]{4})(9|10|12|14|16|30|36|48)(?:msb)?$"
)
_OF_A_PIXEL = {"30": 10, "36": 12, "48": 16}  # of three samples of such formats
_SIXTEEN = re.compile(r"(?:rgb|bgr)48|(?:rgba|bgra|ayuv)64|.*(?:32|96|128|f16)$")
_DEEP = {"nv20": 10, "v30x": 10}


def is_rgb(pix_fmt: str) -> bool:
    """Whether a format holds red, green and blue, which have no luma of their own."""
    return _RGB.match(pix_fmt) is not None


def is_luma_alone(pix_fmt: str) -> bool:
    """Whether a format holds luma, or luma and alpha, and no chroma."""
    return _LUMA_ALONE.match(pix_fmt) is not None


def chroma_layout(pix_fmt: str) -> str | None:
    """`420`, `422` or `444`; None for formats without such chroma (grey, RGB, 4:1:1)."""
    if match := _PLANAR.match(pix_fmt):
        return match[1]
    name = _without_order(pix_fmt)
    return next((layout for layout, names in _PACKED.items() if name in names.split()), None)


def sample_bits(pix_fmt: str) -> int:
    """Bits of a sample, 8 to 16: 8 for coarser formats, 16 for floats."""
    name = _without_order(pix_fmt)
    if _SIXTEEN.match(name):
        return 16
    if match := _NUMBERED.search(name):
        return _OF_A_PIXEL.get(match[1], 0) or int(match[1])
    return _DEEP.get(name, 8)


def planar_format(layout: str, bits: int) -> str:
    """The planar format of a chroma layout (`420`, say) and so many bits, little endian."""
    return f"yuv{layout}p" if bits == 8 else f"yuv{layout}p{bits}le"


def _without_order(pix_fmt: str) -> str:
    return re.sub("(le|be)$", "", pix_fmt)
