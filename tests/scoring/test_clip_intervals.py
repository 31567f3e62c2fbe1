"""A table's clips with a model's own intervals: by `evaluate` and where models are compared."""

import json
import shutil

import numpy as np
import pytest

import vmaf_jax
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.evaluate import rank_models
from vmaf_jax.scoring.intervals import clip_intervals
from vmaf_jax.scoring.model import load_model

LABEL = "vmaf_v0.6.1"


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
        (["opinions"], 0.9, "its intervals are of mos, and cannot be held against vmaf_v0.6.1"),
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
