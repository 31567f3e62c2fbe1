"""The comparison of backends as Markdown, and a frame on which they differ as a picture."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.reporting.plots import png

Luma = npt.NDArray[np.unsignedinteger[Any]]


def to_markdown(report: dict[str, Any]) -> str:
    """The content of `report.md`."""
    lines = [
        "# Backends compared",
        "",
        f"{report['frames']} frames of {report['clips']} clips; score: {report['model']} over each "
        f"backend's features, VMAF points.",
        "",
        *(f"- {name}: {version}" for name, version in report["versions"].items()),
        "",
    ]
    for comparison in report["comparisons"]:
        columns = comparison["columns"]
        with_ulp = "max_ulp" in columns["score"]
        header = ["", "max", "mean", *(["max ULP"] if with_ulp else []), "worst: clip", "frame"]
        lines += [f"## {comparison['ours']} against {comparison['theirs']}", ""]
        lines += [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
        for name, entry in columns.items():
            cells = [name, f"{entry['max_abs']:.2e}", f"{entry['mean_abs']:.2e}"]
            cells += [str(entry["max_ulp"])] if with_ulp else []
            lines.append(f"| {' | '.join([*cells, entry['clip'], str(entry['frame'])])} |")
        lines += ["", f"![the frame with the largest difference]({comparison['picture']})", ""]
    lines += [
        "By how much JAX is farther from libvmaf's integer extractors than libvmaf's own float "
        "ones on the same frame, at most: "
        + ", ".join(f"{name} {value:.1e}" for name, value in report["beyond_libvmaf"].items())
        + ".",
        "",
        "Limits: " + ("; ".join(report["missed"]) if report["missed"] else "all kept") + ".",
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
