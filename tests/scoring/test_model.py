"""`--model auto` and `phone`: which model, and that it is said."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import load_teacher, score
from vmaf_jax.errors import InputError
from vmaf_jax.scoring.model import FOUR_K, HD, ModelChoice, choose_model, vmaf_model_for
from vmaf_jax.scoring.rank import rank
from vmaf_jax.scoring.score import ScoreSettings
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
    result = run_command("score", *pair, "--model", "auto", "--json")
    document = json.loads(result.stdout)
    assert (document["model"], document["model_choice"]) == (HD, reason)
    quiet = run_command("score", *pair, "--model", "auto", "--quiet")
    assert float(quiet.stdout) == pytest.approx(document["score"], abs=1e-6)
    assert quiet.stderr.splitlines() == [reason]


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
