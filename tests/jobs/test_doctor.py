"""`doctor` and results say which libvmaf measures."""

import subprocess
import tomllib

from tests.support import ROOT, run_command
from vmaf_jax.extraction import libvmaf
from vmaf_jax.jobs.doctor import doctor
from vmaf_jax.scoring.score import score
from vmaf_jax.video.ffmpeg import find_ffmpeg


def test_the_build_of_the_documented_figures_is_named():
    assert libvmaf.libvmaf_version(find_ffmpeg()) == libvmaf.LIBVMAF
    parts = doctor().parts
    assert f"with libvmaf {libvmaf.LIBVMAF}, at {find_ffmpeg().path}" in parts["ffmpeg"]
    assert parts["libvmaf"] == f"{libvmaf.LIBVMAF}, the build of the documented figures"
    assert find_ffmpeg().path in run_command("doctor").stdout  # not cut


def test_another_build_is_told_in_results(encodes, tmp_path, monkeypatch, caplog):
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    assert score(*pair, cache=tmp_path / "a").to_dict()["comparison"]["warnings"] == []
    monkeypatch.setattr(libvmaf, "LIBVMAF", "another")  # as seen from that build
    (note,) = score(*pair, cache=tmp_path / "b").to_dict()["comparison"]["warnings"]
    assert "86da14d is not another, which the documented figures are of" in note
    assert note == doctor().parts["libvmaf"]
    longer = [tmp_path / "ref.mkv", tmp_path / "dis.mkv"]
    for path, own in zip(pair, longer, strict=True):
        loop = ["-vf", "loop=loop=1:size=12:start=0", "-c:v", "ffv1", own]
        subprocess.run([find_ffmpeg().path, "-v", "error", "-i", path, *loop], check=True)
    caplog.clear()
    assert score(*longer, within=20.0).to_dict()["comparison"]["warnings"] == [note]
    assert caplog.messages == [f"{longer[1]}: {note}"]


def test_no_older_ffmpeg_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "imageio-ffmpeg>=0.8.1" in project["dependencies"]
