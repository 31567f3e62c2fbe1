"""Pairs measured by libvmaf: golden values, the cache, and inputs that are refused."""

import dataclasses
import subprocess

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.features import NEG_FEATURES
from vmaf_jax.video.inputs import Video, file_digest

RAW = {"width": 352, "height": 288, "pix_fmt": "yuv420p"}


def test_golden_pairs(golden):
    folder, expected = golden
    for pair in expected["pairs"]:
        table = extract_pair(
            folder / pair["reference"],
            folder / pair["distorted"],
            width=expected["width"],
            height=expected["height"],
            pix_fmt=expected["pix_fmt"],
        ).mean_pool()
        assert table.index.tolist() == [expected["frames"]]
        want = [pair[name] for name in table.feature_set]
        np.testing.assert_allclose(table.features[0], want, rtol=0, atol=expected["tolerance"])
        score = table.labels[expected["model"]][0]
        assert score == pytest.approx(pair["vmaf"], abs=expected["tolerance"])


def test_raw_y4m_and_encoded_agree(encodes, tmp_path):
    raw = extract_pair(encodes / "ref.yuv", encodes / "dis.yuv", **RAW, cache=tmp_path)
    mixed = extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", cache=tmp_path)
    assert len(raw) == 12
    np.testing.assert_array_equal(raw.features, mixed.features)
    np.testing.assert_array_equal(raw.index, np.arange(12))
    assert 0 < raw.label("vmaf_v0.6.1").mean() < 100


def test_scaled_and_deeper_inputs_match_the_conversion_by_hand(encodes, ffmpeg, tmp_path):
    for name, filters in (("small.mp4", "scale=352:288:flags=bicubic"), ("deep.mkv", "null")):
        by_hand = tmp_path / f"{name}.y4m"
        line = [ffmpeg, "-v", "error", "-i", encodes / name, "-vf", filters, "-strict", "-1"]
        subprocess.run([*line, by_hand], check=True)
        reference = encodes / "ref.y4m"
        if name == "deep.mkv":  # the deeper format is kept, so the reference is brought to it
            reference = tmp_path / "ref10.y4m"
            to_ten = ["-pix_fmt", "yuv420p10le", "-strict", "-1", reference]
            subprocess.run([ffmpeg, "-v", "error", "-i", encodes / "ref.y4m", *to_ten], check=True)
        ours = extract_pair(encodes / "ref.y4m", encodes / name, cache=tmp_path / "a")
        theirs = extract_pair(reference, by_hand, cache=tmp_path / "b")
        np.testing.assert_array_equal(ours.features, theirs.features)


def test_one_pass_yields_all_teachers(encodes, tmp_path):
    teachers = ("vmaf_v0.6.1", "vmaf_v0.6.1neg", "vmaf_4k_v0.6.1", "vmaf_v1.0.16_3d0h")
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    table = extract_pair(*pair, teachers=teachers, cache=tmp_path)
    assert list(table.labels) == list(teachers)
    alone = extract_pair(*pair, teachers=("vmaf_v0.6.1neg",), cache=tmp_path)
    np.testing.assert_array_equal(alone.label("vmaf_v0.6.1neg"), table.label("vmaf_v0.6.1neg"))
    np.testing.assert_array_equal(alone.features, table.features)
    limited = extract_pair(*pair, feature_set=NEG_FEATURES, cache=tmp_path)
    assert (limited.features[:, 0] < table.features[:, 0]).any()


def test_teacher_from_a_file_is_the_built_in_one(encodes, tmp_path):
    from vmaf_jax.teacher.model_file import find_model_file

    path = tmp_path / "mine.json"
    path.write_bytes(find_model_file("vmaf_v0.6.1").read_bytes())
    table = extract_pair(
        encodes / "ref.y4m", encodes / "dis.mp4", teachers=("vmaf_v0.6.1", str(path))
    )
    np.testing.assert_array_equal(table.label("mine"), table.label("vmaf_v0.6.1"))


