"""The way of `configs/rbf.yaml`: trained, written for libvmaf, run by stock ffmpeg."""

from pathlib import Path

import numpy as np

from vmaf_jax.config import load_config
from vmaf_jax.corpora import demo
from vmaf_jax.corpora.extraction import extract_clips
from vmaf_jax.export.export import export_model
from vmaf_jax.load import load_model
from vmaf_jax.teacher import load_teacher
from vmaf_jax.train import train_run


def test_ffmpeg_runs_it_on_every_frame_of_the_demo(tmp_path, demo_table):
    config = load_config(Path("configs/rbf.yaml"))
    result = train_run(config, tmp_path / "rbf")
    held_out = result.metrics["loso"]["pooled"]
    assert held_out["rmse"] <= 0.10
    assert held_out["max_abs"] <= 1.0
    path = tmp_path / "mine.json"
    export_model(str(tmp_path / "rbf"), path, "libvmaf")
    table = extract_clips(demo.load_clips(), teachers=(str(path),))
    ffmpeg = table.label("mine")
    assert len(ffmpeg) == 72 * 48
    # Six decimals of the features alone move a score by up to 1e-4.
    np.testing.assert_allclose(load_teacher(path)(table.features), ffmpeg, rtol=0, atol=2e-4)
    in_float32 = load_model(tmp_path / "rbf")(table.features)
    np.testing.assert_allclose(in_float32, ffmpeg, rtol=0, atol=1e-3)
    assert np.sqrt(np.mean((ffmpeg - demo_table.label("vmaf_v0.6.1")) ** 2)) <= 0.1
