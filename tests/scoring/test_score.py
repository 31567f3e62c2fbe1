import csv
import json

import numpy as np
import pytest

import vmaf_jax
from vmaf_jax.cli import main
from vmaf_jax.errors import InputError
from vmaf_jax.scoring.score import ScoreSettings
from vmaf_jax.scoring.scores import statistics


def test_score_is_the_model_on_the_extracted_features(encodes):
    scores = vmaf_jax.score(
        encodes / "ref.y4m", encodes / "dis.mp4", "tiny", teachers=("vmaf_v0.6.1",)
    )
    table = vmaf_jax.extract_pair(encodes / "ref.y4m", encodes / "dis.mp4")
    expected = vmaf_jax.load_model("tiny")(table.features)
    np.testing.assert_array_equal(scores.per_frame, expected.astype(np.float64))
    assert scores.mean == pytest.approx(expected.mean())
    np.testing.assert_allclose(scores.per_frame, scores.table.label("vmaf_v0.6.1"), atol=0.3)


def test_statistics_on_a_known_case():
    figures = statistics(np.array([0.0, 50.0, 100.0]))
    assert figures["mean"] == 50
    assert figures["harmonic_mean"] == pytest.approx(3 / (1 + 1 / 51 + 1 / 101) - 1)
    assert (figures["min"], figures["p1"], figures["p5"]) == (0, pytest.approx(1), pytest.approx(5))


@pytest.mark.parametrize("model", ["nano", "checkpoints/tiny", "checkpoints/tiny/model.int8.onnx"])
def test_every_kind_of_model_scores(encodes, model, capsys):
    arguments = ["score", str(encodes / "ref.y4m"), str(encodes / "dis.mp4"), "--model", model]
    main([*arguments, "--json", "--per-frame"], leave=False)
    document = json.loads(capsys.readouterr().out)
    assert len(document["frames"]) == document["statistics"]["frames"] == 12
    assert document["score"] == pytest.approx(np.mean(document["frames"]))


def test_files_for_others(encodes, tmp_path, capsys):
    out = ["--csv", str(tmp_path / "o.csv"), "--plot", str(tmp_path / "o.png")]
    pair = [str(encodes / "ref.yuv"), str(encodes / "dis.yuv")]
    raw = ["--width", "352", "--height", "288", "--pix-fmt", "yuv420p"]
    main(["score", *pair, *raw, *out, "--teacher", "vmaf_v0.6.1"], leave=False)
    assert "vmaf_v0.6.1" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
    assert len(rows) == 12
    assert {"frame", "score", "adm2", "motion2", "vmaf_v0.6.1"} <= rows[0].keys()
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"backend": "onnx", "interval": 0.9}, "has no --interval"),
        ({"backend": "onnx", "within": 1.0}, "has no --interval, --within"),
        ({"backend": "onnx", "extra_metrics": ("psnr",)}, "--explain and --extra-metrics"),
        ({"backend": "jax", "provider": "CPU"}, "goes with --backend onnx"),
        ({"backend": "jax", "within": 1.0}, "libvmaf measures some frames, with no --teacher"),
        (
            {"within": 1.0, "teachers": ("vmaf_v0.6.1",)},
            "libvmaf measures some frames, with no --teacher",
        ),
        (
            {"within": 1.0, "extra_metrics": ("psnr",)},
            "libvmaf measures some frames, with no --teacher",
        ),
        ({"backend": "cuda"}, "backend 'cuda'"),
    ],
    ids=str,
)
def test_flags_that_do_not_go_together_are_refused_before_a_file_is_opened(flags, message):
    with pytest.raises(InputError, match=message):
        vmaf_jax.score("absent.y4m", "absent.mp4", "auto", **flags)


def test_a_bad_model_costs_no_measurement(encodes, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not onnx")
    for model, message in ((tmp_path / "bad.onnx", "not a valid ONNX"), ("none", "no run folder")):
        with pytest.raises(InputError, match=message):
            vmaf_jax.score(encodes / "ref.y4m", encodes / "dis.mp4", model)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "libvmav"}, "Did you mean libvmaf"),
        ({"backend": "onnx", "interval": 0.9}, "--backend onnx: has no --interval"),
        ({"backend": "onnx", "within": 1.0}, "--backend onnx: has no --interval"),
        ({"backend": "onnx", "extra_metrics": ("psnr",)}, "--backend onnx: has no --interval"),
        ({"provider": "CPU"}, "--provider goes with --backend onnx"),
        ({"backend": "jax", "within": 1.0}, "--within: libvmaf measures"),
        ({"within": 1.0, "teachers": ("vmaf_v0.6.1",)}, "with no --teacher"),
        ({"within": 1.0, "extra_metrics": ("psnr",)}, "with no --teacher"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ScoreSettings(**settings)
