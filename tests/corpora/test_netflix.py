from pathlib import Path

import pytest

from vmaf_jax.corpora import netflix
from vmaf_jax.corpora.netflix import read_dataset_file
from vmaf_jax.errors import InputError

FRAME = 1920 * 1080 * 3 // 2


def sparse(path, size=FRAME):
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


@pytest.fixture
def root(tmp_path):
    """The corpus's layout, with sparse files of one frame."""
    for name in (
        "ref/OldTownCross_25fps.yuv",
        "ref/BigBuckBunny_0_1080_0.yuv",
        "dis/OldTownCross_20_288_375.yuv",
        "dis/OldTownCross_80_1080_5000.yuv",
        "dis/BigBuckBunny_40_480_1050.yuv",
    ):
        sparse(tmp_path / name)
    return tmp_path


def test_clips_and_their_references(root, monkeypatch):
    clips = netflix.load_clips(root)
    assert [(c.source, c.name) for c in clips] == [
        ("BigBuckBunny", "BigBuckBunny_40_480_1050"),
        ("OldTownCross", "OldTownCross_20_288_375"),
        ("OldTownCross", "OldTownCross_80_1080_5000"),
    ]
    assert clips[0].reference.path.name == "BigBuckBunny_0_1080_0.yuv"
    # The height token names the ladder rung; every file is stored at 1080p.
    assert {(c.distorted.width, c.distorted.height, c.distorted.pix_fmt) for c in clips} == {
        (1920, 1080, "yuv420p")
    }
    monkeypatch.setenv("VMAF_DATA_ROOT", str(root))
    assert netflix.load_clips() == clips


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda r: (r / "ref/OldTownCross_25fps.yuv").unlink(), "no reference for OldTownCross_20"),
        (
            lambda r: sparse(r / "dis/OldTownCross_20_288_375.yuv", FRAME - 1),
            "bytes over; the file is cut",
        ),
        (lambda r: (r / "dis/odd name.yuv").touch(), "odd name.yuv: the name does not fit"),
        (lambda r: (r / "dis/OldTownCross_best_288_1.yuv").touch(), "does not fit the corpus"),
        (lambda r: (r / "ref/OldTownCross_30fps.yuv").touch(), "has another reference"),
        (lambda r: (r / "dis").rename(r / "distorted"), "dis: no such folder"),
    ],
)
def test_harm_is_named(root, harm, message):
    harm(root)
    with pytest.raises(InputError, match=message):
        netflix.load_clips(root)


