import pytest

from vmaf_jax.corpora import netflix
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