def test_cache_serves_repeats_and_notices_changes(encodes, tmp_path, monkeypatch):
    distorted = tmp_path / "dis.mp4"
    distorted.write_bytes((encodes / "dis.mp4").read_bytes())
    cache = tmp_path / "cache"
    first = extract_pair(encodes / "ref.y4m", distorted, cache=cache)
    (entry,) = cache.iterdir()
    monkeypatch.setattr(
        "vmaf_jax.extraction.libvmaf.run_ffmpeg", None
    )  # any new measurement would fail
    again = extract_pair(encodes / "ref.y4m", distorted, cache=cache)
    np.testing.assert_array_equal(again.features, first.features)
    monkeypatch.undo()
    assert list(cache.iterdir()) == [entry]


def test_a_pair_of_the_same_sizes_is_another_pair(encodes, tmp_path):
    """Raw files of one size: only their contents tell the entries apart."""
    harmed = extract_pair(encodes / "ref.yuv", encodes / "dis.yuv", **RAW, cache=tmp_path)
    itself = extract_pair(encodes / "ref.yuv", encodes / "ref.yuv", **RAW, cache=tmp_path)
    other = extract_pair(encodes / "dis.yuv", encodes / "dis.yuv", **RAW, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    assert itself.label("vmaf_v0.6.1").min() > harmed.label("vmaf_v0.6.1").max()
    assert itself.features[1, 5] != other.features[1, 5]  # motion2 of another reference


def test_one_content_under_other_names_keeps_the_names_asked_for(encodes, tmp_path):
    for folder in ("ref", "dis"):
        (tmp_path / folder).mkdir()
    (tmp_path / "ref" / "park.y4m").write_bytes((encodes / "ref.y4m").read_bytes())
    (tmp_path / "dis" / "park.mp4").write_bytes((encodes / "dis.mp4").read_bytes())
    cache = tmp_path / "cache"
    extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", cache=cache)
    table = extract_pair(tmp_path / "ref/park.y4m", tmp_path / "dis/park.mp4", cache=cache)
    assert set(table.source) == set(table.clip) == {"park"}
    assert len(list(cache.iterdir())) == 1
    itself = extract_pair(encodes / "ref.y4m", encodes / "ref.y4m", cache=cache)
    assert set(itself.provenance["inputs"]) == {"reference", "distorted"}


def test_a_relative_program_is_found(encodes, ffmpeg, tmp_path, monkeypatch):
    (tmp_path / "mine").symlink_to(ffmpeg)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMAF_JAX_FFMPEG", "./mine")
    table = extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", cache=tmp_path / "cache")
    assert len(table) == 12


@pytest.mark.parametrize("name", ["adm2", "motion2", "frame", "source", "mos"])
def test_a_teacher_never_takes_the_place_of_a_column(encodes, tmp_path, name):
    path = tmp_path / f"{name}.json"
    path.write_bytes(b"{}")
    with pytest.raises(InputError, match="has the name of another column"):
        extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", teachers=(str(path),))


def test_corrupted_cache_entry_is_named(encodes, tmp_path):
    extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", cache=tmp_path)
    (entry,) = tmp_path.iterdir()
    entry.write_bytes(entry.read_bytes()[:-30])
    with pytest.raises(InputError, match=f"{entry.name}: this cache entry is corrupted; delete it"):
        extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", cache=tmp_path)


@pytest.mark.parametrize(
    ("reference", "distorted", "message"),
    [
        ("ref.y4m", "none.mp4", "none.mp4: no such file"),
        ("none.y4m", "dis.mp4", "none.y4m: no such file"),
        ("ref.y4m", ".", "a folder, expected a video file"),
        ("ref.y4m", "audio.wav", "audio.wav: has no video stream"),
        ("audio.wav", "dis.mp4", "audio.wav: has no video stream"),
        ("ref.y4m", "empty.mp4", "empty.mp4: empty file"),
        ("ref.y4m", "junk.mp4", "junk.mp4: ffmpeg cannot read it"),
        ("junk.mp4", "dis.mp4", "junk.mp4: ffmpeg cannot read it"),
        ("ref.y4m", "cut.mp4", "cut.mp4: ffmpeg cannot read it"),
        ("ref.y4m", "cut.y4m", "11 frames, its reference ref.y4m has 12"),
        ("ref.y4m", "short.mp4", "9 frames, its reference ref.y4m has 12; .*docs/traps"),
        ("ref.y4m", "dis.yuv", "does not say its size and format"),
    ],
)
def test_bad_inputs_are_named(encodes, reference, distorted, message, tmp_path):
    (encodes / "empty.mp4").touch()
    (encodes / "junk.mp4").write_bytes(np.random.default_rng(0).bytes(4000))
    for name in ("dis.mp4", "ref.y4m"):
        content = (encodes / name).read_bytes()
        n_bytes = len(content) // 2 if name == "dis.mp4" else len(content) - 500
        (encodes / f"cut.{name[-3:]}").write_bytes(content[:n_bytes])
    with pytest.raises(InputError, match=message) as caught:
        extract_pair(encodes / reference, encodes / distorted, cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 353}, "bytes over; the file is cut, or width, height or pix_fmt is wrong"),
        ({"height": 0}, "height 0, expected at least 1 pixel"),
        ({"pix_fmt": "nv12"}, "pixel format 'nv12' is unknown; expected one of yuv420p"),
        ({"pix_fmt": "yuv444p"}, "expected|bytes over|its reference"),
    ],
)
def test_wrong_raw_format_is_refused(encodes, change, message):
    with pytest.raises(InputError, match=message):
        extract_pair(encodes / "ref.y4m", encodes / "dis.yuv", **(RAW | change))


