"""VMAF v1 at 10 bits, and CAMBI at the size of the encode: both backends against bare libvmaf."""

import dataclasses
import subprocess

import numpy as np
import pytest

import vmaf_jax
from tests.support import bare_libvmaf
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.features import FEATURE_SETS, NEG_FEATURES
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
        ("ref.y4m", "short.mp4", "9 frames, its reference ref.y4m has 12; .* --shortest"),
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


V1 = "vmaf_v1.0.16_3d0h"
SOURCE = (  # bands, which CAMBI sees, and some grain, without which SpEED sees nothing
    "testsrc2=size=384x288:rate=24,geq=lum='if(lt(X,90),40+(X+2*N)/8+Y/30,lum(X,Y))':"
    "cb='110+X/30':cr='120+Y/30',noise=alls=4:all_seed=1,format=yuv420p"
)
# By name, how an encode is made, and what of it libvmaf is to be told.
ENCODES = {
    "own_size": ("null", "yuv420p", None),
    "smaller": ("scale=320:240", "yuv420p", (320, 240, 8)),
    "smaller_and_deeper": ("scale=256:192", "yuv420p10le", (256, 192, 10)),
    "larger": ("scale=512:384", "yuv420p", (512, 384, 8)),
    "too_small_for_cambi": ("scale=160:120", "yuv420p", None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ffmpeg):
    folder = tmp_path_factory.mktemp("v1")

    def make(*line):
        subprocess.run([ffmpeg, "-v", "error", *line], check=True, cwd=folder)

    make("-f", "lavfi", "-i", SOURCE, "-frames:v", "3", "reference.y4m")
    for name, (chain, pix_fmt, _) in ENCODES.items():
        codec = ("-c:v", "libx264", "-crf", "34", "-pix_fmt", pix_fmt)
        make("-i", "reference.y4m", "-vf", chain, *codec, f"{name}.mp4")
    return folder


def truth_of(ffmpeg, folder, name, chain="scale=384:288:flags=bicubic,format=yuv420p10"):
    """What libvmaf says of the two brought to one size and 10 bits by hand."""
    encode = ENCODES[name][2]
    keys = ("width", "height", "bitdepth")
    own = "".join(rf"\:cambi.enc_{k}={v}" for k, v in zip(keys, encode or (), strict=False))
    pair = (folder / "reference.y4m", folder / f"{name}.mp4")
    return pair, bare_libvmaf(ffmpeg, *pair, f"version={V1}{own}", chain=chain)


@pytest.mark.parametrize("name", ENCODES)
@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_scores_are_libvmafs_at_10_bits(ffmpeg, folder, name, backend):
    pair, truth = truth_of(ffmpeg, folder, name)
    found = vmaf_jax.score(*pair, model=V1, backend=backend)
    np.testing.assert_allclose(
        found.per_frame, truth["vmaf"], atol=1e-3 if backend == "libvmaf" else 1e-2
    )
    (key,) = [key for key in truth if key.startswith("cambi")]
    np.testing.assert_allclose(found.table.features[:, 0], truth[key], atol=1e-5)
    assert truth[key].max() > 1
    comparison = found.to_dict()["comparison"]
    encode = ENCODES[name][2]
    assert comparison["v1_bits"] == 10
    assert comparison["v1_encode"] == (None if encode is None else list(encode))
    assert "VMAF v1: measured at 10 bits" in " ".join(found.v1_lines())


def test_8_bits_would_say_otherwise(ffmpeg, folder):
    _, at_10 = truth_of(ffmpeg, folder, "smaller")
    _, at_8 = truth_of(ffmpeg, folder, "smaller", chain="scale=384:288:flags=bicubic")
    assert np.abs(at_10["vmaf"] - at_8["vmaf"]).max() > 0.02  # so the form is told apart
    _, own = truth_of(ffmpeg, folder, "own_size")
    _, own_at_8 = truth_of(ffmpeg, folder, "own_size", chain="null")
    assert np.abs(own["vmaf"] - own_at_8["vmaf"]).max() > 0.1


@pytest.mark.parametrize("name", ["own_size", "smaller"])
def test_models_and_metrics_beside_it_see_the_pictures_as_they_are(ffmpeg, folder, name):
    pair, truth = truth_of(ffmpeg, folder, name)
    plain = bare_libvmaf(
        ffmpeg,
        *pair,
        "version=vmaf_v0.6.1",
        chain="scale=384:288:flags=bicubic",
        feature="name=psnr|name=cambi",
    )
    found = vmaf_jax.score(
        *pair, model="vmaf_v0.6.1", teachers=(V1,), extra_metrics=("psnr", "cambi")
    )
    np.testing.assert_allclose(found.table.label(V1), truth["vmaf"], atol=1e-5)
    np.testing.assert_allclose(found.per_frame, plain["vmaf"], atol=3e-4)
    swapped = vmaf_jax.score(
        *pair, model=V1, teachers=("vmaf_v0.6.1",), extra_metrics=("psnr", "cambi")
    )
    np.testing.assert_allclose(swapped.per_frame, truth["vmaf"], atol=1e-3)
    np.testing.assert_allclose(swapped.table.label("vmaf_v0.6.1"), plain["vmaf"], atol=1e-6)
    alone = vmaf_jax.score(*pair, model=V1, extra_metrics=("psnr", "cambi"))
    for table in (found.table, swapped.table, alone.table):
        np.testing.assert_allclose(table.label("psnr"), plain["psnr_y"], atol=1e-6)
        np.testing.assert_allclose(table.label("cambi"), plain["cambi"], atol=1e-6)
    assert "unused" not in alone.table.labels


def test_arrays_are_measured_at_10_bits_too(ffmpeg, folder):
    pair, truth = truth_of(ffmpeg, folder, "own_size")
    planes = []
    for path in pair:
        line = [ffmpeg, "-v", "error", "-i", path, "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"]
        raw = np.frombuffer(subprocess.run(line, capture_output=True, check=True).stdout, np.uint8)
        y, u, v = np.split(raw.reshape(3, -1), [384 * 288, 384 * 288 * 5 // 4], axis=1)
        planes.append((y.reshape(3, 288, 384), *(p.reshape(3, 144, 192) for p in (u, v))))
    for few in (planes, [tuple(p.astype(np.float32) for p in pair) for pair in planes]):
        np.testing.assert_allclose(vmaf_jax.vmaf(*few, model=V1), truth["vmaf"], atol=1e-2)
    np.testing.assert_allclose(
        vmaf_jax.score(*planes, model=V1).per_frame, truth["vmaf"], atol=1e-3
    )


@pytest.mark.parametrize("name", ["own_size", "smaller"])
def test_the_sampled_score_is_of_the_same_form(folder, tmp_path, ffmpeg, name):
    pair = []
    for path in (folder / "reference.y4m", folder / f"{name}.mp4"):
        longer = tmp_path / f"{path.stem}.mkv"
        loop = ["-vf", "loop=loop=12:size=3:start=0", "-c:v", "ffv1"]
        subprocess.run([ffmpeg, "-v", "error", "-i", path, *loop, longer], check=True)
        pair.append(longer)
    whole = vmaf_jax.score(*pair, model=V1)
    some = vmaf_jax.score(*pair, model=V1, within=5.0)
    assert len(some.per_frame) < len(whole.per_frame)
    assert some.v1_lines() == whole.v1_lines() != []
    np.testing.assert_array_equal(some.per_frame, whole.per_frame[some.table.index])


TO_LIMITED = "scale=in_range=pc:out_range=tv,format=yuv420p10le"
TO_FULL = "scale=in_range=tv:out_range=pc,format={},setparams=range=pc"
SMALLER = "scale=320:240,"
LARGER_LIMITED = "scale=384:288:flags=bicubic:in_range=pc:out_range=tv,format=yuv420p10le"
# By name: what makes the source, what brings it to 10 bits by hand; the same of the encode.
UNLIKE = {
    "8 bits of 10": ("format=yuv420p10le", "null", "format=yuv420p", "format=yuv420p10le"),
    "10 bits of 8": ("format=yuv420p", "null", "format=yuv420p10le", "null"),
    "8 bits of 10, smaller": (
        "format=yuv420p10le",
        "null",
        f"{SMALLER}format=yuv420p",
        "scale=384:288:flags=bicubic,format=yuv420p10le",
    ),
    "full of limited": ("format=yuv420p", "null", TO_FULL.format("yuv420p"), TO_LIMITED),
    "limited of full": (TO_FULL.format("yuv420p"), TO_LIMITED, "format=yuv420p", "null"),
    "full of limited, smaller": (
        "format=yuv420p",
        "null",
        SMALLER + TO_FULL.format("yuv420p"),
        LARGER_LIMITED,
    ),
    "full of 10 bits in limited": (
        "format=yuv420p10le",
        "null",
        TO_FULL.format("yuv420p"),
        TO_LIMITED,
    ),
    "4:2:2, full of limited": (
        "format=yuv422p",
        "null",
        TO_FULL.format("yuv422p"),
        TO_LIMITED.replace("420", "422"),
    ),
    "full of full": (TO_FULL.format("yuv420p"), "null", TO_FULL.format("yuv420p"), "null"),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_unlike_pictures_become_10_bits_in_one_step(ffmpeg, tmp_path, name):
    """A first rounding to 8 bits has moved clips by a point."""
    source, source_form, encode, encode_form = UNLIKE[name]

    def make(*line):
        subprocess.run([ffmpeg, "-v", "error", *line], check=True, cwd=tmp_path)

    deep = SOURCE.replace("format=yuv420p", "format=yuv422p10le" if "4:2:2" in name else "null")
    # What a decoder gives is what is stored here; blurred, since quantisation leaves bands too.
    chains = {"r": (source, source_form), "d": (f"boxblur=1:1,{encode}", encode_form)}
    for own, (chain, form) in chains.items():
        tag = ("-color_range", "pc") if "out_range=pc" in chain else ()
        store = ("-frames:v", "3", "-c:v", "ffv1", *tag)
        make("-f", "lavfi", "-i", f"{deep},{chain}", *store, f"{own}.mkv")
        by_hand = f"{form},format=yuv{'422' if '4:2:2' in name else '420'}p10le"
        make("-i", f"{own}.mkv", "-vf", by_hand, "-strict", "-1", f"{own}10.y4m")
    own = r"\:cambi.enc_width=320\:cambi.enc_height=240\:cambi.enc_bitdepth=8"
    model = f"version={V1}{own if 'smaller' in name else ''}"
    truth = bare_libvmaf(ffmpeg, tmp_path / "r10.y4m", tmp_path / "d10.y4m", model)
    (key,) = [key for key in truth if key.startswith("cambi")]
    pair = (tmp_path / "r.mkv", tmp_path / "d.mkv")
    for backend, tolerance in (("libvmaf", 1e-3), ("jax", 1e-2)):
        found = vmaf_jax.score(*pair, model=V1, backend=backend)
        np.testing.assert_allclose(found.per_frame, truth["vmaf"], atol=tolerance)
        np.testing.assert_allclose(found.table.features[:, 0], truth[key], atol=1e-5)


def test_every_set_of_v1_asks_for_10_bits_and_no_other():
    assert {s.least_bits for s in FEATURE_SETS.values() if s.planes > 1} == {10}
    assert {s.least_bits for s in FEATURE_SETS.values() if s.planes == 1} == {8}
