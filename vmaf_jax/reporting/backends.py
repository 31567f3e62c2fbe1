"""The comparison of backends as Markdown, and a frame on which they differ as a picture."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.metrics import (
    FEATURE_LIMIT,
    MOTION_LIMIT,
    SCORE_LIMIT,
    ColumnDifference,
)
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.reporting.plots import png

Luma = npt.NDArray[np.unsignedinteger[Any]]


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
        model: whose scores stand in the column `score`.
        versions: of each backend.
        beyond_libvmaf: by how much JAX is farther from libvmaf's integer extractors than libvmaf's
            own float ones on the same frame, at most, by feature.
        missed: what is over its limit, in words.
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
    """The content of `report.md`."""
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
                *(name, f"{column.max_abs:.2e}", f"{column.mean_abs:.2e}"),
                *([str(column.max_ulp)] if with_ulp else []),
                *(column.clip, str(column.frame)),
            ]
            for name, column in comparison.columns.items()
        ]
        lines += [
            f"## {comparison.ours} against {comparison.theirs}",
            "",
            *markdown_table(header, rows),
        ]
        lines += ["", f"![the frame with the largest difference]({comparison.picture})", ""]
    if report.beyond_libvmaf:
        lines += [
            "By how much JAX is farther from libvmaf's integer extractors than libvmaf's own float "
            "ones on the same frame, at most: "
            + ", ".join(f"{name} {value:.1e}" for name, value in report.beyond_libvmaf.items())
            + ".",
            "",
        ]
    lines += [
        "Limits: " + ("; ".join(report.missed) if report.missed else "all kept") + ".",
        "",
    ]
    return "\n".join(lines)


def picture(reference: Luma, distorted: Luma, title: str) -> bytes:
    """Reference, distorted and their difference side by side, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.2), layout="constrained")
    figure.suptitle(title, fontsize=9)
    gap = np.abs(reference.astype(np.int32) - distorted)
    shown = {"reference": reference, "distorted": distorted, "difference": gap}
    for axis, (name, values) in zip(figure.subplots(1, 3), shown.items(), strict=True):
        axis.imshow(values, cmap="gray", vmin=0, vmax=max(1, int(values.max())))
        axis.set_title(f"{name}, up to {int(values.max())}", fontsize=8)
        axis.axis("off")
    return png(figure)
