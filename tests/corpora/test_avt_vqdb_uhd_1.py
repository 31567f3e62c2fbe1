"""The reader of AVT-VQDB-UHD-1 and its successors, on made-up files in their layouts."""

import pytest

from tests.corpora.test_logs import write
from vmaf_jax.corpora.avt_vqdb_uhd_1 import LAYOUTS, load_listed
from vmaf_jax.errors import InputError

VIDEOS = {
    "test_1": ["boat_200kbps_360p_59.94fps_h264", "boat_750kbps_720p_59.94fps_vp9"],
    "test_3": ["boat_8s_97kbps_360p_60.0fps_hevc", "park_cut_13_97kbps_360p_15.0fps_h264"],
}
# Of each successor: its table, its columns, and a video with its log, its test and its source.
SUCCESSORS = {
    "avt_vqdb_uhd_1_nvc": (
        ("subjective.csv", "video,mos,ci"),
        ("water_av1_640x360_q54", "metrics/vmaf/water_av1_640x360_q54.vmaf.json"),
        ("nvc", "water_netflix"),
    ),
    "avt_vqdb_uhd_1_vsr": (
        ("subjective.csv", "video,MOS,CI"),
        (
            "boat_av1_640x360_q54.rhea",
            "metrics/vmaf/boat_av1_640x360_q54.rhea.vmaf.json",
        ),
        ("vsr", "boat"),
    ),
    "avt_vqdb_uhd_1_appeal": (
        ("subjective_scores/video_quality_mos_ci.csv", "video_name,MOS,CI"),
        ("boat_8s.mkv_720p_400k_vvc", "vmaf_scores/boat_8s_720p_400k.266.json"),
        ("appeal", "boat"),
    ),
    "avt_vqdb_uhd_1_vd": (
        ("subjective_data/Study_2/mos_study_2.csv", "stimulus,mos,ci"),
        (
            "Sparks_8s_107000-115000.avi_360p_crf22_hevc",
            "objective_data/Study_2/vmaf_scores/Sparks_8s_107000-115000.avi_360p_crf22_hevc.json",
        ),
        ("vd2", "Sparks"),
    ),
}


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


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
        ("test_1/boat_200kbps_360p_59.94fps_h264", "boat", "test_1", 1.5),
        ("test_1/boat_750kbps_720p_59.94fps_vp9", "boat", "test_1", 2.5),
        ("test_3/boat_8s_97kbps_360p_60.0fps_hevc", "boat", "test_3", 1.5),
        ("test_3/park_cut_13_97kbps_360p_15.0fps_h264", "park", "test_3", 2.5),
    ]
    assert clips[0].opinion.mos_ci95 == 0.2
    assert all(clip.log.is_file() for clip in clips)


def test_names_without_an_ending(clone):
    table = clone / "test_1" / "mos_ci.csv"
    table.write_text(table.read_text().replace(".mkv", ""))
    assert load_listed(clone)[0].name == "test_1/boat_200kbps_360p_59.94fps_h264"


@pytest.mark.parametrize("corpus", SUCCESSORS)
def test_successors_are_read_in_their_layouts(tmp_path, corpus):
    (table, columns), (video, log), (experiment, source) = SUCCESSORS[corpus]
    write_text(tmp_path / table, f"{columns}\n{video},3.5,0.25\n")
    (tmp_path / log).parent.mkdir(parents=True)
    write(tmp_path / log)
    (clip,) = load_listed(tmp_path, corpus)
    assert (clip.name, clip.source, clip.log) == (f"{experiment}/{video}", source, tmp_path / log)
    opinion = (clip.opinion.experiment, clip.opinion.mos, clip.opinion.mos_ci95)
    assert opinion == (experiment, 3.5, 0.25)
    with pytest.raises(InputError, match=f"a clone of {LAYOUTS[corpus].repository} with"):
        load_listed(tmp_path / "nix", corpus)


def test_votes_and_distances_are_read_where_the_table_has_them(tmp_path):
    rows = ["a,1.6,4", "b,1.6,3", "a,3.2,5"]
    video = "boat_360p_crf22_hevc"
    text = "\n".join(["pvs,user,viewing_distance,rating", *(f"{video},{row}" for row in rows)])
    write_text(tmp_path / "subjective_data/Study_1/mos_study_1.csv", text + "\n")
    log = tmp_path / f"objective_data/Study_1/vmaf_scores/{video}.json"
    log.parent.mkdir(parents=True)
    write(log)
    near, far = load_listed(tmp_path, "avt_vqdb_uhd_1_vd")
    assert (near.name, near.distance, near.votes) == (
        f"vd1/{video}@1.6H",
        1.6,
        {"a": [4], "b": [3]},
    )
    assert (far.distance, far.votes) == (3.2, {"a": [5]})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("boat_200kbps", "../../boat_200kbps", "row 1, column 'video'"),
        ("boat_200kbps", "boat", "'boat_360p_59.94fps_h264' does not fit AVT-VQDB-UHD-1's names"),
        ("boat_200kbps", "boat_300kbps", "300kbps_360p_59.94fps_h264_vmaf.json: no such log"),
        ("boat_750kbps_720p_59.94fps_vp9", "boat_200kbps_360p_59.94fps_h264", "listed twice"),
        ("1.5,", "nan,", "row 1, column 'mos'"),
        ("0.2", "-0.2", "row 1, column 'ci'"),
        ("video_name", "name", "row 1, column 'video' is empty or missing"),
        ("MOS", "quality", "needs a MOS, or a subject and a vote"),
    ],
)
def test_what_does_not_fit_is_named(clone, old, new, message):
    table = clone / "test_1" / "mos_ci.csv"
    table.write_text(table.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        load_listed(clone)
    with pytest.raises(InputError, match="no test_"):
        load_listed(clone / "test_1")