def test_truncated_raw_file_is_refused(encodes, tmp_path):
    cut = tmp_path / "cut.yuv"
    cut.write_bytes((encodes / "dis.yuv").read_bytes()[:-1])
    with pytest.raises(InputError, match=r"cut.yuv: .* 11 frames of 352x288 yuv420p .* bytes over"):
        extract_pair(encodes / "ref.yuv", cut, **RAW)


def test_a_manifest_size_that_is_not_the_files_is_refused(encodes):
    wrong = Video(encodes / "dis.mp4", width=320, height=180)
    with pytest.raises(InputError, match="is 352x288, was said to be 320x180"):
        extract_pair(encodes / "ref.y4m", wrong)


def test_shortest_measures_what_both_have(encodes, tmp_path):
    pair = (encodes / "ref.y4m", encodes / "short.mp4")
    assert len(extract_pair(*pair, shortest=True, cache=tmp_path)) == 9


def test_unknown_teacher_is_named(encodes):
    with pytest.raises(InputError, match="teacher 'vmaf_v9': this libvmaf cannot load it"):
        extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", teachers=("vmaf_v9",))
    with pytest.raises(InputError, match="letters, digits"):
        extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", teachers=("a:path=/etc/x",))


def test_a_teacher_that_libvmaf_cannot_score_with_is_explained(encodes, ffmpeg, tmp_path):
    small = tmp_path / "small.y4m"  # below what CAMBI takes
    line = [ffmpeg, "-v", "error", "-i", encodes / "ref.y4m", "-vf", "scale=96:64", small]
    subprocess.run(line, check=True)
    with pytest.raises(InputError, match=r"96x64 are too small for vmaf_v1.0.16_3d0h; CAMBI needs"):
        extract_pair(small, small, teachers=("vmaf_v1.0.16_3d0h",), cache=tmp_path)


def test_digest_follows_content(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    first = file_digest(path)
    path.write_bytes(b"x" * 2_999_999 + b"y")
    assert file_digest(path) != first


def test_provenance_names_backend_and_inputs(encodes, tmp_path):
    table = extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", cache=tmp_path)
    assert table.provenance["backend"] == "libvmaf"
    assert table.provenance["inputs"]["distorted"] == file_digest(encodes / "dis.mp4")
    assert dataclasses.is_dataclass(table)
