"""The job `compare-backends`: clips measured by libvmaf's integer and float extractors and by JAX.

Of VMAF v1's features libvmaf has no float extractors, so JAX is compared with the integer ones. The
score is one model's over each backend's features, so that only the features differ.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from vmaf_jax.evaluation.metrics import (
    FEATURE_LIMIT,
    OFFICIAL_SCORE_LIMIT,
    SCORE_LIMIT,
    ColumnDifference,
    Columns,
    column_differences,
    column_limits,
    excess_over_floats,
    missed_limits,
)
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.libvmaf import other_build
from vmaf_jax.extraction.request import Request
from vmaf_jax.features.feature_set import (
    FEATURES,
    FLOAT_FEATURES,
    FLOAT_NEG_FEATURES,
    NEG_FEATURES,
    V1_SETS,
    FeatureSet,
)
from vmaf_jax.files import (
    atomic_path,
    check_result_folder,
    claim_result_folder,
    to_json,
    write_bytes,
    write_text,
)
from vmaf_jax.printable import format_count
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.reporting.plots import plot_frame
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.teacher import DEFAULT_TEACHER, Teacher, load_teacher
from vmaf_jax.video.decode import DecodedPair, frame_at
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Clip

# The sets of libvmaf's integer and float extractors, by the name of either.
_INTEGER_AND_FLOAT: dict[str, tuple[FeatureSet, FeatureSet | None]] = {
    FEATURES.name: (FEATURES, FLOAT_FEATURES),
    FLOAT_FEATURES.name: (FEATURES, FLOAT_FEATURES),
    NEG_FEATURES.name: (NEG_FEATURES, FLOAT_NEG_FEATURES),
    FLOAT_NEG_FEATURES.name: (NEG_FEATURES, FLOAT_NEG_FEATURES),
    **{v1.name: (v1, None) for v1 in V1_SETS},
}
INTEGER, FLOAT, CPU = "libvmaf integer", "libvmaf float", "JAX CPU"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorstDifference(ColumnDifference):
    """Difference of a column between two backends, with the frame and clip of its maximum."""

    clip: str
    frame: int


@dataclasses.dataclass(frozen=True)
class BackendComparison:
    """Two backends on the same frames; `picture` is the name of the worst frame's file."""

    ours: str
    theirs: str
    columns: dict[str, WorstDifference]
    picture: str


@dataclasses.dataclass(frozen=True)
class BackendsReport:
    """The content of `backends.json`.

    Attributes:
        model: name of the model whose scores stand in the column `score`.
        versions: of each backend.
        beyond_libvmaf: by how much JAX is farther from libvmaf's integer extractors than libvmaf's
            own float ones on the same frame, at most, by feature.
        missed: a sentence on each column over its limit.
        limits: of each column between JAX and what it is compared with first; relative of motion2
            and SpEED.
    """

    frames: int
    clips: int
    model: str
    versions: dict[str, str]
    comparisons: list[BackendComparison]
    beyond_libvmaf: dict[str, float]
    missed: list[str]
    limits: dict[str, float]


def compare_backends(
    clips: list[Clip],
    out: Path,
    *,
    teacher: str = DEFAULT_TEACHER,
    overwrite: bool = False,
    progress: Progress = NO_PROGRESS,
) -> BackendsReport:
    """Measures the clips by every backend and writes the differences to the folder `out`.

    Files are `backends.json`, `report.md`, and a picture of the worst frame of each comparison.

    Args:
        teacher: The model whose scores are compared.
        overwrite: Whether an earlier report in `out` is replaced.

    Returns:
        The content of `backends.json`; its `missed` lists differences over their limits.

    Raises:
        InputError: A clip cannot be measured, or `out` cannot be written.
    """
    check_result_folder(out, "backends.json", overwrite=overwrite)
    model = load_teacher(teacher)
    integer_set, float_set = _INTEGER_AND_FLOAT[model.feature_set.name]
    tables = _measure(clips, integer_set, float_set, progress)
    columns = {name: _columns(table, model) for name, table in tables.items()}
    index = tables[INTEGER]
    pairs = [(CPU, INTEGER)]
    if FLOAT in tables:
        pairs = [(FLOAT, INTEGER), (CPU, FLOAT), *pairs]
    pairs += [(name, CPU) for name in tables if name not in (INTEGER, FLOAT, CPU)]
    claim = claim_result_folder(out, "backends.json", overwrite=overwrite)
    with claim, atomic_path(out.absolute()) as folder:
        folder.mkdir()
        comparisons = [_compare(pair, columns, index, clips, folder) for pair in pairs]
        excess = {}
        if FLOAT in tables:
            excess = excess_over_floats(
                _without_score(columns[CPU]),
                _without_score(columns[INTEGER]),
                _without_score(columns[FLOAT]),
            )
        result = BackendsReport(
            frames=len(index),
            clips=len(clips),
            model=model.name,
            versions={name: _backend_version(table) for name, table in tables.items()},
            comparisons=comparisons,
            beyond_libvmaf=excess,
            missed=_list_missed(comparisons, excess),
            limits=column_limits(
                columns[CPU], SCORE_LIMIT if FLOAT in tables else OFFICIAL_SCORE_LIMIT
            ),
        )
        write_text(folder / "backends.json", to_json(result))
        write_text(folder / "report.md", to_markdown(result))
    return result


def _columns(table: FeatureTable, model: Teacher) -> Columns:
    features = dict(zip(model.feature_set, table.features.T, strict=True))
    return {**features, "score": model(table.features)}


