"""SpEED of chroma: how much the spatial entropy of the chroma planes differs, for VMAF v1.

The two chroma planes of a reference and a distorted frame in, one number out: 0 where they are the
same. A plane is (scaled and) smoothed by a Gaussian of 9 taps, decimated by 16, and freed of its
local mean. All of its overlapping blocks of 5x5 samples have one covariance K, of eigenvalues L.
Each block y that does not overlap has a variance field `S = y' K^-1 y / 25` and the entropy
`sum_k log2(L_k S + noise) + 25 log2(2 pi e)`, weighted by `log2(1 + variance)`; what differs
between the two pictures is pooled by the mean over blocks, where either is above the noise.
A covariance that is singular has no such field: flat planes, and planes with fewer samples than a
covariance of 25 needs. Such a plane gives 0, the other plane replaces it, and where both are
singular the whole is 0, which the model replaces.
Source: libvmaf's speed.c and vif_tools.c (windows, bilinear scaling); Bampis et al., "SpEED-QA",
IEEE SPL 24(9), 2017.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float

BLOCK = 5  # samples each way
DECIMATION = 16
_SMALLEST = 1e-6  # eigenvalue of a covariance that can be inverted
_HIGHEST = jax.lax.Precision.HIGHEST


class SpeedSettings(NamedTuple):
    """A model's options of SpEED.

    Attributes:
        prescale: factor by which chroma is scaled first, bilinearly; 1 leaves it as it is.
        noise: standard deviation of the noise in the eye.
        noise_floor: share of it below which blocks do not differ visibly.
        most: the largest value.
    """

    prescale: float = 1.0
    noise: float = 0.19
    noise_floor: float = 0.1
    most: float = 45.0


def blocks_of(height: int, width: int, prescale: float) -> tuple[int, int]:
    """Returns the blocks down and across a chroma plane; 0 where it is too small for one."""
    scaled = [int(n * prescale + 0.5) for n in (height, width)]
    return scaled[0] // DECIMATION // BLOCK, scaled[1] // DECIMATION // BLOCK


def frame_speed(
    reference: Float[Array, "2 h w"], distorted: Float[Array, "2 h w"], settings: SpeedSettings
) -> Float[Array, ""]:
    """Computes SpEED of a frame's chroma.

    Args:
        reference, distorted: U and V on the 8-bit scale, 0-255, of at least one block.
    """
    scores, singular = _plane_differences(reference, distorted, settings)
    u, v = jnp.where(singular, 0, scores.mean(-1))
    both = jnp.where(singular[0] & ~singular[1], v, (u + v) / 2)
    both = jnp.where(singular[1] & ~singular[0], u, both)
    return jnp.minimum(both, settings.most)


def speed_map(
    reference: Float[Array, "2 h w"], distorted: Float[Array, "2 h w"], settings: SpeedSettings
) -> Float[Array, "rows columns"]:
    """Computes SpEED of each block of a frame's chroma, whose mean is `frame_speed`.

    Args:
        reference, distorted: as `frame_speed` takes them.
    """
    blocks, singular = _plane_differences(reference, distorted, settings)
    sound = jnp.where(singular, 0, 1)[:, None]
    both = (blocks * sound).sum(0) / jnp.maximum(sound.sum(), 1)
    _, h, w = reference.shape
    return both.reshape(blocks_of(h, w, settings.prescale))


def _plane_differences(
    reference: Float[Array, "2 h w"], distorted: Float[Array, "2 h w"], settings: SpeedSettings
) -> tuple[Float[Array, "2 b"], Bool[Array, " 2"]]:
    """Returns how far each plane's blocks differ, and which planes are singular."""
    planes = jnp.concatenate([reference, distorted]) - 128
    # One by one: XLA on CPU multiplies a batch of matrices ten times slower, and gives each of
    # several decompositions to a thread and waits for them, for ever where two computations do so
    # at once.
    entropy, variance, singular = jax.lax.map(
        lambda plane: _statistics(_reduce(plane, settings.prescale), settings), planes
    )
    blocks = _difference(entropy[:2], variance[:2], entropy[2:], variance[2:], settings)
    return blocks, singular[:2] | singular[2:]


def _difference(
    entropy_x: Float[Array, "p b"],
    variance_x: Float[Array, "p b"],
    entropy_y: Float[Array, "p b"],
    variance_y: Float[Array, "p b"],
    settings: SpeedSettings,
) -> Float[Array, "p b"]:
    """Returns how far the weighted entropies of the two pictures' blocks are apart."""
    floor = BLOCK**2 * (math.log2((1 + settings.noise_floor) * settings.noise) + _UNIT)
    visible = (entropy_x >= floor) | (entropy_y >= floor)
    weighted_x = entropy_x * jnp.log2(1 + variance_x)
    weighted_y = entropy_y * jnp.log2(1 + (0.75 * variance_x + 0.25 * variance_y))
    return jnp.where(visible, jnp.abs(weighted_x - weighted_y), 0)


_UNIT = math.log2(2 * math.pi * math.e)


