"""Generated pairs on both backends, against bare libvmaf on samples made equal by hand."""

import itertools
import json
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.features.feature_set import FLOAT_FEATURES
from vmaf_jax.teacher import load_teacher

SOURCE = "testsrc2=size={size}:rate={rate}:duration=0.25,noise=alls=6:all_seed=1,format={pix_fmt}"
TAGS = {
    "untagged": [],
    "bt709": ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"],
    "bt601": ["-colorspace", "smpte170m", "-color_primaries", "smpte170m"],
    "bt2020": ["-colorspace", "bt2020nc", "-color_primaries", "bt2020"],
}
# size, pixel format, tags of the reference and of the distorted video
# Each tag once on either side, and one on both; the other combinations take the same branches.
TOGETHER = {*itertools.pairwise([*TAGS, "untagged"]), ("bt709", "bt709")}
PAIRS = [
    *(
        pytest.param("64x48", "yuv420p", *tags, marks=[pytest.mark.slow] * (tags not in TOGETHER))
        for tags in itertools.product(TAGS, TAGS)
    ),
    *itertools.product(["66x50", "63x47"], ["yuv444p", "yuv420p10le"], ["untagged"], ["bt709"]),
    *itertools.product(["64x48"], ["yuv422p", "yuv444p", "yuv420p10le"], ["bt601"], ["bt2020"]),
]


@pytest.fixture(scope="module")
def make(ffmpeg, tmp_path_factory):
    folder = tmp_path_factory.mktemp("agreement")

    def run(*line):
        subprocess.run([ffmpeg, "-v", "error", "-y", *map(str, line)], check=True, cwd=folder)

    def clip(name, *, size="64x48", pix_fmt="yuv420p", tags="untagged", rate=24, extra=()):
        path = folder / name
        if not path.exists():
            source = SOURCE.format(size=size, rate=rate, pix_fmt=pix_fmt)
            run("-f", "lavfi", "-i", source, *extra, "-c:v", "ffv1", *TAGS[tags], path)
        return path

    return SimpleNamespace(clip=clip, run=run, folder=folder)


def bare(make, reference, distorted):
    """libvmaf's float score of the same samples in files without any tag, frame by frame."""
    plain = []
    for k, path in enumerate((reference, distorted)):
        plain.append(make.folder / f"{k}.y4m")
        make.run("-noautorotate", "-i", path, "-strict", "-1", plain[-1])
    graph = "libvmaf=log_fmt=json:log_path=o.json:model=version=vmaf_float_v0.6.1\\\\:name=v"
    make.run("-i", plain[1], "-i", plain[0], "-lavfi", graph, "-f", "null", "-")
    frames = json.loads((make.folder / "o.json").read_text())["frames"]
    return np.array([frame["metrics"]["v"] for frame in frames])


def scores(pair, tmp_path, **how):
    teacher = load_teacher("vmaf_v0.6.1")
    settings = {"teachers": (), "cache": tmp_path, **how}
    tables = (
        extract_pair(*pair, feature_set=FLOAT_FEATURES, **settings),
        extract_pair(*pair, backend="jax", **settings),
    )
    return [teacher(table.features) for table in tables]


@pytest.mark.parametrize(("size", "pix_fmt", "theirs", "ours"), PAIRS)
def test_both_backends_score_samples_not_tags(size, pix_fmt, theirs, ours, make, tmp_path):
    shape = {"size": size, "pix_fmt": pix_fmt}
    name = f"{size}_{pix_fmt}"
    reference = make.clip(f"ref_{name}_{theirs}.mkv", **shape, tags=theirs)
    blur = ("-vf", "boxblur=1:1")
    distorted = make.clip(f"dis_{name}_{ours}.mkv", **shape, tags=ours, extra=blur)
    in_libvmaf, in_jax = scores((reference, distorted), tmp_path)
    np.testing.assert_allclose(in_jax, in_libvmaf, atol=1e-3)
    np.testing.assert_allclose(in_libvmaf, bare(make, reference, distorted), atol=1e-3)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_picture_is_turned_back(turn, make, tmp_path):
    reference = make.clip("upright.mkv")
    turned = {90: "transpose=1", 180: "hflip,vflip", 270: "transpose=2"}[turn]
    stored = make.folder / f"stored{turn}.mp4"
    make.run("-i", reference, "-vf", turned, "-c:v", "libx264", "-qp", "0", stored)
    phone = make.folder / f"phone{turn}.mp4"
    make.run("-display_rotation", str(turn), "-i", stored, "-c", "copy", phone)
    for result in scores((reference, phone), tmp_path):
        assert result.min() > 97
    if turn != 180:
        with pytest.raises(InputError, match="display aspect ratio"):
            extract_pair(reference, stored, cache=tmp_path)


