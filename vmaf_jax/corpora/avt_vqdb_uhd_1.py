"""AVT-VQDB-UHD-1 and its successors, in a user's own clones of their public repositories.

Laboratory tests at UHD-1 with ACR votes, 1 to 5. Each has a table of scores, a row a video (or a
row a vote), and a log of libvmaf at 3840x2160 for each video:

    avt_vqdb_uhd_1           test_N/mos_ci.csv                  test_N/vmaf_reports/VIDEO_vmaf.json
    avt_vqdb_uhd_1_nvc       subjective.csv                     metrics/vmaf/VIDEO.vmaf.json
    avt_vqdb_uhd_1_vsr       subjective.csv                     metrics/vmaf/VIDEO.vmaf.json
    avt_vqdb_uhd_1_appeal    subjective_scores/video_quality_mos_ci.csv      vmaf_scores/VIDEO.json
    avt_vqdb_uhd_1_vd        subjective_data/Study_N/mos_study_N.csv
                                               objective_data/Study_N/vmaf_scores/VIDEO.json

Each test is an experiment of its own. One content has several names and is cut to other lengths or
in other places in other tests: it is one source here, or a held-out source would be trained on.
Source: Ramachandra Rao, Goering, Robitza, Feiten, Raake, "AVT-VQDB-UHD-1: A Large Scale Video
Quality Database for UHD-1", IEEE ISM 2019; the repositories of the same names.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import pydantic

from vmaf_jax.corpora.logs import ListedClip, check_names
from vmaf_jax.corpora.records import Number, is_file, parse_record, read_records
from vmaf_jax.corpora.votes import OpinionColumns, at_distance
from vmaf_jax.errors import InputError
from vmaf_jax.tables.table import MAX_DISTANCE, LabelScale

LABEL_SCALE: LabelScale = (1.0, 5.0)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a repository has its files; `*` in both stands for the same text.

    Attributes:
        repository: Its public name.
        scores: Path of the tables of scores, with or without `*`.
        logs: Path of a video's log; `{video}` is the video's name.
        experiment: Name of the tests, with or without `*`.
    """

    repository: str
    scores: str
    logs: str
    experiment: str


LAYOUTS: Mapping[str, Layout] = {
    "avt_vqdb_uhd_1": Layout(
        "AVT-VQDB-UHD-1", "test_*/mos_ci.csv", "test_*/vmaf_reports/{video}_vmaf.json", "test_*"
    ),
    "avt_vqdb_uhd_1_nvc": Layout(
        "AVT-VQDB-UHD-1-NVC", "subjective.csv", "metrics/vmaf/{video}.vmaf.json", "nvc"
    ),
    "avt_vqdb_uhd_1_vsr": Layout(
        "AVT-VQDB-UHD-1-VSR", "subjective.csv", "metrics/vmaf/{video}.vmaf.json", "vsr"
    ),
    "avt_vqdb_uhd_1_appeal": Layout(
        "AVT-VQDB-UHD-1-Appeal",
        "subjective_scores/video_quality_mos_ci.csv",
        "vmaf_scores/{video}.json",
        "appeal",
    ),
    "avt_vqdb_uhd_1_vd": Layout(
        "AVT-VQDB-UHD-1-VD",
        "subjective_data/Study_*/mos_study_*.csv",
        "objective_data/Study_*/vmaf_scores/{video}.json",
        "vd*",
    ),
}
# Names of columns in small letters; published tables differ in them.
_COLUMNS = {
    **dict.fromkeys(("video_name", "video", "stimulus", "stimuli", "pvs", "filename"), "video"),
    **dict.fromkeys(("mos", "mean_opinion_score"), "mos"),
    **dict.fromkeys(("ci", "ci95", "mos_ci", "mos_ci95"), "ci"),
    **dict.fromkeys(("vote", "rating", "score"), "vote"),
    **dict.fromkeys(("subject", "user", "user_id", "participant"), "subject"),
    **dict.fromkeys(("distance", "viewing_distance"), "distance"),
}
_ENCODE = re.compile(
    r"(_\d+kbps_\d+p_[\d.]+fps_\w+"  # 750kbps_720p_59.94fps_h264
    r"|_[a-z0-9]+_\d+x\d+_q\d+(\.\w+)?"  # av1_1280x720_q48, with an upscaler
    r"|_\d+k_\d+_\w+|(\.mkv)?_\d+p_\d+k_vvc"  # 1000k_1080_av1, 1080p_1000k_vvc
    r"|_\d+p_crf\d+_\w+)"  # 1080p_crf30_hevc
)
_CUT = re.compile(r"(_ds|_cut_\d+|_\d+s(_[\w.-]+)?)$")
_CONTENTS = {
    "bigbuckbunny": "bigbuck_bunny_8bit",
    "giftmord": "Giftmord-SDR",
    "sparks15": "Sparks",
    "vegetables": "vegetables_tuil",
    "water": "water_netflix",
}


