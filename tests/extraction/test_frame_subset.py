import re
import subprocess

import numpy as np
import pytest

import vmaf_jax
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.frame_subset import (
    MAX_CHOSEN,
    FramePattern,
    first_look,
    look_arguments,
    measure_all,
    measure_chosen,
    read_look,
    separate_neighbours,
)
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, NEG_FEATURES
from vmaf_jax.video.alignment import interval_expression
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.encoders import EncodeRecipe, decodes_beside, encode_video, find_encoder
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video

PATTERN = FramePattern(6, np.array([2, 5, 0, 1]))


def look(pair, how=DEFAULT_COMPARISON, feature_set=FEATURES, pattern=PATTERN):
    return first_look(find_ffmpeg(), pair, how, feature_set, pattern, threads=2)


@pytest.fixture(scope="module")
def cut_pair(tmp_path_factory, ffmpeg):
    """40 frames: two shots that move, cut at 23; B-frames in the encode."""
    folder = tmp_path_factory.mktemp("cut")

    def make(*arguments):
        subprocess.run([ffmpeg, "-v", "error", "-y", *map(str, arguments)], check=True, cwd=folder)

    shots = (
        "testsrc2=size=320x240:rate=24[a];mandelbrot=size=320x240:rate=24:start_scale=0.5[b];"
        "[a]trim=end_frame=23[c];[b]trim=end_frame=17,setpts=PTS-STARTPTS[d];[c][d]concat,"
        "noise=alls=6:all_seed=2,format=yuv420p"
    )
    make("-filter_complex", shots, "reference.y4m")
    make("-i", "reference.y4m", "-c:v", "libx264", "-crf", "38", "distorted.mp4")
    make("-i", "reference.y4m", "-vf", "scale=160:120", "-crf", "34", "small.mp4")
    return folder


@pytest.mark.parametrize(
    "frames",
    [[0], [39], [5], [0, 1, 2, 3], [22, 23, 24], list(range(40)), [0, 3, 4, 9, 17, 38, 39]],
    ids=str,
)
@pytest.mark.parametrize("distorted", ["distorted.mp4", "small.mp4"])
def test_chosen_frames_have_the_values_of_the_whole(cut_pair, frames, distorted):
    """Motion included: n_subsample keeps what has a memory exact, and neighbours go in."""
    pair = (Video(cut_pair / "reference.y4m"), Video(cut_pair / distorted))
    plan = look(pair).plan
    whole = vmaf_jax.extract_pair(*pair).features
    chosen = measure_chosen(find_ffmpeg(), pair, plan, FEATURES, frames, threads=2)
    np.testing.assert_array_equal(chosen, whole[frames])


# Chosen frames at both ends of a cell, of a period and of the clip, whatever comes next to them.
PATTERNS = [
    (6, [0, 0]),
    (6, [5, 5]),
    (6, [0, 5]),
    (6, [5, 0]),
    (2, [0, 1, 1, 0]),
    (5, [2, 4, 1, 3]),
]


