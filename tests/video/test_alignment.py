"""Frames that are dropped, repeated, foreign or elsewhere are found, and the others measured."""

import json
import subprocess

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import extract_pair
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.clip_page import clip_view
from vmaf_jax.reporting.clip_page import clip_page
from vmaf_jax.reporting.plots import plot_frame
from vmaf_jax.scoring.score import ScoreSettings
from vmaf_jax.scoring.worst_frames import worst_frames
from vmaf_jax.video import alignment
from vmaf_jax.video.alignment import Alignment, Run, align_frames, frame_course
from vmaf_jax.video.comparison import Comparison

N, H, W = 40, 90, 160


def moving_pictures(n, seed=0):
    """Small pictures of smooth noise that drifts and changes."""
    generator = np.random.default_rng(seed)
    waves = generator.normal(0, 1, (3, 12, 2)), generator.uniform(0, 6, (2, 12))
    y, x = np.mgrid[0:36, 0:64] / 20
    pictures = []
    for t in range(n):
        phases = waves[1][0] + t * waves[1][1] / 15
        wave = sum(
            np.sin(a[0] * 3 * x + a[1] * 3 * y + p)
            for a, p in zip(waves[0][0], phases, strict=True)
        )
        pictures.append(128 + 20 * wave)
    return np.clip(pictures, 0, 255).round().astype(np.uint8).reshape(n, -1)


def add_noise(pictures, seed=1):
    noise = np.random.default_rng(seed).normal(0, 2, pictures.shape)
    return np.clip(pictures + noise, 0, 255).round().astype(np.uint8)


