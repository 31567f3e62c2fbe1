"""ADM3, the detail loss and what was added to the picture, as VMAF v1 measures them.

Luma of a reference and a distorted frame in, one number out: 1 where all detail is kept and nothing
added, at least 0.5. Wavelet and decoupling are those of `adm`. adm3 takes masking twice: the
additive part masks the restored one, which gives the detail loss measure (DLM, adm2 without a
contrast gain), and the restored part masks the additive one, which gives the additive impairment
measure (AIM). Both are over one denominator; `adm3 = 0.7 DLM + 0.3 (1 - AIM)`.

The CSF is a table by viewing condition, blended of Barten's and Watson's, of which libvmaf has
further ones for other distances.
Source: libvmaf's adm.c, adm_tools.c, adm_options.h, integer_adm.c (AIM is not limited to 1 there)
and barten_csf_tools.h.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vmaf_jax.features.adm import (
    N_LEVELS,
    decouple,
    frame_middle,
    norms_and_slope,
    split_levels,
    sum_noise,
    threshold,
    wavelet,
)
from vmaf_jax.features.filters import differentiate_distorted, unstack

Csf = tuple[tuple[float, ...], tuple[float, ...]]  # by level: straight bands, the diagonal one

# By distance in picture heights, and lines of the display; the finest level first.
CSF_TABLES: Mapping[tuple[float, int], Csf] = {
    (3.0, 1080): ((0.01183, 0.025026, 0.04295, 0.058621), (0.004302, 0.011778, 0.023918, 0.035901)),
    (5.0, 1080): ((0.004212, 0.014809, 0.029642, 0.047464), (0.000984, 0.005852, 0.0146, 0.027574)),
    (3.0, 2160): ((0.00226, 0.01183, 0.025026, 0.04295), (0.000479, 0.004302, 0.011778, 0.023918)),
    (5.0, 2160): ((0.000092, 0.004212, 0.014809, 0.029642), (0.00005, 0.000984, 0.005852, 0.0146)),
    (3.0, 720): (
        (0.018715, 0.035637, 0.052798, 0.061509),
        (0.007999, 0.018396, 0.031851, 0.037718),
    ),
    (5.0, 720): ((0.010144, 0.022561, 0.040309, 0.05672), (0.003463, 0.010282, 0.021839, 0.034641)),
    (3.0, 480): (
        (0.027961, 0.045875, 0.060275, 0.056234),
        (0.013572, 0.026277, 0.036959, 0.034511),
    ),
    (5.0, 480): ((0.016781, 0.032822, 0.05032, 0.061594), (0.00691, 0.016545, 0.029917, 0.037777)),
}


class AdmSettings(NamedTuple):
    """A model's options of ADM3.

    Attributes:
        distance: from which the picture is seen, in its heights; with `lines`, a key of
            `CSF_TABLES`, or half and twice of one, where a degree holds as many pixels.
        lines: of the display.
        dlm_weight: of the detail loss, in [0, 1]; the rest is of what was added.
        noise_weight: what a sample of noise adds to a norm.
        least: the smallest value.
    """

    distance: float = 3.0
    lines: int = 1080
    dlm_weight: float = 0.7
    noise_weight: float = 0.02
    least: float = 0.5

    @property
    def csf(self) -> Csf:
        """Weights of the bands by level; raises KeyError where there is no such table."""
        for scale in (1, 2):
            if (key := (self.distance * scale, self.lines // scale)) in CSF_TABLES:
                return CSF_TABLES[key]
        raise KeyError((self.distance, self.lines))

    def bands(self, level: int) -> tuple[float, float, float]:
        """Returns the weights of the horizontal, vertical and diagonal band of a level."""
        straight, diagonal = (weights[level] for weights in self.csf)
        return straight, straight, diagonal


def frame_adm3(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], views: Sequence[AdmSettings]
) -> Float[Array, " views"]:
    """Computes adm3 of a frame under several viewing conditions, which share the decoupling.

    Args:
        reference, distorted: luma on the 8-bit scale, 0-255; at least 17 pixels high and wide.
    """
    return _adm3(reference, distorted, tuple(views))


def _plain_adm3(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], views: tuple[AdmSettings, ...]
) -> Float[Array, " views"]:
    return _pool_levels(_sum_levels(reference, distorted, views), views)


def _sum_levels(
    reference: Float[Array, "h w"], distorted: Float[Array, "h w"], views: tuple[AdmSettings, ...]
) -> Float[Array, "views 3"]:
    """Returns the norms of `_level_norms` under each view, added up."""
    # Both in one array, and levels and thresholds in loops over it: XLA on CPU computes the result
    # of a loop once, and other values anew for each of their uses.
    low = jnp.stack([reference, distorted]) - 128
    sums = [[jnp.zeros((), low.dtype)] * 3 for _ in views]
    for level in range(N_LEVELS):
        low, bands = jax.lax.map(wavelet, low)
        x, y = ([frame_middle(band[k]) for band in bands] for k in (0, 1))
        restored = decouple(x, y, 1.0)
        added = [band - r for band, r in zip(y, restored, strict=True)]
        inner = [band[1:-1, 1:-1] for band in x]
        for sum_of_view, view in zip(sums, views, strict=True):
            csf = view.bands(level)
            for k, part in enumerate(_level_norms(csf, restored, added, inner, view.noise_weight)):
                sum_of_view[k] = sum_of_view[k] + part
    return jnp.stack([jnp.stack(sum_of_view) for sum_of_view in sums])


def _pool_levels(
    sums: Float[Array, "views 3"], views: tuple[AdmSettings, ...]
) -> Float[Array, " views"]:
    unlimited = [_score(norms, view) for norms, view in zip(sums, views, strict=True)]
    return jnp.stack(
        [jnp.maximum(score, view.least) for score, view in zip(unlimited, views, strict=True)]
    )


def _score(norms: Sequence[Array] | Array, view: AdmSettings) -> Float[Array, ""]:
    """Returns adm3 before its limit, of norms of restored, added and all of the reference's."""
    restored_norm, added_norm, reference_norm = norms
    dlm, aim = restored_norm / reference_norm, added_norm / reference_norm
    return view.dlm_weight * dlm + (1 - view.dlm_weight) * (1 - aim)


