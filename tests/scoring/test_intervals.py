"""Intervals of a score, of a table's clips, and of a sample of frames."""

import csv
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

import vmaf_jax
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.clip_page import clip_view
from vmaf_jax.jobs.evaluate import rank_models
from vmaf_jax.reporting.clip_page import bin_scores
from vmaf_jax.scoring.intervals import clip_intervals
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.score import ScoreSettings
from vmaf_jax.scoring.worst_frames import worst_frames

LABEL = "vmaf_v0.6.1"


@pytest.fixture(scope="module")
def pair(tmp_path_factory, ffmpeg):
    """200 frames in three shots, encoded with B-frames; and its first 12 frames."""
    folder = tmp_path_factory.mktemp("long")

    def make(*arguments):
        subprocess.run([ffmpeg, "-v", "error", "-y", *map(str, arguments)], check=True, cwd=folder)

    shots = (
        "testsrc2=size=320x240:rate=24,trim=end_frame=70[a];"
        "mandelbrot=size=320x240:rate=24:start_scale=0.5,trim=end_frame=90[b];"
        "testsrc=size=320x240:rate=24,trim=end_frame=40[c];"
        "[a][b][c]concat=n=3,noise=alls=6:all_seed=2,format=yuv420p"
    )
    make("-filter_complex", shots, "reference.y4m")
    make("-i", "reference.y4m", "-c:v", "libx264", "-crf", "30", "distorted.mp4")
    for name in ("reference.y4m", "distorted.mp4"):
        make("-i", name, "-frames:v", "12", f"short_{name}")
    return folder / "reference.y4m", folder / "distorted.mp4"


def test_within_measures_a_part_and_says_so(pair):
    full = vmaf_jax.score(*pair)
    finished = run_command("score", *pair, "--within", 2, "--json")
    assert finished.code == 0, finished.stderr
    document = json.loads(finished.stdout)
    assert document["frames"] == 200
    assert document["frames_measured"] == document["statistics"]["frames"] < 120
    interval = document["interval"]
    assert set(interval) == {"level", "low", "high", "kind"}  # of sampling, not of a label
    assert (interval["level"], interval["kind"]) == (0.95, "sampling of frames")
    assert interval["high"] - interval["low"] <= 4 + 1e-9
    assert interval["low"] <= full.mean <= interval["high"]
    some = vmaf_jax.score(*pair, within=2.0)
    np.testing.assert_array_equal(some.per_frame, full.per_frame[some.table.index])
    assert some.pooled == document["score"]
    assert len(some.frame_lines()) == document["frames_measured"]


def test_frames_are_named_by_their_place_in_the_clip(pair, tmp_path):
    """Where only some were measured: in lines, tables, files, and on a page."""
    full, some = vmaf_jax.score(*pair), vmaf_jax.score(*pair, within=2.0)
    assert some.frames == 200
    lines = [line.split("\t") for line in some.frame_lines()]
    named = {int(frame): float(score) for frame, score in lines}
    assert max(named) > len(named)
    some.write_csv(tmp_path / "frames.csv")
    with (tmp_path / "frames.csv").open() as file:
        written = {int(row["frame"]): float(row["score"]) for row in csv.DictReader(file)}
    some.write_log(tmp_path / "log.json")
    entries = json.loads((tmp_path / "log.json").read_text())["frames"]
    in_json = {entry["frameNum"]: entry["metrics"]["vmaf"] for entry in entries}
    some.write_log(tmp_path / "log.xml")
    found = re.findall(
        r'<frame frameNum="(\d+)".* vmaf="([0-9.]+)"', (tmp_path / "log.xml").read_text()
    )
    in_xml = {int(frame): float(score) for frame, score in found}
    (encode,) = clip_view([some]).encodes
    drawn = bin_scores(encode)
    frames = [*encode.worst, *drawn.lowest.tolist()]
    on_page = {frame: encode.at(frame) for frame in frames}
    for scores in (named, written, in_json, in_xml, on_page):
        for frame, score in scores.items():
            assert score == pytest.approx(full.per_frame[frame], abs=1e-6)
    assert list(in_json) == list(in_xml) == list(named)
    assert encode.worst[0] == min(named, key=named.get)
    assert sorted(drawn.lowest.tolist()) == sorted(named)