@pytest.mark.parametrize("rate", [12, 30, 48])
def test_another_rate_is_refused_and_matched_by_time(rate, make, tmp_path):
    reference, distorted = make.clip("upright.mkv"), make.clip(f"rate{rate}.mkv", rate=rate)
    for how in ({}, {"shortest": True}):
        for backend in ("libvmaf", "jax"):
            with pytest.raises(InputError, match="--fps match"):
                extract_pair(reference, distorted, backend=backend, cache=tmp_path, **how)
    in_libvmaf, in_jax = scores((reference, distorted), tmp_path, fps="match", shortest=True)
    np.testing.assert_allclose(in_jax, in_libvmaf, atol=1e-3)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_two_that_dropped_other_frames_are_told_apart(container, make, tmp_path):
    """Their numbers of frames and their rates agree, so only the times of the frames tell."""
    files = []
    for n in (2, 6):
        files.append(make.folder / f"dropped{n}.{container}")
        drop = ("-vf", f"select='not(eq(n,{n}))',scale=64:48", "-fps_mode", "vfr")
        source = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=24:duration=0.5")
        make.run(*source, *drop, "-c:v", "libx264", "-bf", "0", "-qp", "10", files[-1])
    for backend in ("libvmaf", "jax"):
        with pytest.raises(InputError, match=r"spaced alike .*frame \d is 0\.04\d s apart"):
            extract_pair(*files, backend=backend, cache=tmp_path)
        same = extract_pair(files[0], files[0], backend=backend, cache=tmp_path)
        assert len(same) == 11
        assert len(extract_pair(*files, backend=backend, cache=tmp_path, force=True)) == 11
        assert len(extract_pair(*files, backend=backend, cache=tmp_path, fps="match")) in (11, 12)


@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_pictures_without_a_score_are_refused_on_both(backend, make, tmp_path):
    tiny = make.clip("tiny.mkv", size="40x16")
    with pytest.raises(InputError, match=r"pictures of 40x16 are too small; .* at least 17"):
        extract_pair(tiny, tiny, backend=backend, cache=tmp_path)


@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_a_run_without_an_end_is_ended(backend, make, tmp_path, monkeypatch):
    endless = tmp_path / "endless.yuv"
    with endless.open("wb") as file:
        file.truncate(64 * 64 * 3 // 2 * 200_000)  # a minute of work, and sparse
    monkeypatch.setenv("VMAF_JAX_MAX_SECONDS", "1")
    size = {"width": 64, "height": 64, "pix_fmt": "yuv420p"}
    with pytest.raises(InputError, match=r"ran for 1 s on this pair .* VMAF_JAX_MAX_SECONDS"):
        extract_pair(endless, endless, backend=backend, cache=tmp_path, **size)


@pytest.mark.parametrize("late", [1, 2, -1, -2])
def test_an_offset_is_found_and_undone(late, make, tmp_path):
    reference = make.clip("long.mkv", extra=("-vf", "scroll=horizontal=0.05"))
    shifted = make.folder / f"late{late}.mkv"
    move = f"tpad=start={late}" if late > 0 else f"trim=start_frame={-late},setpts=PTS-STARTPTS"
    make.run("-i", reference, "-vf", move, "-c:v", "ffv1", shifted)
    for how in ({"sync": "auto"}, {"offset": late}):
        for result in scores((reference, shifted), tmp_path, **how):
            assert result.min() > 97
            assert len(result) == 6 - max(-late, 0)


def test_a_damaged_stream_is_refused_and_its_frames_are_named(encodes, tmp_path):
    content = bytearray((encodes / "dis.mp4").read_bytes())
    start = content.find(b"mdat")
    for place in (1200, 2400, 3600):
        content[start + place] ^= 0xFF
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    pair = (encodes / "ref.y4m", path)
    for backend in ("libvmaf", "jax"):
        with pytest.raises(InputError, match=r"damaged.* --allow-damaged"):
            extract_pair(*pair, backend=backend, cache=tmp_path)
    first, again = (
        extract_pair(*pair, allow_damaged=True, cache=tmp_path / name) for name in ("a", "b")
    )
    np.testing.assert_array_equal(first.features, again.features)
    assert first.provenance["comparison"]["damaged_frames"]["distorted"]


def test_an_entry_with_fewer_rows_than_frames_is_not_believed(encodes, tmp_path):
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    extract_pair(*pair, cache=tmp_path)
    (entry,) = tmp_path.iterdir()
    with np.load(entry) as stored:
        arrays = dict(stored)
    for name in ("index", "features"):
        arrays[name] = arrays[name][:7]
    arrays["labels"] = arrays["labels"][:, :7]
    np.savez(entry, **arrays)
    with pytest.raises(InputError, match="this cache entry is corrupted"):
        extract_pair(*pair, cache=tmp_path)
