"""`--model auto` and `phone`: which model, and that it is said."""

import inspect
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import load_teacher, score
from vmaf_jax.commands.options import complete_scored_model
from vmaf_jax.commands.score import score as score_command
from vmaf_jax.errors import InputError
from vmaf_jax.scoring.model import (
    AUTO,
    FOUR_K,
    HD,
    PHONE,
    V1_VIEWS,
    ModelChoice,
    choose_model,
    feature_set_of,
    vmaf_model_for,
)
from vmaf_jax.scoring.rank import rank
from vmaf_jax.scoring.score import DEFAULT_MODEL, ScoreSettings
from vmaf_jax.serving.requests import ScoreRequest
from vmaf_jax.video.inputs import Video


@pytest.mark.parametrize(
    ("width", "height", "model"),
    [
        *(
            (352, 288, HD),
            (1920, 1080, HD),
            (1080, 1920, HD),
            (2560, 1440, HD),
            (3840, 2160, FOUR_K),
        ),
        *((2160, 3840, FOUR_K), (3840, 1600, FOUR_K), (4096, 2160, FOUR_K), (2880, 2160, FOUR_K)),
    ],
)
def test_the_reference_decides(width, height, model):
    assert vmaf_model_for(width, height) == model


def test_what_is_named_is_taken():
    assert choose_model("tiny", Video(Path("no such file"))) == ModelChoice("tiny")


def test_the_choice_is_told(encodes):
    pair = encodes / "ref.y4m", encodes / "dis.mp4"
    reason = f"{HD}: chosen for a 1080p screen at 3 heights, the reference is 352x288"
    result = run_command("score", *pair, "--json")
    document = json.loads(result.stdout)
    assert (document["model"], document["model_choice"]) == (HD, reason)
    shown = run_command("score", *pair)
    assert HD in shown.stdout
    assert shown.stderr.splitlines() == [reason]
    quiet = run_command("score", *pair, "--quiet")
    assert (float(quiet.stdout), quiet.stderr) == (pytest.approx(document["score"], abs=1e-6), "")


def test_what_was_decoded_decides_without_a_probe(tmp_path, ffmpeg, monkeypatch):
    line = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=3840x64:rate=2:duration=1"]
    subprocess.run([*line, "-c:v", "libx264", "-qp", "20", tmp_path / "wide.mp4"], check=True)
    monkeypatch.setattr("vmaf_jax.video.streams.probe", None)
    scores = score(tmp_path / "wide.mp4", tmp_path / "wide.mp4")
    assert scores.model == FOUR_K
    assert scores.choice.endswith("the reference is 3840x64")


def test_the_default_is_one_for_all():
    options = inspect.signature(score_command).parameters
    assert (
        options["model"].default
        == DEFAULT_MODEL
        == AUTO
        == ScoreRequest.model_fields["model"].default
    )
    assert set(complete_scored_model("")) >= {AUTO, PHONE, HD, FOUR_K, "tiny"}
    assert complete_scored_model("ph") == [PHONE]


def test_a_phone_has_the_transform(encodes):
    scores = score(encodes / "ref.y4m", encodes / "dis.mp4", "phone")
    expected = load_teacher(HD, phone=True)(scores.table.features)
    np.testing.assert_allclose(scores.per_frame, expected, atol=1e-10)
    assert scores.model == f"{HD}_phone"
    assert scores.pooled > np.mean(load_teacher(HD)(scores.table.features)) + 1


def test_scores_of_two_models_are_not_ranked(encodes, tmp_path):
    folder = tmp_path / "references"
    folder.mkdir()
    (folder / "a.y4m").symlink_to(encodes / "ref.y4m")
    (folder / "b.yuv").write_bytes(bytes(3840 * 2160 * 3 // 2))
    raw = ScoreSettings(width=3840, height=2160, pix_fmt="yuv420p")
    with pytest.raises(InputError, match=f"call for {FOUR_K} and {HD}"):
        rank(folder, [folder], "auto", raw)


@pytest.mark.parametrize(
    ("size", "rate", "display", "model"),
    [
        ("352x288", 24, None, "vmaf_v1.0.16_3d0h"),
        ("352x288", 60, None, "vmaf_v1.0.16_hfr_3d0h"),
        ("352x288", 30, "1080p@5.0h", "vmaf_v1.0.16_5d0h"),
        ("3840x64", 50, None, "vmaf_v1.0.16_hfr_1d5h_2160"),
        ("352x288", 24, "2160@3H", "vmaf_v1.0.16_3d0h_2160"),
    ],
)
def test_v1_follows_display_and_frame_rate(size, rate, display, model, tmp_path, ffmpeg):
    source = ["-f", "lavfi", "-i", f"color=size={size}:rate={rate}", "-frames:v", "1"]
    path = tmp_path / "a.y4m"
    subprocess.run([ffmpeg, "-v", "error", *source, "-pix_fmt", "yuv420p", path], check=True)
    choice = choose_model("v1", Video(path), display)
    assert choice.model == model
    assert f"the reference is {size} at {rate} frames/s" in str(choice.reason)
    assert choose_model(model, Video(path)) == ModelChoice(model)


def test_the_result_names_v1_s_model_and_its_form(encodes):
    pair = (encodes / "ref.y4m", encodes / "small.mp4", "--model", "v1", "--json")
    document = json.loads(run_command("score", *pair).stdout)
    assert document["model"] == "vmaf_v1.0.16_3d0h"
    assert document["model_choice"].startswith("vmaf_v1.0.16_3d0h: chosen for a 1080p screen at 3")
    assert document["comparison"]["v1_bits"] == 10
    ranked = json.loads(run_command("score", pair[0], encodes / "dis.mp4", *pair[1:]).stdout)
    assert {entry["model"] for entry in ranked["ranked"]} == {document["model"]}


def test_every_display_has_a_model_that_is_there():
    for view in V1_VIEWS.values():
        for name in (f"vmaf_v1.0.16_{view}", f"vmaf_v1.0.16_hfr_{view}"):
            assert feature_set_of(name).libvmaf_model == name


@pytest.mark.parametrize(
    ("model", "display", "message"),
    [
        ("v1", "4K", "VMAF has no model for it; expected 1080p@3H, 1080p@5H"),
        ("auto", "1080p@5H", "only VMAF v1 has a model for it; add --model v1"),
        ("tiny", "1080p@3H", "goes with --model auto or v1"),
    ],
)
def test_displays_without_a_model(encodes, model, display, message):
    words = (encodes / "ref.y4m", encodes / "dis.mp4", "--model", model, "--display", display)
    finished = run_command("score", *words)
    assert (finished.code, finished.stderr.count("\n")) == (2, 1)
    assert message in finished.stderr
    screen = run_command("score", *words[:2], "--display", "2160p@1.5H", "--json").stdout
    assert json.loads(screen)["model"] == FOUR_K
