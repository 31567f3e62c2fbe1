"""`vmaf-jax compare-backends`: the same clips by libvmaf's integer and float extractors and by JAX.

The score is one model's over each backend's features, so that only the features differ. Which
frame is worst is told, and shown.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.corpora.extraction import extract_clips
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.agreement import (
    FEATURE_LIMIT,
    MOTION_LIMIT,
    SCORE_LIMIT,
    Columns,
    beyond,
    differences,
    missed,
)
from vmaf_jax.evaluation.cross_validation import to_json
from vmaf_jax.features.extract import DEFAULT_TEACHER
from vmaf_jax.features.feature_set import FEATURES, FLOAT_FEATURES
from vmaf_jax.features.ffmpeg import find_ffmpeg
from vmaf_jax.features.luma import LumaPair, frame_at
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import atomic_path, check_result_folder, write_bytes, write_text
from vmaf_jax.reporting import backends as reporting
from vmaf_jax.teacher import load_teacher

INTEGER, FLOAT, CPU = "libvmaf integer", "libvmaf float", "JAX CPU"
Progress = Callable[[list[Clip]], Callable[[int], None]]


def compare_backends(
    clips: list[Clip],
    out: Path,
    *,
    teacher: str = DEFAULT_TEACHER,
    progress: Progress = lambda clips: lambda frames: None,
) -> dict[str, Any]:
    """Writes `backends.json`, `report.md` and the worst frames' pictures, and returns the first.

    Its `missed` lists what of JAX against libvmaf's float extractors is over its limit.

    Raises:
        InputError: a clip cannot be measured, or `out` cannot be written.
    """
    check_result_folder(out, "backends.json")
    model = load_teacher(teacher)
    if model.feature_set != FEATURES:
        raise InputError(
            f"teacher {model.name!r} takes the feature set {model.feature_set.name}; name one over "
            f"{FEATURES.name}."
        )
    tables = _measured(clips, progress)
    columns: dict[str, Columns] = {
        name: {
            **dict(zip(FEATURES, table.features.T, strict=True)),
            "score": model(table.features),
        }
        for name, table in tables.items()
    }
    index = tables[INTEGER]
    pairs = [(FLOAT, INTEGER), (CPU, FLOAT), (CPU, INTEGER)]
    pairs += [(name, CPU) for name in tables if name not in (INTEGER, FLOAT, CPU)]
    comparisons: list[dict[str, Any]] = []
    for ours, theirs in pairs:
        computed = theirs == CPU
        found = differences(columns[ours], columns[theirs], ulp=computed)
        for entry in found.values():
            row = entry.pop("row")
            entry |= {"clip": str(index.clip[row]), "frame": int(index.index[row]), "row": row}
        comparisons.append({"ours": ours, "theirs": theirs, "columns": found})
    features_only = {
        name: {key: value for key, value in each.items() if key != "score"}
        for name, each in columns.items()
    }
    report: dict[str, Any] = {
        "frames": len(index),
        "clips": len(clips),
        "model": model.name,
        "versions": {
            name: f"{table.provenance['backend_version']}{_device(table)}"
            for name, table in tables.items()
        },
        "limits": {"feature": FEATURE_LIMIT, "motion": MOTION_LIMIT, "score": SCORE_LIMIT},
        "comparisons": comparisons,
        "beyond_libvmaf": beyond(features_only[CPU], features_only[INTEGER], features_only[FLOAT]),
    }
    held = [comparisons[1], *comparisons[3:]]  # JAX and libvmaf float, JAX and JAX elsewhere
    report["missed"] = [
        f"{each['ours']} against {each['theirs']}: {words}"
        for each in held
        for words in missed(each["columns"])
    ]
    report["missed"] += [
        f"{name} is {value:.2e} farther from the integer extractor than libvmaf's float one"
        for name, value in report["beyond_libvmaf"].items()
        if not name.startswith("motion") and not value <= FEATURE_LIMIT
    ]
    with atomic_path(out.absolute()) as folder:
        folder.mkdir()
        for comparison in comparisons:
            comparison["picture"] = _picture(folder, comparison, clips, index)
        write_text(folder / "backends.json", to_json(report))
        write_text(folder / "report.md", reporting.to_markdown(report))
    return report


def _measured(clips: list[Clip], progress: Progress) -> dict[str, FeatureTable]:
    tables = {
        INTEGER: extract_clips(clips, teachers=(), on_clip=progress(clips)),
        FLOAT: extract_clips(
            clips, teachers=(), feature_set=FLOAT_FEATURES, on_clip=progress(clips)
        ),
    }
    devices = {CPU: jax.devices("cpu")[0]}
    if (first := jax.devices()[0]).platform != "cpu":
        devices[f"JAX {first.platform.upper()}"] = first
    for name, device in devices.items():
        tables[name] = extract_clips(
            clips, backend="jax", teachers=(), device=device, on_clip=progress(clips)
        )
    return tables


def _device(table: FeatureTable) -> str:
    device = table.provenance.get("device")
    return f" on {device}" if device else ""


def _picture(
    folder: Path, comparison: dict[str, Any], clips: list[Clip], index: FeatureTable
) -> str:
    """Draws the frame with the largest difference in score; returns the picture's name."""
    worst = comparison["columns"]["score"]
    first_rows = np.flatnonzero(index.index == 0)
    clip = clips[int(np.searchsorted(first_rows, worst["row"], side="right")) - 1]
    pair = LumaPair(find_ffmpeg(), clip.reference, clip.distorted)
    try:
        reference, distorted = frame_at(pair, worst["frame"])
    finally:
        pair.close()
    name = f"{comparison['ours']} and {comparison['theirs']}".replace(" ", "_").lower() + ".png"
    title = (
        f"{clip.source}/{clip.name}, frame {worst['frame']}: {comparison['ours']} "
        f"{worst['ours']:.4f}, {comparison['theirs']} {worst['theirs']:.4f}"
    )
    write_bytes(folder / name, reporting.picture(reference, distorted, title))
    return name
