"""The request to an extraction backend: feature set, teachers, extra metrics and comparison."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vmaf_jax.environment import __version__
from vmaf_jax.errors import InputError, check_choice, did_you_mean
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.files import cache_dir
from vmaf_jax.tables.table import RESERVED_COLUMNS, FeatureTable
from vmaf_jax.teacher.model_file import DEFAULT_TEACHER, check_model_file, refuse_old_kinds
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.inputs import Video

ENGINES = ("local", "ray")  # over which the pairs of one request are spread
TableOrError = FeatureTable | InputError  # of one pair: its table, or why there is none


@dataclasses.dataclass(frozen=True)
class Request:
    """Settings of an extraction.

    Attributes:
        teachers: names or JSON files of models whose scores become labels.
        feature_set: which features; their gain limits go with it.
        comparison: what is allowed where the two videos of a pair differ.
        cache: folder of results, by default `features` in the user's cache.
        jobs: pairs that libvmaf measures at a time, by default one per core; the remaining cores
            go to its threads.
        threads: of libvmaf for a pair, by default an even share of the cores; they change no value.
        extra_metrics: other metrics that libvmaf computes in the same pass, a column each.
        on_frames: called with the number of further frames measured, of any pair; or None.
        device: the `jax.Device` that JAX computes on, by default its first.
    """

    teachers: tuple[str, ...] = (DEFAULT_TEACHER,)
    feature_set: FeatureSet = FEATURES
    comparison: Comparison = DEFAULT_COMPARISON
    cache: Path | None = None
    jobs: int | None = None
    threads: int | None = None
    on_frames: Callable[[int], None] | None = None
    device: Any = None
    extra_metrics: tuple[str, ...] = ()

    @property
    def cache_folder(self) -> Path:
        """Folder of results."""
        return cache_dir() / "features" if self.cache is None else self.cache


# Fields that change no value. (The device can; the JAX backend adds it to the key itself.)
_WITHOUT_EFFECT = ("cache", "jobs", "threads", "on_frames", "device")


def request_key(request: Request, teachers: Sequence[tuple[str, str | None]]) -> dict[str, object]:
    """Returns all of a request that its results depend on, for JSON, and this program's version.

    Another version may refuse what this one measures, or warn of it in other words. Fields are left
    out by name, not taken by name, so that a new field is in the names of cached results from its
    first day.

    Args:
        teachers: name of each teacher, and a digest of its model (None for one of libvmaf's own).
    """
    values = dataclasses.asdict(dataclasses.replace(request, on_frames=None, device=None))
    settings = {k: v for k, v in values.items() if k not in _WITHOUT_EFFECT}
    return settings | {"teachers": teachers, "version": __version__}


def video_key(video: Video) -> dict[str, object]:
    """Returns all that is said of a file but its name, for JSON."""
    values = dataclasses.asdict(video)
    return {k: v for k, v in values.items() if k != "path"} | {"is_raw": video.is_raw}


def check_engine(engine: str, address: str | None) -> None:
    """Raises InputError for an unknown engine, or for a cluster's address without a cluster."""
    check_choice(f"--engine {engine}", engine, ENGINES)
    if engine == "local" and address is not None:
        raise InputError("--address is of a Ray cluster; add --engine ray, or drop it.")


class Metric(NamedTuple):
    """A metric that libvmaf computes beside VMAF.

    Attributes:
        extractor: libvmaf's name of what computes it.
        key: its name in the frames of a log.
        each_way: pixels that both sides of a picture need.
        one_way: pixels that one side needs.
        reads_chroma: whether luma alone does not suffice.
    """

    extractor: str
    key: str
    each_way: int = 0
    one_way: int = 0
    reads_chroma: bool = False


# PSNR (of luma, dB), SSIM and MS-SSIM (no unit, 1 is equal), CIEDE2000 and PSNR-HVS (dB; infinite
# where the two pictures are equal), CAMBI (banding of the distorted video alone, 0 is none).
# Source: libvmaf's `doc/features.md`, `ssim.c`, `cambi.c` and `ciede.c`.
METRICS = {
    "psnr": Metric("psnr", "psnr_y"),
    "ssim": Metric("float_ssim", "float_ssim"),
    "ms_ssim": Metric("float_ms_ssim", "float_ms_ssim", each_way=176),  # five scales, 11 taps
    "ciede2000": Metric("ciede", "ciede2000", reads_chroma=True),
    "psnr_hvs": Metric("psnr_hvs", "psnr_hvs", reads_chroma=True),
    "cambi": Metric("cambi", "cambi", one_way=216),
}


def parse_extra_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """Returns names of `METRICS`, each once, in their order.

    Raises:
        InputError: one is unknown.
    """
    for name in names:
        if name not in METRICS:
            raise InputError(
                f"extra metric {name!r}: no such metric; expected {', '.join(METRICS)}."
                f"{did_you_mean(name, METRICS)}"
            )
    return tuple(dict.fromkeys(names))


def filter_option(names: Sequence[str]) -> str:
    """Returns the option of ffmpeg's libvmaf filter that computes metrics; "" for none."""
    extractors = "|".join(f"name={METRICS[name].extractor}" for name in names)
    return f":feature={extractors}" if names else ""


def too_small_for(names: Sequence[str], height: int, width: int) -> str | None:
    """Returns why pictures of that size cannot be measured; None where they can."""
    for name in names:
        metric = METRICS[name]
        if min(height, width) < metric.each_way or max(height, width) < metric.one_way:
            needed = f"{metric.each_way or metric.one_way} pixels"
            ways = "each way" if metric.each_way else "one way at least"
            return (
                f"pictures of {width}x{height} are too small for --extra-metrics {name}, which "
                f"needs {needed} {ways}; drop it."
            )
    return None


# Neither ffmpeg's filter nor a column has to escape these.
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class LibvmafModel:
    """A model for libvmaf to run: one of its own when `path` is None, else a JSON file."""

    name: str
    path: Path | None = None


def resolve_teacher(name_or_path: str) -> LibvmafModel:
    """Returns libvmaf's own model of a name, or that of a JSON file, whose stem is its name.

    Raises:
        InputError: the file is missing or no sound model, or the name has characters no model has.
    """
    refuse_old_kinds(name_or_path)
    if name_or_path.endswith(".json"):
        path = Path(name_or_path)
        name = path.stem
    else:
        path, name = None, name_or_path
    if not _MODEL_NAME.fullmatch(name):
        raise InputError(f"teacher {name!r}: letters, digits, '.', '_' and '-' only; rename it.")
    if name in RESERVED_COLUMNS:
        raise InputError(f"teacher {name!r} has the name of another column; rename the file.")
    if path is not None:
        check_model_file(path)
    return LibvmafModel(name, path)


def resolve_teachers(names_or_paths: tuple[str, ...]) -> list[LibvmafModel]:
    """Returns the models of teachers, each once.

    Raises:
        InputError: as `resolve_teacher`, or two files share a name.
    """
    models = [resolve_teacher(name) for name in dict.fromkeys(names_or_paths)]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"teacher {name!r} is named twice; rename one of the files.")
    return models
