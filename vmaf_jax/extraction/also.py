"""Other metrics that libvmaf computes in the same pass: by name, its extractor, its key in the log.

PSNR (of luma, dB), SSIM and MS-SSIM (no unit, 1 is equal), CIEDE2000 (dB, as libvmaf has it) and
CAMBI (banding of the distorted video alone, 0 is none). Source: libvmaf's `doc/features.md`.
"""

from collections.abc import Sequence

from vmaf_jax.errors import InputError, did_you_mean

METRICS = {
    "psnr": ("psnr", "psnr_y"),
    "ssim": ("float_ssim", "float_ssim"),
    "ms_ssim": ("float_ms_ssim", "float_ms_ssim"),
    "ciede2000": ("ciede", "ciede2000"),
    "cambi": ("cambi", "cambi"),
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
    return ":feature=" + "|".join(f"name={METRICS[name][0]}" for name in names)