def test_the_lowest_of_some_frames_is_named_by_its_place_in_the_clip(pair):
    """In a notebook, and among the worst frames."""
    full = vmaf_jax.score(*pair)
    settings = ScoreSettings(within=2.0)
    some, worst = worst_frames(*pair, settings=settings, count=3, pictures=False)
    lowest = int(some.table.index[np.argmin(some.per_frame)])
    assert worst[0].frame == lowest != np.argmin(some.per_frame)
    for frame in worst:
        assert frame.score == pytest.approx(full.per_frame[frame.frame], abs=1e-6)
        assert [place.frame for place in frame.places] == [frame.frame] * 2
    across = re.findall(r'class="mid">(\d+)<', some._repr_html_())
    assert max(map(int, across)) == 150  # of 200 frames, of which fewer than 120 were measured


def test_reasons_are_of_the_frame_that_they_name_where_frames_were_left_out(pair, ffmpeg, tmp_path):
    """Of an aligned pair that lacks 20 frames, rows are no numbers of frames."""
    line = [ffmpeg, "-v", "error", "-i", pair[1], "-vf"]
    line += ["select='lt(n,20)+gte(n,40)',setpts=N/24/TB", "-c:v", "libx264", "-crf", "34"]
    subprocess.run([*map(str, line), str(tmp_path / "cut.mp4")], check=True)
    found = vmaf_jax.score(pair[0], tmp_path / "cut.mp4", align=True, explain=True)
    row = int(np.argmin(found.per_frame))
    number = int(found.table.index[row])
    assert number == row + 20
    entry = found.to_dict()["explanation"]["lowest_frame"]
    assert (entry["frame"], entry["reference_frame"], entry["distorted_frame"]) == (
        number,
        number,
        row,
    )
    assert entry["score"] == found.per_frame[row]
    assert any(line.startswith(f"why frame {number} (") for line in found.summary_lines())


def test_within_too_little_measures_every_frame(pair):
    some = vmaf_jax.score(*pair, within=1e-6)
    assert len(some.per_frame) == some.frames == 200
    assert some.interval.low == some.interval.high == pytest.approx(vmaf_jax.score(*pair).mean)
    assert some.interval_lines() == [
        f"{some.pooled:.2f}: the mean of 200 frames, of which none was left out"
    ]
    assert some.moments() == vmaf_jax.score(*pair).moments() != {}


def test_within_goes_on_until_the_interval_is_as_narrow_as_asked(pair):
    first = vmaf_jax.score(*pair, within=50.0)
    half = first.interval.high - first.pooled
    wanted = 0.6 * half
    more = vmaf_jax.score(*pair, within=wanted)
    assert more.interval.high - more.pooled <= wanted
    assert len(more.per_frame) > len(first.per_frame)


def test_interval_and_region(pair):
    finished = run_command("score", *pair, *TINY, "--interval", 0.9, "--json")
    document = json.loads(finished.stdout)
    interval = document["interval"]
    assert (interval["level"], interval["kind"]) == (0.9, "conformal across sources")
    assert interval["low"] < document["score"] < interval["high"]
    assert document["inside_training_region"] in (True, False)
    assert "frames_measured" not in document
    both = vmaf_jax.score(*pair, "tiny", interval=0.9, within=2.0)
    # Conformal at 0.9 + 0.05, widened by the sampling's half-width at 0.95: errors of 0.1 in all.
    half = (sampled := vmaf_jax.score(*pair, "tiny", within=2.0)).interval.high - sampled.pooled
    wide = vmaf_jax.load_model(both.model).calibration.interval(both.pooled, 0.95, both.model)
    assert half > 0
    assert both.interval.low == pytest.approx(max(0, wide.low - half), abs=1e-9)
    assert both.interval.high == pytest.approx(min(100, wide.high + half), abs=1e-9)
    assert both.interval.kind == "conformal across sources, and sampling of frames"
    plain = json.loads(run_command("score", *pair, "--json").stdout)
    assert "interval" not in plain


