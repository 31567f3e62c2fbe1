"""The reader of AVT-VQDB-UHD-1, on files in its layout with made-up contents."""

import pytest

from tests.corpora.test_logs import write
from vmaf_jax.corpora.avt_vqdb_uhd_1 import load_listed
from vmaf_jax.errors import InputError

VIDEOS = {
    "test_1": ["boat_200kbps_360p_59.94fps_h264", "boat_750kbps_720p_59.94fps_vp9"],
    "test_3": ["boat_8s_97kbps_360p_60.0fps_hevc", "park_cut_13_97kbps_360p_15.0fps_h264"],
}


@pytest.fixture
def clone(tmp_path):
    for test, videos in VIDEOS.items():
        (tmp_path / test / "vmaf_reports").mkdir(parents=True)
        rows = [f"{video}.mkv,{k + 1.5},0.2" for k, video in enumerate(videos)]
        (tmp_path / test / "mos_ci.csv").write_text("\n".join(["video_name,MOS,CI", *rows]) + "\n")
        for video in videos:
            write(tmp_path / test / "vmaf_reports" / f"{video}_vmaf.json")
    return tmp_path


def test_tests_are_experiments_and_cuts_of_a_source_are_one(clone):
    clips = load_listed(clone)
    assert [(c.name, c.source, c.opinion.experiment, c.opinion.mos) for c in clips] == [
        ("test_1/boat_200kbps_360p_59.94fps_h264", "boat", "1", 1.5),
        ("test_1/boat_750kbps_720p_59.94fps_vp9", "boat", "1", 2.5),
        ("test_3/boat_8s_97kbps_360p_60.0fps_hevc", "boat", "3", 1.5),
        ("test_3/park_cut_13_97kbps_360p_15.0fps_h264", "park", "3", 2.5),
    ]
    assert clips[0].opinion.mos_ci95 == 0.2
    assert all(clip.log.is_file() for clip in clips)


def test_names_without_an_ending(clone):
    table = clone / "test_1" / "mos_ci.csv"
    table.write_text(table.read_text().replace(".mkv", ""))
    assert load_listed(clone)[0].name == "test_1/boat_200kbps_360p_59.94fps_h264"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("boat_200kbps", "../../boat_200kbps", "row 1, column 'video_name'"),
        ("boat_200kbps", "boat", "'boat_360p_59.94fps_h264.mkv' does not fit the scheme"),
        ("boat_200kbps", "boat_300kbps", "300kbps_360p_59.94fps_h264_vmaf.json: no such report"),
        ("boat_750kbps_720p_59.94fps_vp9", "boat_200kbps_360p_59.94fps_h264", "rows 1 and 2 are"),
        ("1.5,", "nan,", "row 1, column 'MOS'"),
        ("0.2", "-0.2", "row 1, column 'CI'"),
        ("video_name", "name", "has no column 'video_name'"),
    ],
)
def test_what_does_not_fit_is_named(clone, old, new, message):
    table = clone / "test_1" / "mos_ci.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        load_listed(clone)
    with pytest.raises(InputError, match="no test_"):
        load_listed(clone / "test_1")