def test_links_out_of_the_root_are_refused(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.yuv"
    outside.touch()
    (root / "dis/Leak_1_2_3.yuv").symlink_to(outside)
    with pytest.raises(InputError, match=r"Leak_1_2_3.yuv: leads outside"):
        netflix.load_clips(root)


def test_a_linked_folder_out_of_the_root_is_refused(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (root / "dis").rename(outside / "dis")
    (root / "dis").symlink_to(outside / "dis")
    with pytest.raises(InputError, match="leads outside"):
        netflix.load_clips(root)


def test_other_files_are_spoken_of(root, caplog):
    (root / "dis/readme.txt").touch()
    sparse(root / "ref/Unused_24fps.yuv")
    netflix.load_clips(root)
    assert "readme.txt: not a .yuv file" in caplog.text
    assert "Unused_24fps.yuv: no distorted clip uses it" in caplog.text


def test_no_root(monkeypatch):
    monkeypatch.delenv("VMAF_DATA_ROOT", raising=False)
    with pytest.raises(InputError, match="--data-root or set VMAF_DATA_ROOT"):
        netflix.load_clips()


PLAIN = '''"""A data set."""
dataset_name = "mine"
yuv_fmt = "yuv420p"
width = 1920
quality = -1.5
ref_dir = "/media/ref"
dis_dir = ref_dir + "/../dis"

ref_videos = [
    {"content_id": 0, "content_name": "park", "path": ref_dir + "/park.yuv"},
    {"content_id": "b", "path": ref_dir + "/boat.yuv"},
]
dis_videos = [
    {"content_id": 0, "asset_id": 0, "path": dis_dir + "/park_1.yuv", LABEL1},
    {"content_id": "b", "asset_id": 1, "path": dis_dir + "/boat_1.yuv", LABEL2},
]
'''


def write(folder, first='"mos": 4.5', second='"mos": 2', text=PLAIN):
    path = folder / "dataset.py"
    path.write_text(text.replace("LABEL1", first).replace("LABEL2", second))
    return path


def test_contents_paths_and_scores_are_read(tmp_path):
    clips = read_dataset_file(write(tmp_path))
    assert [(c.name, c.source, c.opinion.mos, c.votes) for c in clips] == [
        ("park_1", "park", 4.5, None),
        ("boat_1", "b", 2.0, None),
    ]
    dmos = read_dataset_file(write(tmp_path, '"dmos": 80.5', '"dmos": 20'))
    assert [clip.opinion.mos for clip in dmos] == [80.5, 20.0]


def test_votes_are_a_list_or_go_by_subject(tmp_path):
    clips = read_dataset_file(write(tmp_path, '"os": [4, 5]', '"os": {"ann": 1, "bob": [2, 3]}'))
    assert clips[0].votes == {"1": [4.0], "2": [5.0]}
    assert clips[1].votes == {"ann": [1.0], "bob": [2.0, 3.0]}


CODE = [
    ("import os", "line 1: Import is code"),
    ("from vmaf.config import VmafConfig", "line 1: ImportFrom is code"),
    ("x = open('MARK', 'w')", "line 1: Call is code"),
    ("x = [y for y in (1, 2)]", "line 1: ListComp is code"),
    ("x = __builtins__", "line 1: Name is code"),
    ("x = 'a' * 10**9", "line 1: BinOp is code"),
    ("x = f'{1}'", "line 1: JoinedStr is code"),
    ("x = (lambda: 1)", "line 1: Lambda is code"),
    ("def f():\n    return 1", "line 1: FunctionDef is code"),
    ("a, b = 1, 2", "line 1: Assign is code"),
    ("x = {**{}}", "line 1: Dict is code"),
    ("print(1)", "line 1: Expr is code"),
    ("x = 1 +", "not readable as a dataset file"),
    ("x = " + "(" * 5000 + ")" * 5000, "not readable as a dataset file"),
    ("\n".join(["x = 'aaaaaaaa'"] + ["x = x + x"] * 60), "BinOp is code"),
]


@pytest.mark.parametrize(("line", "message"), CODE, ids=[c[0][:24] for c in CODE])
def test_code_is_named_and_not_run(tmp_path, line, message):
    path = write(tmp_path, text=line.replace("MARK", str(tmp_path / "ran")) + "\n" + PLAIN)
    with pytest.raises(InputError, match=message):
        read_dataset_file(path)
    assert not (tmp_path / "ran").exists()


BAD = [
    ("x = 1", "has no list ref_videos"),
    ("ref_videos = [1]\ndis_videos = [1]", "ref_videos, entry 1: no dictionary"),
    (PLAIN.replace('{"content_id": 0, "asset', '{"content_id": 7, "asset'), "7 has no entry in"),
    (PLAIN.replace('dis_dir + "/park_1.yuv"', "None"), "entry 1: has no 'path'"),
    (PLAIN.replace("boat_1", "park_1"), "rows 1 and 2 are both of the clip 'park_1'"),
    (
        PLAIN.replace("LABEL1", '"mos": "good"'),
        "mos: expected a number such as 12.5, received 'good'",
    ),
    (PLAIN.replace("LABEL1", '"os": 3'), "os is no list of votes"),
    (PLAIN.replace("LABEL1", '"os": ["good"]'), "subject '1': 'good' is no vote"),
    (PLAIN.replace("LABEL1", '"os": [True]'), "subject '1': True is no vote"),
    (PLAIN.replace("LABEL1", '"os": {("ann", 1): 1}'), "os holds paired comparisons"),
    (PLAIN.replace("LABEL1", '"mos": 1e999'), "mos: expected a number such as 12.5, received inf"),
    (PLAIN.replace("LABEL1", f'"mos": {"9" * 400}'), "received a whole number of very many digits"),
    (PLAIN.replace("LABEL1", '"mos": True'), "received True"),
    (PLAIN.replace("LABEL1", '"mos": 1, "mos": 2'), "line 14: a dictionary has a key twice"),
    (PLAIN.replace('"b", "path"', '0, "path"'), "content_id 0 occurs twice"),
    (PLAIN.replace('"b", "path"', '0.0, "path"'), "content_id 0 occurs twice"),
    (PLAIN.replace('"b"', "True"), "content_id is True, expected a whole number or text"),
    (PLAIN.replace('"b"', "1.5"), "content_id is 1.5, expected"),
    (PLAIN.replace('"b"', "9" * 400), "content_id is a whole number of very many digits"),
    *(
        (PLAIN.replace('"park"', name), "content_name of content_id 0 is .{1,9}, expected")
        for name in ("['a']", "None", "''", "True", "1e999")
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[f"{k} {b[1]}" for k, b in enumerate(BAD)])
def test_what_is_no_dataset_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_dataset_file(write(tmp_path, text=text))
    with pytest.raises(InputError, match="no such dataset file"):
        read_dataset_file(Path("none.py"))


def test_sureals_files_are_read(tmp_path):
    """Of VQEG's tests it writes the number of a content once whole and once as a float."""
    text = PLAIN.replace('"b", "path"', '1, "content_name": "1", "path"')
    text = text.replace('"b", "asset_id"', '1.0, "asset_id"')
    clips = read_dataset_file(write(tmp_path, text=text))
    assert [clip.source for clip in clips] == ["park", "1"]
    recovered = read_dataset_file(write(tmp_path, '"groundtruth": 4.1', '"groundtruth": 2.25'))
    assert [clip.opinion.mos for clip in recovered] == [4.1, 2.25]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_a_byte_order_mark_are_read(tmp_path, encoding):
    path = write(tmp_path)
    expected = read_dataset_file(path)
    path.write_text(path.read_text(), encoding=encoding)
    assert read_dataset_file(path) == expected


def test_numbers_as_numpy_2_prints_them_are_read(tmp_path):
    """sureal writes `repr` of NumPy's floats."""
    plain = read_dataset_file(write(tmp_path))
    first, second = '"mos": np.float64(4.5)', '"mos": np.int64(2)'
    assert read_dataset_file(write(tmp_path, first, second)) == plain
    with pytest.raises(InputError, match="Call is code"):
        read_dataset_file(write(tmp_path, '"mos": np.float64(float("1"))', second))
