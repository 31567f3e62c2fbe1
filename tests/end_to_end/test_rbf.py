"""The way of `configs/rbf.yaml`: trained, written for libvmaf, run by stock ffmpeg."""

from pathlib import Path

import numpy as np
import pytest

from vmaf_jax.corpora import demo
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.jobs.export import export
from vmaf_jax.jobs.train import train
from vmaf_jax.runs.config import load_config
from vmaf_jax.scoring.model import load_model
from vmaf_jax.teacher import load_teacher


@pytest.mark.slow
def test_ffmpeg_runs_it_on_every_frame_of_the_demo(tmp_path, demo_table):
    config = load_config(Path("configs/rbf.yaml"))
    run = train(config, tmp_path / "rbf")
    held_out = run.metrics.loso.pooled
    assert held_out.rmse <= 0.10
    assert held_out.max_abs <= 1.0
    path = tmp_path / "mine.json"
    export(str(tmp_path / "rbf"), path, "libvmaf")
    table = extract_clips(demo.load_clips(), Request((str(path),)))
    ffmpeg = table.label("mine")
    assert len(ffmpeg) == 72 * 48
    # Six decimals of the features alone move a score by up to 1e-4.
    np.testing.assert_allclose(load_teacher(path)(table.features), ffmpeg, rtol=0, atol=2e-4)
    in_float32 = load_model(tmp_path / "rbf")(table.features)
    np.testing.assert_allclose(in_float32, ffmpeg, rtol=0, atol=1e-3)
    assert np.sqrt(np.mean((ffmpeg - demo_table.label("vmaf_v0.6.1")) ** 2)) <= 0.1