def test_people_read_it(pair):
    text = run_command("score", *pair, *TINY, "--interval", 0.9, "--within", 2).stdout
    assert "the mean of 200 frames, from" in text
    assert "90 % interval" in text
    assert "of the model against vmaf_v0.6.1, not against viewers" in " ".join(text.split())
    both = json.loads(run_command("score", *pair, *TINY, "--interval", 0.9, "--json").stdout)
    assert both["interval"]["of"] == "vmaf_v0.6.1"
    strange = run_command("score", pair[0], pair[0], "--model", "rbf_4k").stdout
    assert ("outside the training region" in strange) == (
        vmaf_jax.score(pair[0], pair[0], "rbf_4k").inside_training_region is False
    )


TINY = ["--model", "tiny"]
BAD = [
    ([*TINY, "--interval", 0], "--interval 0: expected more than 0"),
    ([*TINY, "--interval", 1], "--interval 1: expected"),
    ([*TINY, "--interval", "nan"], "--interval nan: expected"),
    (["--within", 0], "--within 0: expected points above 0"),
    (["--within", -1], "--within -1: expected"),
    (["--within", "nan"], "--within nan: expected"),
    ([*TINY, "--within", 1, "--interval", 0.95], "--interval 0.95: with --within below 0.95"),
    (["--within", 1, "--per-frame"], "--per-frame lists all"),
    (["--within", 1, "--backend", "jax"], "libvmaf measures"),
    (["--within", 1, "--teacher", "vmaf_v0.6.1"], "with no --teacher"),
    (["--within", 1, "--allow-damaged"], "cannot look for damage"),
    (["--interval", 0.9, "--model", "vmaf_v0.6.1"], "VMAF's own model: it imitates nothing"),
    (["--interval", 0.9], "name a student (--model tiny)"),
    (["--interval", 0.9, "--model", "phone"], "VMAF's own model: it imitates nothing"),
    (["--interval", 0.9, "--model", "checkpoints/tiny/model.int8.onnx"], "carries no calibration"),
]


