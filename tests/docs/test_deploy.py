"""The command of docs/deploy-ffmpeg.md, run as it is written, scores the right frames."""

import re
import shlex
import shutil
import subprocess

import pytest

from tests.support import ROOT
from tests.world.clocks import Clocks

RBF = ROOT / "checkpoints" / "rbf" / "model.libvmaf.json"


@pytest.fixture(scope="module")
def clocks(ffmpeg, tmp_path_factory):
    made = Clocks(ffmpeg, tmp_path_factory.mktemp("deploy"))
    shutil.copyfile(RBF, made.folder / "rbf.json")
    return made


def pooled(ffmpeg, words, folder):
    command = [ffmpeg, "-hide_banner", "-nostdin", *words]
    run = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return float(re.findall(r"VMAF score: ([\d.]+)", run.stderr)[-1])


@pytest.mark.parametrize(
    ("name", "made", "reference"),
    [
        (
            "cover.mp4",
            "-i film.mp4 -i cover.png -map 0 -map 1 -c copy -disposition:v:1 attached_pic",
            "ref.y4m",
        ),
        (
            "film.mkv",
            "-i ref24000_1001.y4m -c:v libx264 -qp 34 -bf 2 -colorspace smpte170m",
            "ref24000_1001.y4m",
        ),
    ],
)
def test_the_command_scores_the_right_frames(name, made, reference, clocks, ffmpeg):
    page = (ROOT / "docs" / "deploy-ffmpeg.md").read_text()
    (line,) = re.findall(r"^    ffmpeg (.*)$", page, re.M)
    files = {"distorted.mp4": clocks.make(name, made).name, "reference.y4m": reference}
    words = [files.get(word, word) for word in shlex.split(line)]
    score = pooled(ffmpeg, words, clocks.folder)
    raw = "-f rawvideo -pixel_format yuv420p -video_size 172x134 -i"
    for k, file in enumerate(files.values()):
        clocks.run(f"-i {file} -map 0:v:0 -fps_mode passthrough -f rawvideo raw{k}")
    bare = f"{raw} raw0 {raw} raw1 -lavfi libvmaf=model=path=rbf.json -f null -"
    assert score == pooled(ffmpeg, bare.split(), clocks.folder)