@pytest.mark.parametrize(("cell", "offsets"), PATTERNS, ids=str)
def test_the_first_look_has_the_values_of_the_whole(cut_pair, cell, offsets):
    pair = (Video(cut_pair / "reference.y4m"), Video(cut_pair / "small.mp4"))
    pattern = FramePattern(cell, np.array(offsets))
    features = look(pair, pattern=pattern).features
    whole = vmaf_jax.extract_pair(*pair).features
    frames = [0] + [
        frame
        for k in range(-(-39 // cell))
        if (frame := 1 + cell * k + offsets[k % len(offsets)]) < 40
    ]
    assert list(features) == sorted(frames)
    np.testing.assert_array_equal(list(features.values()), whole[frames])


def test_every_frame_by_a_plan_that_is_known(cut_pair):
    pair = (Video(cut_pair / "reference.y4m"), Video(cut_pair / "small.mp4"))
    for options in ({}, {"offset": 3, "force": True}):  # out of step on purpose
        pilot = look(pair, Comparison(**options))
        every = measure_all(find_ffmpeg(), pilot, FEATURES, threads=2)
        np.testing.assert_array_equal(every, vmaf_jax.extract_pair(*pair, **options).features)


def test_lengths_that_differ(cut_pair, ffmpeg):
    """The longer one's frames after the shorter's end are chosen by no branch."""
    line = [ffmpeg, "-v", "error", "-y", "-i", "reference.y4m", "-frames:v", "29", "cut.y4m"]
    subprocess.run(line, check=True, cwd=cut_pair)
    pair = (Video(cut_pair / "cut.y4m"), Video(cut_pair / "distorted.mp4"))
    whole = vmaf_jax.extract_pair(*pair, shortest=True).features
    for offset in range(6):
        pattern = FramePattern(6, np.array([offset, 5 - offset]))
        features = look(pair, Comparison(shortest=True), pattern=pattern).features
        np.testing.assert_array_equal(list(features.values()), whole[list(features)])


def test_other_feature_sets_and_offsets(cut_pair):
    pair = (Video(cut_pair / "reference.y4m"), Video(cut_pair / "distorted.mp4"))
    how = Comparison(offset=2)
    plan = look(pair, how, NEG_FEATURES).plan
    whole = vmaf_jax.extract_pair(*pair, feature_set=NEG_FEATURES, offset=2, force=True).features
    chosen = measure_chosen(find_ffmpeg(), pair, plan, NEG_FEATURES, [1, 8, 20], threads=1)
    np.testing.assert_array_equal(chosen, whole[[1, 8, 20]])


def test_libvmafs_own_subsampling_keeps_motion_exact(cut_pair, ffmpeg):
    import json

    logs = []
    for step in (1, 5):
        graph = f"libvmaf=log_fmt=json:log_path=log{step}.json:n_subsample={step}"
        files = ["-i", "distorted.mp4", "-i", "reference.y4m"]
        line = [ffmpeg, "-v", "error", "-nostdin", *files, "-filter_complex", graph]
        subprocess.run([*line, "-f", "null", "-"], check=True, cwd=cut_pair)
        log = json.loads((cut_pair / f"log{step}.json").read_text())
        logs.append({entry["frameNum"]: entry["metrics"] for entry in log["frames"]})
    every, fifth = logs
    assert list(fifth) == [0, 5, 10, 15, 20, 25, 30, 35]
    for frame, metrics in fifth.items():
        for key in FEATURES.libvmaf_keys:
            assert metrics[key] == every[frame][key]


def test_the_first_look_sees_the_cut_and_every_frame(cut_pair, ffmpeg):
    pair = (Video(cut_pair / "reference.y4m"), Video(cut_pair / "distorted.mp4"))
    pilot = look(pair)
    assert 23 in pilot.cuts
    assert pilot.covariate.shape == (40, 4)
    line = [ffmpeg, "-nostdin", "-i", pair[1].path, "-i", pair[0].path, "-lavfi", "psnr"]
    run = subprocess.run([*line, "-f", "null", "-"], capture_output=True, text=True, check=True)
    psnr_db = float(re.search(r"PSNR y:([0-9.]+)", run.stderr)[1])
    mse = 10 ** (-pilot.covariate[:, 0] / 10)
    assert 10 * np.log10(255**2 / mse.mean()) == pytest.approx(psnr_db, abs=0.01)
    np.testing.assert_array_equal(pilot.covariate[:-1, 3], pilot.covariate[1:, 0])
    np.testing.assert_array_equal(pilot.covariate[1:, 2], pilot.covariate[:-1, 0])
    motion = vmaf_jax.extract_pair(*pair).features[:, list(FEATURES).index("motion2")]
    assert np.corrcoef(pilot.covariate[1:-1, 1], motion[1:-1])[0, 1] > 0.9


def test_the_longest_list_fits_one_argument():
    """Linux takes 128 KiB in one; the list stands in it for each of the two videos."""
    frames = range(9_000_000, 9_000_000 + 9 * MAX_CHOSEN, 9)
    assert 2 * len(interval_expression([(f - 1, f + 1) for f in frames])) < 120_000


def test_lists_keep_frames_apart():
    rng = np.random.default_rng(0)
    for n in (1, 10, 60, 100):
        frames = sorted(rng.choice(100, n, replace=False).tolist())
        lists = separate_neighbours(frames)
        assert sorted(frame for members in lists for frame in members) == frames
        assert len(lists) <= 3 + (frames[0] == 0)
        assert all(np.diff(members).min(initial=3) >= 3 for members in lists)


@pytest.mark.parametrize("name", ["vmaf_v1", "vmaf_float_neg"])
@pytest.mark.parametrize("offsets", [[0, 0], [2, 5]])
def test_the_first_frame_of_every_feature_set_is_that_of_the_whole(cut_pair, name, offsets):
    """libvmaf gives a first frame the motion3 of what follows it, which its copies do not have."""
    feature_set = FEATURE_SETS[name]
    pair = (Video(cut_pair / "reference.y4m"), Video(cut_pair / "distorted.mp4"))
    whole = vmaf_jax.extract_pair(*pair, feature_set=feature_set, teachers=()).features
    pilot = look(pair, feature_set=feature_set, pattern=FramePattern(6, np.array(offsets)))
    np.testing.assert_array_equal(list(pilot.features.values()), whole[list(pilot.features)])
    plan, frames = pilot.plan, [0, 1, 2, 7, 39]
    chosen = measure_chosen(find_ffmpeg(), pair, plan, feature_set, frames, threads=2)
    np.testing.assert_array_equal(chosen, whole[frames])


def test_motion_of_five_frames_is_not_measured_apart(cut_pair):
    pair = (cut_pair / "reference.y4m", cut_pair / "distorted.mp4")
    with pytest.raises(InputError, match=r"--within: vmaf_v1.0.16_hfr_3d0h takes motion from five"):
        vmaf_jax.score(*pair, model="vmaf_v1.0.16_hfr_3d0h", within=1.0)


@pytest.mark.parametrize(
    "name",
    [
        *("libx264", "libsvtav1"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("libx265", "libvpx-vp9")),
    ],
)
def test_an_encode_is_looked_at_while_it_is_made_as_afterwards(cut_pair, tmp_path, name):
    ffmpeg, source, out = find_ffmpeg(), Video(cut_pair / "reference.y4m"), tmp_path / "out.mkv"
    if not decodes_beside(ffmpeg, name):
        pytest.skip(f"this ffmpeg does not decode {name} beside encoding")
    encoder = find_encoder(ffmpeg, name)
    recipe = EncodeRecipe(encoder, encoder.preset, "yuv420p")
    beside = look_arguments(source, FEATURES, PATTERN, threads=2)
    encode_video(ffmpeg, source, recipe, 40.0, out, beside=beside, folder=tmp_path)
    pair = (source, Video(out))
    made = read_look(ffmpeg, pair, FEATURES, PATTERN, 40, tmp_path)
    after = look(pair)
    assert made.features == after.features
    assert made.cuts == after.cuts == [23]
    np.testing.assert_array_equal(made.covariate, after.covariate)
    with pytest.raises(InputError, match="40 frames of 41 could be compared"):
        read_look(ffmpeg, pair, FEATURES, PATTERN, 41, tmp_path)