COURSES = {
    "the same": list(range(60)),
    "dropped": [k for k in range(60) if k not in (20, 21, 40)],
    "repeated": sorted([*range(60), 17, 33, 33]),
    "frozen": [*range(30), 29, *range(31, 60)],
    "late": list(range(25, 60)),
    "telecine": [k * 4 // 5 for k in range(75)],
    "decimated": list(range(0, 60, 2)),
}


@pytest.mark.parametrize("name", COURSES)
def test_the_course_is_found(name):
    whole = moving_pictures(60)
    expected = np.array(COURSES[name])
    assert frame_course(whole, add_noise(whole[expected])).tolist() == expected.tolist()


def test_foreign_pictures_show_no_frame():
    whole, other = moving_pictures(60), moving_pictures(8, seed=5)
    distorted = add_noise(np.concatenate([other, whole[:30], other, whole[30:], other]))
    expected = [*[-1] * 8, *range(30), *[-1] * 8, *range(30, 60), *[-1] * 8]
    assert frame_course(whole, distorted).tolist() == expected


@pytest.mark.parametrize("row", [0, -1])
def test_a_first_or_last_frame_that_is_coded_badly_is_not_left_out(row):
    whole = moving_pictures(60)
    expected = np.arange(20, 50)
    distorted = add_noise(whole[expected])
    noise = np.random.default_rng(4).normal(0, 25, distorted[row].shape)
    distorted[row] = np.clip(distorted[row] + noise, 0, 255).astype(np.uint8)
    assert frame_course(whole, distorted).tolist() == expected.tolist()


def test_long_pairs_are_searched_near_anchors_alone(monkeypatch):
    monkeypatch.setattr(alignment, "_FULL", 0)
    monkeypatch.setattr(alignment, "_MARGIN", 8)
    whole = moving_pictures(400)
    expected = np.array([*range(150, 200), *range(203, 390)])
    assert frame_course(whole, add_noise(whole[expected])).tolist() == expected.tolist()


def test_pictures_of_two_films_have_no_alignment():
    assert align_frames(moving_pictures(60), moving_pictures(60, seed=7)) is None


def test_an_alignment_says_what_has_no_partner():
    alignment = Alignment((Run(5, 0, 10), Run(17, 11, 8)), (10,), (30, 22))
    assert alignment.sentences((10.0, None)) == [
        "the reference's first 5 frames (0.50 s) have no partner",
        "the reference's last 5 frames (0.50 s) have no partner",
        "the distorted video's last 3 frames have no partner",
        "2 frames of the reference dropped: 1.50 s (2)",
        "1 frame of the distorted video repeated: frame 10",
    ]
    assert Alignment((Run(1, 0, 9),), (), (10, 9)).sentences((10.0, None)) == [
        "the reference's first frame has no partner"
    ]
    assert Alignment.from_description(alignment.describe()) == alignment
    assert alignment.part(3, 4).runs == (Run(8, 3, 4),)
    assert alignment.rows().tolist() == [*range(10), *range(12, 20)]
    with pytest.raises(InputError, match="no frames from there on belong together"):
        alignment.part(21, None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, ffmpeg):
    """A reference, its encode, and that encode with frames dropped and repeated."""
    out = tmp_path_factory.mktemp("aligned")
    generator = np.random.default_rng(3)
    base = generator.uniform(30, 220, (H * 2 // 6, W * 2 // 8))
    large = np.kron(base, np.ones((6, 8)))
    frames = np.stack([large[k : k + H, 2 * k : 2 * k + W] for k in range(N)]).round()
    noisy = np.clip(frames + generator.normal(0, 6, frames.shape), 0, 255)
    wanted = [*range(12), 11, *range(12, 20), *range(22, N)]
    for name, pictures in (("ref", frames), ("dis", noisy), ("cut", noisy[wanted])):
        write(ffmpeg, out / f"{name}.mkv", pictures)
    return out


def write(ffmpeg, path, luma):
    planes = luma.astype(np.uint8).reshape(len(luma), -1)
    chroma = np.full((len(luma), planes.shape[1] // 2), 128, np.uint8)
    line = [ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{W}x{H}"]
    line += ["-r", "25", "-i", "-", "-c:v", "ffv1", str(path)]
    subprocess.run(line, input=np.hstack([planes, chroma]).tobytes(), check=True)


@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_frames_that_belong_together_have_the_values_of_the_pair_in_step(folder, backend):
    """Motion of the reference too, though neighbours of its frames were dropped."""
    whole = extract_pair(folder / "ref.mkv", folder / "dis.mkv", teachers=(), backend=backend)
    aligned = extract_pair(
        folder / "ref.mkv", folder / "cut.mkv", teachers=(), backend=backend, align=True
    )
    kept = [k for k in range(N) if k not in (20, 21)]
    assert aligned.index.tolist() == kept
    np.testing.assert_allclose(aligned.features, whole.features[kept], atol=2e-6)
    described = aligned.provenance["comparison"]["alignment"]
    assert (described["dropped"], described["repeated"]) == ([[20, 2]], [[12, 1]])


def test_a_part_of_an_aligned_pair_is_measured(folder):
    part = extract_pair(
        folder / "ref.mkv", folder / "cut.mkv", teachers=(), align=True, start="15f", frames=10
    )
    assert part.index.tolist() == [0, 1, 2, 3, 4, 7, 8, 9]


def test_score_names_what_was_dropped_and_repeated(folder, caplog):
    end = run_command("score", folder / "ref.mkv", folder / "cut.mkv", "--align", "--quiet")
    assert end.code == 0
    assert "cut.mkv: 2 frames of the reference dropped: 0.80 s (2)" in caplog.text
    assert "cut.mkv: 1 frame of the distorted video repeated: 0.48 s" in caplog.text


def test_what_cannot_be_aligned_is_refused_in_one_line(folder, ffmpeg, tmp_path):
    write(ffmpeg, tmp_path / "short.mkv", np.full((4, H, W), 90))
    for extra, words in (
        ((tmp_path / "short.mkv",), "too short to align (4 frames)"),
        ((folder / "dis.mkv", "--offset", 2), "--align pairs every frame; drop --sync, --offset"),
        ((folder / "dis.mkv", "--within", 1), "takes pairs that are in step; drop it, or --align"),
    ):
        end = run_command("score", folder / "ref.mkv", *extra, "--align")
        assert end.code == 2
        assert words in end.stderr.replace("\n", " ")


def test_moments_and_worst_frames_of_an_aligned_pair_are_numbered_as_in_both_files(
    folder, ffmpeg, tmp_path
):
    """In their numbers, times, pictures, log and page: rows are none of these."""
    reference, cut = late_and_blurred(folder, ffmpeg, tmp_path)
    scores, worst = worst_frames(
        reference, cut, "vmaf_v0.6.1", ScoreSettings(comparison=Comparison(align=True)), count=1
    )
    (lowest,) = worst
    assert [place.frame for place in lowest.places] == [34, 28]
    assert [place.seconds for place in lowest.places] == [34 / 25, 28 / 25]
    row = int(np.argmin(scores.per_frame))
    assert (row, lowest.frame) == (27, 29)
    assert lowest.features["adm2"] == scores.table.features[row, 0]
    title = "frame 29 (the reference's 34, the distorted video's 28): vmaf_v0.6.1"
    ours, theirs = read_luma(ffmpeg, reference)[34], read_luma(ffmpeg, cut)[28]
    assert lowest.picture == plot_frame(ours, theirs, f"{title} {lowest.score:.2f}")

    document = scores.to_dict(per_frame=True)
    assert document["frame_numbers"] == [*range(15), *range(17, 35)]
    moment = document["moments"]["worst-second"]
    first, last = moment["reference_frames"]
    assert last - first < 25
    assert first <= 34 <= last
    assert (moment["from_s"], moment["to_s"]) == (first / 25, (last + 1) / 25)
    own = moment["distorted_frames"]
    assert (moment["distorted_from_s"], moment["distorted_to_s"]) == (
        own[0] / 25,
        (own[1] + 1) / 25,
    )
    scores.write_log(tmp_path / "log.json")
    log = json.loads((tmp_path / "log.json").read_text())
    assert [entry["frameNum"] for entry in log["frames"]] == document["frame_numbers"]
    page = clip_page(clip_view([scores]))
    assert "frame 29 (1.36 s, the reference&#x27;s 34, the encode&#x27;s 28)" in page


def late_and_blurred(folder, ffmpeg, tmp_path):
    """The cut video without its first 5 frames, and with frame 34 of the reference spoilt."""
    cut = read_luma(ffmpeg, folder / "cut.mkv")[5:]
    cut[28] = 0.3 * cut[28] + 60
    write(ffmpeg, tmp_path / "late.mkv", cut)
    return folder / "ref.mkv", tmp_path / "late.mkv"


def read_luma(ffmpeg, path):
    line = [ffmpeg, "-v", "error", "-i", str(path), "-vf", "extractplanes=y"]
    line += ["-f", "rawvideo", "-"]
    content = subprocess.run(line, capture_output=True, check=True).stdout
    return np.frombuffer(content, np.uint8).reshape(-1, H, W).copy()