def _without_score(columns: Columns) -> Columns:
    return {name: column for name, column in columns.items() if name != "score"}


def _measure(
    clips: list[Clip], integer_set: FeatureSet, float_set: FeatureSet | None, progress: Progress
) -> dict[str, FeatureTable]:
    """Measures the clips by every backend of this machine; returns the tables by backend."""

    def measure(request: Request, backend: str = "libvmaf") -> FeatureTable:
        return extract_clips(clips, request, backend=backend, on_clip=progress.clips(clips))

    tables = {INTEGER: measure(Request((), integer_set))}
    if float_set is not None:
        tables[FLOAT] = measure(Request((), float_set))
    # Always on the CPU too, so that a GPU is compared with the same program elsewhere.
    devices = {CPU: jax.devices("cpu")[0]}
    if (first := jax.devices()[0]).platform != "cpu":
        devices[f"JAX {first.platform.upper()}"] = first
    for name, device in devices.items():
        tables[name] = measure(Request((), integer_set, device=device), "jax")
    return tables


def _backend_version(table: FeatureTable) -> str:
    device, version = table.provenance.get("device"), table.provenance["backend_version"]
    if device:
        return f"{version} on {device}"
    note = other_build(version)
    return f"{version} of ffmpeg {table.provenance['ffmpeg_version']}{note and f' ({note})'}"


def _compare(
    pair: tuple[str, str],
    columns: dict[str, Columns],
    index: FeatureTable,
    clips: list[Clip],
    folder: Path,
) -> BackendComparison:
    ours, theirs = pair
    by_column = {
        name: WorstDifference(
            **vars(difference),
            clip=str(index.clip[difference.row]),
            frame=int(index.index[difference.row]),
        )
        for name, difference in column_differences(
            columns[ours], columns[theirs], ulp=theirs == CPU
        ).items()
    }
    name = f"{ours} and {theirs}".replace(" ", "_").lower() + ".png"
    worst = by_column["score"]
    write_bytes(folder / name, _draw_worst_frame(pair, worst, index, clips))
    return BackendComparison(ours, theirs, by_column, name)


def _list_missed(comparisons: list[BackendComparison], excess: dict[str, float]) -> list[str]:
    """Returns what is over its limit, in words.

    JAX is compared with libvmaf's float extractors, or the integer ones where there are no others,
    and with JAX on the CPU where it ran on another device too.
    """
    nearest = FLOAT if excess else INTEGER
    lines = [
        f"{comparison.ours} against {comparison.theirs}: {words}"
        for comparison in comparisons
        if comparison.theirs in (nearest, CPU)
        for words in missed_limits(
            comparison.columns,
            OFFICIAL_SCORE_LIMIT if comparison.theirs == INTEGER else SCORE_LIMIT,
        )
    ]
    lines += [
        f"{name} is {value:.2e} farther from the integer extractor than libvmaf's float one"
        for name, value in excess.items()
        if not name.startswith("motion") and not value <= FEATURE_LIMIT
    ]
    return lines


def _draw_worst_frame(
    pair: tuple[str, str], worst: WorstDifference, index: FeatureTable, clips: list[Clip]
) -> bytes:
    """Draws the frame with the largest difference in score, PNG."""
    first_rows = np.flatnonzero(index.index == 0)
    clip = clips[int(np.searchsorted(first_rows, worst.row, side="right")) - 1]
    luma = DecodedPair(find_ffmpeg(), clip.reference, clip.distorted)
    try:
        reference, distorted = frame_at(luma, worst.frame)
    finally:
        luma.close()
    title = (
        f"{clip.source}/{clip.name}, frame {worst.frame}: {pair[0]} {worst.ours:.4f}, {pair[1]} "
        f"{worst.theirs:.4f}"
    )
    return plot_frame(reference, distorted, title)


def to_markdown(report: BackendsReport) -> str:
    """Returns the content of `report.md`."""
    lines = [
        "# Backends compared",
        "",
        f"{format_count(report.frames, 'frame')} of {format_count(report.clips, 'clip')}; score: "
        f"{report.model} over each backend's features, VMAF points.",
        "",
        *(f"- {name}: {version}" for name, version in report.versions.items()),
        "",
    ]
    for comparison in report.comparisons:
        with_ulp = comparison.columns["score"].max_ulp is not None
        header = ["", "max", "mean", *(["max ULP"] if with_ulp else []), "worst: clip", "frame"]
        rows = [
            [
                name,
                f"{column.max_abs:.2e}",
                f"{column.mean_abs:.2e}",
                *([str(column.max_ulp)] if with_ulp else []),
                column.clip,
                str(column.frame),
            ]
            for name, column in comparison.columns.items()
        ]
        lines += [
            f"## {comparison.ours} against {comparison.theirs}",
            "",
            *markdown_table(header, rows),
            "",
            f"![the frame with the largest difference]({comparison.picture})",
            "",
        ]
    if report.beyond_libvmaf:
        excess = ", ".join(f"{name} {value:.1e}" for name, value in report.beyond_libvmaf.items())
        lines += [
            f"By how much JAX is farther from libvmaf's integer extractors than libvmaf's own "
            f"float ones on the same frame, at most: {excess}.",
            "",
        ]
    missed = "; ".join(report.missed) if report.missed else "all kept"
    return "\n".join([*lines, f"Limits: {missed}.", ""])