class _Row(pydantic.BaseModel, frozen=True, extra="ignore", str_strip_whitespace=True):
    video: str = pydantic.Field(pattern=r"^[^/\\]+$")  # a name in a folder, never a way out
    mos: Number | None = None
    ci: Number | None = pydantic.Field(default=None, ge=0)
    vote: Number | None = None
    subject: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    distance: Number | None = pydantic.Field(default=None, gt=0, le=MAX_DISTANCE)


def load_listed(root: Path, corpus: str = "avt_vqdb_uhd_1") -> list[ListedClip]:
    """Lists the clips of every test under `root` with their logs, as `EXPERIMENT/VIDEO`.

    Args:
        corpus: A key of `LAYOUTS`.

    Raises:
        InputError: No table of scores there, a row or a video's name that does not fit, or a clip
            without its log.
    """
    layout = LAYOUTS[corpus]
    tables = sorted(root.glob(layout.scores))
    if not tables:
        raise InputError(
            f"{root}: no {layout.scores}; pass the folder of a clone of {layout.repository} with "
            f"--data-root."
        )
    pattern = re.escape(layout.scores).replace(r"\*", "(?P<test>[^/]+)", 1)
    pattern = pattern.replace(r"\*", "(?P=test)")
    clips: list[ListedClip] = []
    for table in tables:
        if match := re.fullmatch(pattern, table.relative_to(root).as_posix()):
            clips += _list_test(table, root, layout, match.groupdict().get("test", ""))
    check_names(clips, root)
    return clips


def _rename(values: object) -> object:
    """Returns a row with the columns that are known under one name each."""
    if not isinstance(values, dict):
        return values
    return {_COLUMNS.get(str(key).strip().lower(), f"other {key}"): v for key, v in values.items()}


def _list_test(table: Path, root: Path, layout: Layout, test: str) -> list[ListedClip]:
    """Lists the clips of one table, with their scores, or with the votes of their rows.

    Args:
        test: What `*` stands for.
    """
    experiment = layout.experiment.replace("*", test)
    clips: dict[str, ListedClip] = {}
    for number, values in enumerate(read_records(table, "table of scores"), 1):
        row = parse_record(_Row, table, number, _rename(values))
        if (row.mos is None) == (row.vote is None or row.subject is None):
            raise InputError(
                f"{table}: row {number} needs a MOS, or a subject and a vote; expected columns of "
                f"the names {', '.join(_COLUMNS)}."
            )
        video = re.sub(r"\.(mkv|mp4|avi|mov)$", "", row.video)
        name = f"{experiment}/{video}"
        if row.distance is not None:
            name = at_distance(name, row.distance)
        if (clip := clips.get(name)) is None:
            opinion = OpinionColumns(mos=row.mos, mos_ci95=row.ci, experiment=experiment)
            source = find_source(video, table, number, layout)
            log = _find_log(video, root, layout, test, table)
            clip = ListedClip(
                name,
                source,
                opinion,
                log=log,
                distance=row.distance,
                measured_as=f"{experiment}/{video}",
            )
        elif row.mos is not None:
            raise InputError(f"{table}: row {number}: {row.video!r} is listed twice; remove one.")
        if row.mos is None and row.vote is not None:
            votes = dict(clip.votes or {})
            votes[row.subject or ""] = [*votes.get(row.subject or "", ()), row.vote]
            clip = dataclasses.replace(clip, votes=votes)
        clips[name] = clip
    return list(clips.values())


def find_source(video: str, table: Path, number: int, layout: Layout) -> str:
    """Returns the content that a video is an encode of.

    Raises:
        InputError: The name has no encode in it.
    """
    if not (encode := _ENCODE.search(video)):
        raise InputError(
            f"{table}: row {number}: {video!r} does not fit {layout.repository}'s names, "
            f"<source>_<encode>; correct it."
        )
    source = _CUT.sub("", video[: encode.start()])
    return _CONTENTS.get(source, source)


def _find_log(video: str, root: Path, layout: Layout, test: str, table: Path) -> Path:
    """Returns the log of a video.

    Raises:
        InputError: There is none.
    """
    # Logs of VVC are named after the bitstream: a.mkv_720p_400k_vvc has a_720p_400k.266.
    stems = (video, f"{video.replace('.mkv_', '_').removesuffix('_vvc')}.266")
    logs = [root / layout.logs.replace("*", test).format(video=stem) for stem in stems]
    for log in logs:
        if is_file(log):
            return log
    raise InputError(f"{logs[0]}: no such log, though {table} has its votes; fetch it.")
