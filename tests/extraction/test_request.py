"""Other metrics of libvmaf's pass: infinite ones, and pictures that are too small for them."""

import json
import subprocess

import numpy as np
import pytest

from tests.support import bare_libvmaf, run_command
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.request import METRICS
from vmaf_jax.scoring.score import score


@pytest.fixture
def make(tmp_path, ffmpeg):
    def make(name, size="320x240", chain="null"):
        path = tmp_path / f"{name}.y4m"
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=24,{chain}", "-frames:v", "4"]
        line = [ffmpeg, "-v", "error", *source, "-pix_fmt", "yuv420p", str(path)]
        subprocess.run(line, check=True)
        return path

    return make


def test_frames_that_are_equal_are_infinite(make, tmp_path, ffmpeg):
    reference, distorted = make("r"), make("d", chain="gblur=2:enable='gte(n,2)'")
    names = ("ciede2000", "psnr_hvs", "psnr")
    for _ in range(2):  # measured, and out of the cache
        found = score(reference, distorted, extra_metrics=names)
        for name in names[:2]:
            metric = METRICS[name]
            truth = bare_libvmaf(
                ffmpeg, reference, distorted, "version=vmaf_v0.6.1", feature=f"name={metric[0]}"
            )[metric.key]
            assert truth[:2].tolist() == [None, None]
            values = found.table.label(name)
            assert np.isposinf(values[:2]).all()
            assert values[2:] == pytest.approx(truth[2:].astype(float), abs=1e-6)
            assert found.extra_metric_statistics()[name]["infinite"] == 2
        assert found.table.label("psnr")[0] == 60
    line = ("score", reference, distorted, "--extra-metrics", ",".join(names))
    shown = run_command(*line)
    assert shown.code == 0, shown.stderr
    assert "psnr_hvs: infinite on 2 frames" in shown.stdout
    outputs = {kind: tmp_path / f"out.{kind}" for kind in ("json", "csv", "png", "html")}
    files = [word for kind, path in outputs.items() for word in (_flag(kind), path)]
    ended = run_command(*line, "--json", *files)
    document = json.loads(ended.stdout, parse_constant=pytest.fail)
    assert document["extra_metrics"]["ciede2000"]["mean"] is None
    assert document["extra_metrics"]["ciede2000"]["infinite"] == 2
    log = json.loads(outputs["json"].read_text(), parse_constant=pytest.fail)
    assert [frame["metrics"]["ciede2000"] for frame in log["frames"]][:2] == [None, None]
    assert log["pooled_metrics"]["psnr_hvs"]["mean"] is None
    xml = tmp_path / "log.xml"
    assert run_command(*line, "--log", xml).code == 0
    assert 'ciede2000="inf"' in xml.read_text()


def _flag(kind):
    return {"json": "--log", "png": "--plot"}.get(kind, f"--{kind}")


@pytest.mark.parametrize("name", ["ms_ssim", "cambi"])
@pytest.mark.parametrize("size", ["174x176", "176x174", "160x160", "214x216", "216x100"])
def test_pictures_that_are_too_small_are_named(make, name, size, ffmpeg):
    path = make(size, size)
    log = bare_libvmaf(
        ffmpeg, path, path, "version=vmaf_v0.6.1", feature=f"name={METRICS[name].extractor}"
    )
    if log is not None and METRICS[name].key in log:  # libvmaf can
        assert score(path, path, extra_metrics=(name,)).table.label(name).shape == (4,)
        return
    with pytest.raises(
        InputError, match=rf"{size}.y4m: .* too small for --extra-metrics {name}, which"
    ):
        score(path, path, extra_metrics=(name,))


def test_a_log_has_the_names_that_readers_look_for(make, tmp_path):
    reference, distorted = make("r"), make("d", chain="gblur=1")
    others = {"teachers": ("vmaf_v0.6.1",), "extra_metrics": ("psnr", "ssim")}
    found = score(reference, distorted, "tiny", **others)
    found.write_log(tmp_path / "log.json")
    metrics = json.loads((tmp_path / "log.json").read_text())["frames"][1]["metrics"]
    assert metrics["vmaf"] == metrics["tiny"] == pytest.approx(found.per_frame[1], abs=1e-6)
    assert {"psnr_y", "float_ssim", "vmaf_v0.6.1"} <= metrics.keys()
