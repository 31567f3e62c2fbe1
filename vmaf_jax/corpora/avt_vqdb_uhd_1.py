"""AVT-VQDB-UHD-1, in a user's own clone of its public repository: four laboratory tests at UHD-1.

    test_N/mos_ci.csv                            video_name, MOS, CI (ACR, 1 to 5)
    test_N/vmaf_reports/<video>_vmaf.json        libvmaf 1.3.11, at 3840x2160
    <video> = <source>[_<seconds>s]_<kbps>kbps_<height>p_<fps>fps_<codec>

Each test is an experiment of its own. The same source is cut to other lengths, or in two places
(`_cut_N`), in other tests: these are one source here, or a held-out source would be trained on.
Source: Ramachandra Rao, Goering, Robitza, Feiten, Raake, "AVT-VQDB-UHD-1: A Large Scale Video
Quality Database for UHD-1", IEEE ISM 2019.
"""

import re
from pathlib import Path

import pydantic

from vmaf_jax.corpora.clip_lists import ListedClip, check_names
from vmaf_jax.corpora.numbers import Number
from vmaf_jax.corpora.records import is_file, parse_record, read_records
from vmaf_jax.corpora.votes import OpinionColumns
from vmaf_jax.errors import InputError
from vmaf_jax.tables.opinions import LabelScale

NAME = "avt_vqdb_uhd_1"
LABEL_SCALE: LabelScale = (1.0, 5.0)
_VIDEO = re.compile(r"(?P<source>.+?)_\d+kbps_\d+p_[\d.]+fps_\w+")
_CUT = re.compile(r"(_\d+s|_cut_\d+)$")
_TEST = re.compile(r"test_(\w+)")


class _Row(pydantic.BaseModel, frozen=True, extra="ignore", str_strip_whitespace=True):
    video_name: str = pydantic.Field(pattern=r"^[^/\\]+$")  # a name in a folder, never a way out
    MOS: Number
    CI: Number = pydantic.Field(ge=0)


def load_listed(root: Path) -> list[ListedClip]:
    """Lists the clips of every test under `root` with their reports, as `test_N/<video>`.

    Raises:
        InputError: no test there, a row or a video's name that does not fit, or a clip without its
            report.
    """
    tables = sorted(root.glob("test_*/mos_ci.csv"))
    if not tables:
        raise InputError(
            f"{root}: no test_*/mos_ci.csv; pass the folder of a clone of AVT-VQDB-UHD-1 with "
            f"--data-root."
        )
    clips = []
    for table in tables:
        folder = table.parent
        match = _TEST.fullmatch(folder.name)
        experiment = match[1] if match else folder.name
        for number, values in enumerate(read_records(table, "table of scores", _Row), 1):
            row = parse_record(_Row, table, number, values)
            video = Path(row.video_name).with_suffix("").name
            if re.search(r"fps_\w+$", row.video_name):  # the name stands without an ending
                video = row.video_name
            if not (name := _VIDEO.fullmatch(video)):
                raise InputError(
                    f"{table}: row {number}: {row.video_name!r} does not fit the scheme "
                    f"<source>_<kbps>kbps_<height>p_<fps>fps_<codec>; correct it."
                )
            log = folder / "vmaf_reports" / f"{video}_vmaf.json"
            if not is_file(log):
                raise InputError(f"{log}: no such report, though {table} has its MOS; fetch it.")
            opinion = OpinionColumns(mos=row.MOS, mos_ci95=row.CI, experiment=experiment)
            source = _CUT.sub("", name["source"])
            clips.append(ListedClip(f"{folder.name}/{video}", source, opinion, log=log))
    check_names(clips, root)
    return clips