def _statistics(
    small: Float[Array, "h w"], settings: SpeedSettings
) -> tuple[Float[Array, " b"], Float[Array, " b"], Bool[Array, ""]]:
    """Returns entropy and variance field of a reduced plane's blocks; whether it is singular."""
    rows, columns = (n // BLOCK for n in small.shape)
    small = small[: rows * BLOCK, : columns * BLOCK]
    h, w = ((n - 1) * BLOCK + 1 for n in (rows, columns))
    shifts = [small[i : i + h, j : j + w] for i in range(BLOCK) for j in range(BLOCK)]
    samples = jnp.stack(shifts).reshape(BLOCK**2, h * w)
    # A product: a mean XLA on CPU would compute anew for every sample.
    means = jnp.matmul(samples, jnp.full((h * w, 1), 1 / (h * w), small.dtype), precision=_HIGHEST)
    samples = samples - means
    covariance = jnp.matmul(samples, samples.T, precision=_HIGHEST) / (h * w)
    values = _eigenvalues(covariance)
    singular = ~(values >= _SMALLEST).all()
    invertible = jnp.where(singular, jnp.eye(BLOCK**2, dtype=small.dtype), covariance)
    blocks = small.reshape(rows, BLOCK, columns, BLOCK).transpose(1, 3, 0, 2)
    blocks = blocks.reshape(BLOCK**2, rows * columns)
    whitened = jnp.matmul(_whitening(invertible), blocks, precision=_HIGHEST)
    variance = (whitened**2).sum(0) / BLOCK**2
    variance = jnp.where(singular, 0, variance)
    values = jnp.maximum(values, 0)
    entropy = jnp.log2(values[:, None] * variance + settings.noise).sum(0) + BLOCK**2 * _UNIT
    return entropy, variance, singular


def _whitening(covariance: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """Returns `W`, lower triangular, of `W.T W = inverse(covariance)`.

    BLAS solves so small a system in one thread. For all blocks at once it would start others,
    which then wait busily on the cores that XLA computes on, at half the speed.
    """
    identity = jnp.eye(len(covariance), dtype=covariance.dtype)
    factor = jnp.linalg.cholesky(covariance)
    return jax.scipy.linalg.solve_triangular(factor, identity, lower=True)


@jax.custom_vjp
def _eigenvalues(covariance: Float[Array, "k k"]) -> Float[Array, " k"]:
    """Returns eigenvalues of a symmetric matrix; their gradient is finite for equal ones too."""
    return jnp.linalg.eigvalsh(covariance)


def _eigenvalues_forward(covariance: Array) -> tuple[Array, Array]:
    values, vectors = jnp.linalg.eigh(covariance)
    return values, vectors


def _eigenvalues_backward(vectors: Array, gradient: Array) -> tuple[Array]:
    return (jnp.matmul(vectors * gradient, vectors.T, precision=_HIGHEST),)


_eigenvalues.defvjp(_eigenvalues_forward, _eigenvalues_backward)


def _reduce(plane: Float[Array, "h w"], prescale: float) -> Float[Array, "h2 w2"]:
    """Scales, smooths and decimates a plane, and subtracts its local mean."""
    down, across = (reduction(n, prescale).astype(plane.dtype) for n in plane.shape)
    small = jnp.matmul(down, plane, precision=_HIGHEST)
    small = jnp.matmul(small, across.T, precision=_HIGHEST)
    mean = functools.partial(_window_matrix, _window(3, 3 / 5))
    down, across = (mean(n).astype(plane.dtype) for n in small.shape)
    local = jnp.matmul(jnp.matmul(down, small, precision=_HIGHEST), across.T, precision=_HIGHEST)
    return small - local


@functools.lru_cache
def reduction(n: int, prescale: float) -> npt.NDArray[np.float64]:
    """Returns scaling, smoothing and decimation of an axis of `n` samples as one matrix."""
    size = int(n * prescale + 0.5)
    smooth = _window_matrix(_window(9, math.sqrt(4) * 9 / 5), size)
    return smooth[::DECIMATION][: size // DECIMATION] @ _bilinear(n, size)


def _window(size: int, deviation: float) -> npt.NDArray[np.float64]:
    x = np.arange(size) - size // 2
    density = np.exp(-0.5 * (x / deviation) ** 2)
    return np.asarray(density / density.sum())


def _window_matrix(taps: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64]:
    """Returns a filter over an axis of `n` samples, mirrored about its ends, as a matrix."""
    matrix = np.zeros((n, n))
    for k, tap in enumerate(taps):
        at = np.abs(np.arange(n) + k - len(taps) // 2)
        at = np.where(at >= n, 2 * n - at - 2, at)
        np.add.at(matrix, (np.arange(n), np.clip(at, 0, n - 1)), tap)
    return matrix


def _bilinear(n: int, size: int) -> npt.NDArray[np.float64]:
    """Returns scaling of `n` samples to `size` as a matrix; positions in float32, as in libvmaf."""
    if n == size:
        return np.eye(n)
    ratio = np.float32(n) / np.float32(size)
    at = ((np.arange(size) + 0.5) * ratio.astype(np.float64) - 0.5).astype(np.float32)
    first, second = (_mirror(f(at).astype(int), n) for f in (np.floor, np.ceil))
    share = at - first.astype(np.float32)
    matrix = np.zeros((size, n))
    np.add.at(matrix, (np.arange(size), first), 1 - share)
    np.add.at(matrix, (np.arange(size), second), share)
    return matrix


def _mirror(at: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    at = np.where(at < 0, -at, at)
    return np.where(at > n - 1, 2 * (n - 1) - at, at)
