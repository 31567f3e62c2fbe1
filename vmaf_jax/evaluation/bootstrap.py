"""Bootstrap intervals over sources and seeds, for one candidate and for pairs of them.

Rows of a source depend on each other, and so do rows of a seed; so whole sources and whole seeds
are drawn with replacement, the same draws for every candidate, which makes differences paired.
Everything is computed from moments per (candidate, seed, source), so a resample is a product.
Source: "An introduction to the bootstrap", Efron and Tibshirani, chapter 13 (percentile interval).
"""

import dataclasses

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Moments:
    """Sums over the rows of each (candidate, seed, source).

    Attributes:
        sums: `[c, s, g, 6]`: rows, p, t, p^2, t^2, p t of predicted and true scores.
    """

    sums: Floats

    @staticmethod
    def of(predicted: Floats, true: Floats, group: npt.NDArray[np.int64]) -> "Moments":
        """From predictions `[c, s, n]`, true scores `[n]` and the source of each row `[n]`."""
        t = np.broadcast_to(true, predicted.shape)
        terms = np.stack(
            [np.ones_like(t), predicted, t, predicted**2, t**2, predicted * t], axis=-1
        )
        member = (group[:, None] == np.arange(group.max() + 1)).astype(np.float64)
        return Moments(np.einsum("csnk,ng->csgk", terms, member))

    def resampled(self, draws: int, seed: int = 0) -> Floats:
        """Moments `[c, draws, 6]` of resamples; the same draws for every candidate."""
        _, n_seeds, n_sources, _ = self.sums.shape
        rng = np.random.default_rng(seed)
        sources = rng.multinomial(n_sources, np.full(n_sources, 1 / n_sources), draws)
        seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), draws)
        return np.einsum("bs,bg,csgk->cbk", seeds, sources, self.sums, optimize=True)

    def total(self) -> Floats:
        """Moments `[c, 1, 6]` of the rows themselves."""
        return self.sums.sum(axis=(1, 2))[:, None]


def rmse_of(moments: Floats) -> Floats:
    """RMSE, VMAF points, from moments on the last axis."""
    n, _, _, pp, tt, pt = np.moveaxis(moments, -1, 0)
    return np.sqrt(np.maximum(pp + tt - 2 * pt, 0) / n)


def plcc_of(moments: Floats) -> Floats:
    """Pearson's correlation from moments on the last axis."""
    n, p, t, pp, tt, pt = np.moveaxis(moments, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (n * pt - p * t) / np.sqrt((n * pp - p**2) * (n * tt - t**2))


def interval(samples: Floats, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled figures; NaN are left out."""
    low, high = np.nanquantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
