"""Quality maps of frames of a pair: where a feature loses quality, by tiles of 32x32 pixels.

JAX computes them, so they need the extra `train`.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Unpack

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vmaf_jax.environment import keep_programs_by_default
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import VideoLike, as_video
from vmaf_jax.extraction.jax import FrameShape, unpack_planes
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.features.maps import TILE, luma_maps, v1_maps
from vmaf_jax.features.v1 import Planes, settings_of, too_small
from vmaf_jax.files import check_writable, is_folder, write_together
from vmaf_jax.printable import format_count
from vmaf_jax.reporting.plots import MAP_KINDS, heat_picture
from vmaf_jax.scoring.measured_pair import plan_again
from vmaf_jax.scoring.scores import Scores
from vmaf_jax.scoring.worst_frames import mark_lowest
from vmaf_jax.video.arrays import arrays_as_files
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, ComparisonOptions
from vmaf_jax.video.decode import DecodedPair, sample_dtype
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import VideoPair

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class QualityMap:
    """Quality maps of one frame.

    Attributes:
        frame: Its number, of the frames compared.
        luma: Of the distorted picture, 0 to 1, `[h, w]`.
        values: By feature, a value for each tile of 32x32 pixels, `[rows, columns]`, no unit: `vif`
            and `adm` are 1 where the tile is like the reference; `cambi` and `speed_chroma_uv` (of
            VMAF v1) are 0 without banding and without a difference of chroma.
    """

    frame: int
    luma: npt.NDArray[np.float32]
    values: Mapping[str, Floats]

    def loss(self, feature: str) -> Floats:
        """Returns a feature's map as 0 (as good as the reference) to 1 (all lost)."""
        values = self.values[feature]
        worst = MAP_KINDS[feature].top
        return np.clip(1 - values if worst is None else values / worst, 0, 1)

    def png(self, feature: str) -> bytes:
        """Returns the distorted picture with a feature's loss laid over it, PNG."""
        h, w = self.luma.shape
        tiles = self.loss(feature)
        return heat_picture(self.luma, np.kron(tiles, np.ones((TILE, TILE)))[:h, :w])


def quality_map(
    reference: VideoLike,
    distorted: VideoLike,
    frame: int = 0,
    *,
    feature_set: FeatureSet = FEATURES,
    bits: int = 8,
    comparison: Comparison = DEFAULT_COMPARISON,
    **options: Unpack[ComparisonOptions],
) -> QualityMap:
    """Computes the quality maps of one frame of a pair.

    Examples:
        >>> quality_map(luma, luma).values["vif"].shape
        (2, 2)

    Args:
        reference, distorted: As for `score`.
        frame: Its number, of the frames compared, from 0.
        feature_set: One of VMAF v1 adds `cambi` and `speed_chroma_uv`.
        bits: Of arrays: 8, 10 or 12.
        comparison: What is allowed where the two differ.
        options: Attributes of `Comparison` by name; they replace those of `comparison`.

    Raises:
        InputError: The pair cannot be measured, or has no such frame.
    """
    keep_programs_by_default()
    comparison = dataclasses.replace(comparison, **options)
    with arrays_as_files(reference, distorted, bits) as files:
        pair = (as_video(files[0], None, None, None), as_video(files[1], None, None, None))
        return next(quality_maps(pair, [frame], feature_set, comparison))


def quality_maps(
    pair: VideoPair, frames: Sequence[int], feature_set: FeatureSet, comparison: Comparison
) -> Iterator[QualityMap]:
    """Yields the quality maps of frames of a pair, by rising number, decoding it once.

    Raises:
        InputError: As `quality_map`.
    """
    decoder = DecodedPair(find_ffmpeg(), *pair, comparison=comparison, planes=feature_set.planes)
    with contextlib.closing(decoder):
        shape = FrameShape(decoder.height, decoder.width, *decoder.chroma)
        if feature_set.planes > 1 and (problem := too_small(shape[:2], shape[2:], feature_set)):
            raise InputError(f"{pair[0].path}: {problem}")
        packed = np.zeros((2, 1, shape.samples), sample_dtype(decoder.bits))
        wanted = sorted(set(frames))
        if wanted and wanted[0] < 0:
            raise InputError(f"frame {wanted[0]}: expected 0 or more.")
        for number in range(wanted[-1] + 1 if wanted else 0):
            if not decoder.read(packed[0], packed[1]):
                raise InputError(
                    f"{pair[1].path}: has {format_count(number, 'frame')} to compare, so there is "
                    f"no map of frame {wanted[-1]}; lower it."
                )
            if number in wanted:
                yield _map(number, packed, shape, decoder, feature_set)


def _map(
    number: int,
    packed: np.ndarray,
    shape: FrameShape,
    decoder: DecodedPair,
    feature_set: FeatureSet,
) -> QualityMap:
    bits, encode = decoder.bits, decoder.plan.encode
    luma = packed[:, 0, : shape.height * shape.width].reshape(2, *shape[:2]) / 2.0 ** (bits - 8)
    reference, distorted = jnp.asarray(luma, jnp.float32)
    maps = dict(luma_maps(reference, distorted, feature_set.gain_limit))
    if feature_set.planes > 1:
        planes = (unpack_planes(jnp.asarray(frames), shape) for frames in packed)
        x, y = (Planes(p.y[0], p.u[0], p.v[0]) for p in planes)
        maps |= v1_maps(x, y, bits, settings_of(feature_set, encode))
    values = {name: np.asarray(value, np.float64) for name, value in maps.items()}
    return QualityMap(number, (luma[1] / 255).astype(np.float32), values)


def maps_of_scores(scores: Scores, frames: Sequence[int]) -> Iterator[QualityMap]:
    """Yields the quality maps of frames of a scored clip, by rising number.

    Args:
        frames: Their numbers in the table.

    Raises:
        InputError: The videos cannot be read again.
    """
    keep_programs_by_default()
    pair, _, _ = plan_again(scores)
    videos = (pair.reference, pair.distorted)
    yield from quality_maps(videos, frames, scores.table.feature_set, pair.comparison)


def check_map_folder(folder: Path) -> None:
    """Checks, before long work, that maps can be written to a folder, which need not exist.

    Raises:
        InputError: They cannot.
    """
    if folder.exists() and not is_folder(folder):
        raise InputError(f"{folder}: a file; name a folder for maps.")
    check_writable(folder)


def write_maps(folder: Path, scores: Scores) -> list[Path]:
    """Writes the maps of a clip's lowest frames, and of its worst region's, PNG.

    Raises:
        InputError: The videos cannot be read again, or the folder cannot be written.
    """
    frames = mark_lowest(scores)
    if scores.worst_region is not None:
        frames.append(scores.worst_region.frame)
    pictures = {
        folder / f"frame{found.frame:06d}-{feature}.png": found.png(feature)
        for found in maps_of_scores(scores, frames)
        for feature in found.values
    }
    write_together(pictures)
    return list(pictures)
