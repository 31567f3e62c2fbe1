"""The folder that `calibrate` writes: a model of titles, its files for other hosts, and its card.

`clips.csv`, `model.onnx`, its sidecar `model.json` with the calibration, `base.onnx` or
`base.libvmaf.json`, which is the base model, `model.libvmaf.json` where that is one of libvmaf's
kind, and `card.md`. `score --model FOLDER` takes it.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vmaf_jax.corpora.votes import RatedClip
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.title_process import (
    KNOTS,
    Floats,
    Integers,
    Ratings,
    TitleProcess,
    VoteCurve,
    fit_curve,
)
from vmaf_jax.export.contract import MAX_BYTES
from vmaf_jax.export.sidecar import (
    LICENSE,
    Label,
    Origin,
    RatedEntry,
    TitleCalibration,
    TitleEntry,
    check_sidecar,
    write_sidecar,
)
from vmaf_jax.export.teacher_onnx import write_curve_libvmaf, write_curve_onnx
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.files import read_limited, to_json, write_bytes, write_text
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.runs.locate import find_run
from vmaf_jax.scoring.measured_clips import MeasuredClips, logistic_of
from vmaf_jax.scoring.model import Model, is_teacher
from vmaf_jax.tables.table import LabelScale, votes_a_point
from vmaf_jax.teacher import Teacher, load_teacher

LIBVMAF = "model.libvmaf.json"
_BASE_LIBVMAF, _BASE_ONNX = "base.libvmaf.json", "base.onnx"


@dataclasses.dataclass(frozen=True)
class CalibratedTitles:
    """All that a folder is written from.

    Attributes:
        base: The base model, as the user named it.
        model: The same, loaded.
        measured: The table's clips.
        rated, ratings: Votes on some of them, in one order.
        codec: Of each of the table's clips; None where they are not named.
        rows: The clips that the curve is fitted to, `[m]`.
        mean, deviation: Predicted of those, points, `[m]`.
        scale: The worst and the best vote.
    """

    base: str | Path
    model: Model
    process: TitleProcess
    measured: MeasuredClips
    rated: Sequence[RatedClip]
    ratings: Ratings
    codec: Sequence[str] | None
    rows: Integers
    mean: Floats
    deviation: Floats
    scale: LabelScale


def write_model(folder: Path, name: str, calibration: CalibratedTitles) -> None:
    """Writes all but `clips.csv` into an empty folder.

    Raises:
        InputError: The base model has no file that could be copied.
    """
    logistic = logistic_of(calibration.model, calibration.process)
    curve = fit_curve(
        calibration.measured.weights[calibration.rows],
        calibration.mean,
        calibration.deviation,
        KNOTS if logistic is None else logistic(KNOTS),
    )
    base, libvmaf = _copy_base(calibration.base, folder)
    write_curve_onnx(base, curve, name, folder / "model.onnx")
    if libvmaf is not None and libvmaf.transform is None:
        write_curve_libvmaf(libvmaf, curve, folder / LIBVMAF)
    file = _BASE_LIBVMAF if isinstance(base, Teacher) else _BASE_ONNX
    record = _record(calibration, curve, file)
    origin = Origin(
        name=name,
        pooling="mean",  # of the curve's frames, as libvmaf pools them
        label=Label(name="mos", scale=calibration.scale),
        license=LICENSE,
        calibrated=record,
    )
    write_sidecar(folder / "model.onnx", origin)
    error = calibration.measured.weights[calibration.rows] @ curve.votes - calibration.mean
    apart = float(np.sqrt(np.mean(np.square(error)))) * votes_a_point(calibration.scale)
    hosts = [file for file in ("model.onnx", LIBVMAF) if (folder / file).is_file()]
    write_text(folder / "card.md", _card(name, record, calibration.scale, apart, hosts))


def _copy_base(base: str | Path, folder: Path) -> tuple[Teacher | Path, Teacher | None]:
    """Copies the base model; returns it, and its libvmaf form where it has one."""
    text = str(base)
    if is_teacher(text):
        teacher = load_teacher(text)
        write_text(folder / _BASE_LIBVMAF, to_json(teacher.model.document))
        return teacher, teacher
    source = Path(text) if text.endswith(".onnx") else find_run(text) / "model.onnx"
    if not source.is_file():
        raise InputError(f"{source}: no such file, of the base model; export it there first.")
    copy = folder / _BASE_ONNX
    write_bytes(copy, read_limited(source, "ONNX_BYTES", MAX_BYTES))
    if (origin := check_sidecar(source)) is not None:
        write_sidecar(copy, origin)
    libvmaf = source.with_name(LIBVMAF)
    return copy, load_teacher(libvmaf) if libvmaf.is_file() else None


def _record(calibration: CalibratedTitles, curve: VoteCurve, base: str) -> TitleCalibration:
    measured, ratings = calibration.measured, calibration.ratings
    logistic = logistic_of(calibration.model, calibration.process)
    title = measured.clips.title
    motion2 = measured.features[:, FEATURES.names.index("motion2")]
    test = measured.clips.experiment
    # Those of a test without votes stay strangers, so that `score` warns of them.
    known = np.unique(title[np.isin(test, test[ratings.row])])
    titles = []
    for number in known:
        rows = np.flatnonzero(title == number)
        experiment = None if measured.experiment is None else measured.experiment[rows[0]]
        titles.append(
            TitleEntry(
                source=measured.source[rows[0]],
                experiment=experiment,
                motion2=float(np.median(motion2[rows])),
            )
        )
    rated = [
        RatedEntry(
            clip=clip.clip,
            title=int(np.searchsorted(known, title[row])),
            expected=float(measured.clips.expected[row]),
            compared=measured.clips.compared[row].tolist(),
            mos=float(ratings.mos[k]),
            variance=float(ratings.variance[k]),
            viewers=clip.viewers,
            codec=None if calibration.codec is None else calibration.codec[row],
        )
        for k, (row, clip) in enumerate(zip(ratings.row, calibration.rated, strict=True))
    ]
    return TitleCalibration(
        base=base,
        base_name=calibration.model.name,
        centre=None if logistic is None else logistic.centre,
        width=None if logistic is None else logistic.width,
        hyperparameters=calibration.process.hyperparameters,
        panel=float(np.median(ratings.variance)),
        titles=titles,
        rated=rated,
        curve=curve.votes.tolist(),
        judged_on=calibration.process.judged_on,
    )


def _card(
    name: str, record: TitleCalibration, scale: LabelScale, apart: float, hosts: Sequence[str]
) -> str:
    rows = []
    for k, title in enumerate(record.titles):
        rated = [entry for entry in record.rated if entry.title == k]
        viewers = sorted({entry.viewers for entry in rated if entry.viewers is not None})
        shown = " to ".join(map(str, dict.fromkeys((viewers[0], viewers[-1])))) if viewers else ""
        rows.append([title.source, str(len(rated)), shown or "not stated"])
    lines = [
        f"# {name}: {record.base_name}, calibrated by votes",
        "",
        f"Predicts the mean vote, from {scale[0]:g} to {scale[1]:g}, that the viewers of these "
        f"titles would give to an encode of them. On others it warns, with wider intervals.",
        "",
        *markdown_table(["title", "rated clips", "viewers of each"], rows),
        "",
        "## Use",
        "",
        f"    vmaf-jax score reference.y4m distorted.mp4 --model {name}",
        "",
        "prints points, the vote and its interval. It takes what the votes say of each clip by its "
        "features.",
        "",
        f"For other hosts: {' and '.join(f'`{file}`' for file in hosts)}. There, one rising curve "
        f"turns the score of a frame into points, and a clip's points are the mean over frames. A "
        f"vote is {scale[0]:g} + {votes_a_point(scale):g} x points. Over the clips of the table it "
        f"differs from that of `score` by {apart:.2f} votes (root mean square).",
        "",
        "## Accuracy",
        "",
        record.judged_on,
        "",
    ]
    return "\n".join(lines)
