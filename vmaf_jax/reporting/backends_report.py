"""The comparison of backends: its values, as Markdown and as a terminal table."""

import dataclasses

from rich.table import Table

from vmaf_jax.evaluation.metrics import FEATURE_LIMIT, MOTION_LIMIT, SCORE_LIMIT, ColumnDifference
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.reporting.terminal import show_table


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
    """

    frames: int
    clips: int
    model: str
    versions: dict[str, str]
    comparisons: list[BackendComparison]
    beyond_libvmaf: dict[str, float]
    missed: list[str]
    limits: dict[str, float] = dataclasses.field(
        default_factory=lambda: {
            "feature": FEATURE_LIMIT,
            "motion": MOTION_LIMIT,
            "score": SCORE_LIMIT,
        }
    )


def to_markdown(report: BackendsReport) -> str:
    """Returns the content of `report.md`."""
    lines = [
        "# Backends compared",
        "",
        f"{report.frames} frames of {report.clips} clips; score: {report.model} over each "
        f"backend's features, VMAF points.",
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


def show_backends(report: BackendsReport) -> None:
    """Shows a section for each pair of backends, a row a column."""
    view = Table("", "feature", "max", "mean", "worst: clip", "frame")
    for comparison in report.comparisons:
        title = f"{comparison.ours} against {comparison.theirs}"
        for name, column in comparison.columns.items():
            figures = [f"{column.max_abs:.2e}", f"{column.mean_abs:.2e}"]
            view.add_row(title, name, *figures, column.clip, str(column.frame))
            title = ""
        view.add_section()
    show_table(view)
