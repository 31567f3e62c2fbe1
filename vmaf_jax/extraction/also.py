"""Other metrics that libvmaf computes in the same pass: by name, its extractor, its key in the log.

PSNR (of luma, dB), SSIM and MS-SSIM (no unit, 1 is equal), CIEDE2000 and PSNR-HVS (dB, as libvmaf
has them; infinite where the two pictures are equal) and CAMBI (banding of the distorted video
alone, 0 is none). Source: libvmaf's `doc/features.md`, `ssim.c`, `cambi.c` and `ciede.c`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from vmaf_jax.errors import InputError, did_you_mean


class Metric(NamedTuple):
    """A metric of libvmaf's.

    Attributes:
        extractor: that computes it.
        key: of it in the frames of a log.
        each_way: pixels that both sides of a picture need.
        one_way: pixels that one side needs.
        reads_chroma: whether luma alone will not do.
    """

    extractor: str
    key: str
    each_way: int = 0
    one_way: int = 0
    reads_chroma: bool = False


METRICS = {
    "psnr": Metric("psnr", "psnr_y"),
    "ssim": Metric("float_ssim", "float_ssim"),
    "ms_ssim": Metric("float_ms_ssim", "float_ms_ssim", each_way=176),  # five scales, 11 taps
    "ciede2000": Metric("ciede", "ciede2000", reads_chroma=True),
    "psnr_hvs": Metric("psnr_hvs", "psnr_hvs", reads_chroma=True),
    "cambi": Metric("cambi", "cambi", one_way=216),
}


def check_also(names: Sequence[str]) -> tuple[str, ...]:
    """The metrics, each once.

    Raises:
        InputError: one is unknown.
    """
    for name in names:
        if name not in METRICS:
            raise InputError(
                f"also {name!r}: no such metric; expected {', '.join(METRICS)}."
                f"{did_you_mean(name, METRICS)}"
            )
    return tuple(dict.fromkeys(names))


def filter_option(names: Sequence[str]) -> str:
    """The option of ffmpeg's libvmaf filter that computes them; empty for none."""
    if not names:
        return ""
    return ":feature=" + "|".join(f"name={METRICS[name].extractor}" for name in names)


def too_small_for(names: Sequence[str], height: int, width: int) -> str | None:
    """Why pictures of that size cannot be measured; None where they can."""
    for name in names:
        metric = METRICS[name]
        if min(height, width) < metric.each_way or max(height, width) < metric.one_way:
            needed = f"{metric.each_way or metric.one_way} pixels"
            ways = "each way" if metric.each_way else "one way at least"
            return (
                f"pictures of {width}x{height} are too small for --also {name}, which needs "
                f"{needed} {ways}; drop it."
            )
    return None