def _level_norms(
    csf: tuple[float, float, float],
    restored: Sequence[Array],
    added: Sequence[Array],
    reference: Sequence[Array],
    noise_weight: float,
) -> tuple[Array, Array, Array]:
    """Returns norms: restored and added detail, each masked by the other, and the reference."""
    seen_restored = [weight * jnp.abs(band) for weight, band in zip(csf, restored, strict=True)]
    seen_added = [weight * jnp.abs(band) for weight, band in zip(csf, added, strict=True)]
    of_reference = [weight * jnp.abs(band) for weight, band in zip(csf, reference, strict=True)]
    totals = jnp.stack([part[0] + part[1] + part[2] for part in (seen_added, seen_restored)])
    by_added, by_restored = unstack(jax.lax.map(threshold, totals))
    return (
        _norms(_mask(seen_restored, by_added), noise_weight),
        _norms(_mask(seen_added, by_restored), 0.0),
        _norms(of_reference, noise_weight),
    )


def _mask(
    bands: Sequence[Float[Array, "h w"]], threshold: Float[Array, "h2 w2"]
) -> list[Float[Array, "h2 w2"]]:
    return [jnp.maximum(band[1:-1, 1:-1] - threshold, 0) for band in bands]


def _norms(bands: Sequence[Float[Array, "h w"]], noise_weight: float) -> Float[Array, ""]:
    """Adds up the bands' 3-norms and their noise; the gradient is 0 where a band is all 0."""
    total = jnp.zeros((), bands[0].dtype)
    for band in bands:
        cubes = (band**3).sum()
        positive = cubes > 0
        norm = jnp.where(positive, jnp.cbrt(jnp.where(positive, cubes, 1)), 0)
        total += norm + (band.size * noise_weight) ** (1 / 3)
    return total


def _adm3_and_slopes(
    reference: Array, distorted: Array, views: tuple[AdmSettings, ...]
) -> tuple[Float[Array, " views"], Float[Array, "views h w"]]:
    """Returns adm3, and its derivatives by the distorted samples, under each view."""
    levels, scores, slopes = split_levels(reference, distorted), [], []
    for view in views:
        shares = (view.dlm_weight, view.dlm_weight - 1)
        csf = [view.bands(level) for level in range(N_LEVELS)]
        norms, slope = norms_and_slope(levels, csf, 1.0, shares)
        noise = sum_noise(levels, view.noise_weight)
        whole = norms.reference + noise
        score = _score((norms.restored + noise, norms.added, whole), view)
        free = jnp.where(score > view.least, 1, 0.5 * (score == view.least))
        scores.append(jnp.maximum(score, view.least))
        slopes.append(free / whole * slope)
    return jnp.stack(scores), jnp.stack(slopes)


def _pull_adm3(
    _: tuple[AdmSettings, ...], slopes: Float[Array, "views h w"], gradient: Float[Array, " views"]
) -> Float[Array, "h w"]:
    return (gradient[:, None, None] * slopes).sum(0)


_adm3 = differentiate_distorted(_plain_adm3, _adm3_and_slopes, _pull_adm3)