@pytest.mark.parametrize(("flags", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_one_line(pair, flags, message):
    finished = run_command("score", *pair, *flags)
    assert finished.code == 2
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert finished.stdout == ""


def test_a_clip_shorter_than_two_cells(pair):
    short = [path.with_name(f"short_{path.name}") for path in pair]
    finished = run_command("score", *short, "--within", 1)
    assert finished.code == 2
    assert "12 frames, --within takes 13 or more" in finished.stderr


@pytest.fixture(scope="module")
def table(tmp_path_factory, support_vectors):
    path = tmp_path_factory.mktemp("table") / "sv.parquet"
    support_vectors.write(path)
    return path


@pytest.fixture(scope="module")
def one_source(tmp_path_factory):
    """A model that was calibrated on a single source."""
    folder = shutil.copytree("checkpoints/tiny", tmp_path_factory.mktemp("runs") / "lone")
    sidecar = json.loads((folder / "model.json").read_text())
    sidecar["calibration"]["n_sources"] = 1
    (folder / "model.json").write_text(json.dumps(sidecar))
    return folder


def test_a_clip_of_frames_has_the_interval_of_its_score(encodes):
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    frames = vmaf_jax.extract_pair(*pair, teachers=(LABEL,))
    assert len(frames) == 12
    (clip,) = clip_intervals(load_model("tiny"), frames, LABEL, 0.9).clips
    expected = vmaf_jax.score(*pair, model="tiny", interval=0.9)
    assert clip.score == pytest.approx(expected.pooled, abs=1e-4)
    ends = (expected.interval.low, expected.interval.high)
    assert (clip.low, clip.high) == pytest.approx(ends, abs=1e-4)
    assert clip.label == pytest.approx(frames.label(LABEL).mean())


def test_what_they_held_is_counted(support_vectors):
    model = load_model("nano")
    intervals = clip_intervals(model, support_vectors, LABEL, 0.5)
    predicted, true = model(support_vectors.features), support_vectors.label(LABEL)
    held = widths = 0.0
    for p, y, clip in zip(predicted.tolist(), true.tolist(), intervals.clips, strict=True):
        interval = model.calibration.interval(p, 0.5, "nano")
        assert (clip.low, clip.high) == pytest.approx((interval.low, interval.high))
        held += interval.low <= min(max(y, 0), 100) <= interval.high
        widths += interval.high - interval.low
    assert intervals.held == pytest.approx(held / 211)
    assert intervals.mean_width == pytest.approx(widths / 211)
    assert 0.2 < intervals.held < 0.9  # neither all nor none: the count could be wrong


def test_models_are_compared_with_theirs(table, support_vectors, one_source):
    names = ["nano", LABEL, "tiny", one_source]
    compared = rank_models(names, table, interval=0.9)
    by_name = {(entry.model, entry.kind): entry.intervals for entry in compared.ranked}
    assert len(by_name) == len(compared.ranked) - 1  # two are called tiny
    assert by_name[LABEL, "libvmaf"] is None
    assert by_name["nano", "run"] == clip_intervals(load_model("nano"), support_vectors, LABEL, 0.9)
    last = [entry.intervals for entry in compared.ranked if entry.model == "tiny"]
    assert sorted(entry is None for entry in last) == [False, True]
    assert all(e.intervals is None for e in rank_models(names[:3], table).ranked)


@pytest.mark.parametrize(
    ("models", "level", "words"),
    [
        (["tiny"], 1.0, "--interval 1: expected more than 0 and less than 1"),
        (["tiny"], float("nan"), "--interval nan"),
        ([LABEL], 0.9, "is VMAF's own model"),
        (["opinions"], 0.9, "its intervals are of mos, and cannot be compared with vmaf_v0.6.1"),
    ],
)
def test_where_no_model_has_any_it_is_refused(table, models, level, words):
    with pytest.raises(InputError, match=words):
        rank_models(models, table, label=LABEL, interval=level)


def test_the_command_tells_clips_and_what_was_held(table):
    arguments = ("evaluate", "--model", "tiny", "--features", table, "--interval", 0.9)
    document = json.loads(run_command(*arguments, "--json").stdout)["intervals"]
    clips = document["clips"]
    assert set(clips[0]) == {"source", "clip", "label", "score", "low", "high"}
    held = np.mean([clip["low"] <= clip["label"] <= clip["high"] for clip in clips])
    assert document["held"] == pytest.approx(held)
    shown = run_command(*arguments)
    assert shown.code == 0
    assert f"90 % intervals held the label of {held:.1%} of 211 clips" in shown.stdout
    assert "111 more clips with --json" in shown.stdout
    assert shown.stdout.count("missed") == sum(
        not clip["low"] <= clip["label"] <= clip["high"] for clip in clips[:100]
    )
    without = run_command(*arguments[:-2], "--json")
    assert json.loads(without.stdout)["intervals"] is None


@pytest.mark.parametrize(
    ("model", "level", "words"),
    [
        ("tiny", 0, "--interval 0: expected"),
        ("tiny", 1.5, "--interval 1.5: expected"),
        (LABEL, 0.9, "is VMAF's own model"),
        (None, 0.9, "calibrated on one source"),
    ],
)
def test_refusals_are_one_line(table, one_source, model, level, words):
    which = model or one_source
    ended = run_command("evaluate", "--model", which, "--features", table, "--interval", level)
    assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert words in ended.stderr
