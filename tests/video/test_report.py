"""What is read out of ffmpeg's report, whatever its threads wrote between."""

import subprocess
from pathlib import Path

import pytest

from vmaf_jax import score
from vmaf_jax.errors import InputError
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.report import explain_failure, explain_libvmaf_error

OTHER = "[vost#0:0/wrapped_avframe @ 0x55] [enc:wrapped_avframe @ 0x56] Error: thread received EOF"
OWN = 'problem reading feature "cambi"'


@pytest.mark.parametrize(
    "report",
    [
        f"libvmaf ERROR {OWN}\n{OTHER}\n",
        f"{OTHER}\nlibvmaf ERROR {OWN}\n",
        f"libvmaf ERROR {OTHER}\n{OWN}\n",
        f"{OTHER}\nlibvmaf ERROR {OTHER}\n{OTHER}\n{OWN}\n{OTHER}\n",
    ],
    ids=["first", "last", "torn", "torn twice"],
)
def test_libvmafs_own_line_is_told(report):
    assert f"could not score this pair ({OWN});" in str(explain_libvmaf_error(report))
    pair = Video(Path("ref.y4m")), Video(Path("dis.mp4"))
    assert explain_failure(report, *pair) == explain_libvmaf_error(report)


def test_without_one_ffmpegs_is_told():
    assert explain_libvmaf_error(OTHER) is None
    line = explain_failure(OTHER, Video(Path("ref.y4m")), Video(Path("dis.mp4")))
    assert line.startswith("dis.mp4: ffmpeg failed on this pair (")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["-display_rotation", "30", "-i", "dis.mp4", "-c", "copy"],
            "turn it by 30 degrees, and quarter turns alone are compared; .*-display_rotation 0",
        ),
        (
            ["-i", "dis.mp4", "-frames:v", "1", "-c:v", "png", "-disposition:v", "attached_pic"],
            "has no film, but a cover picture; .*--stream",
        ),
    ],
)
def test_a_file_without_a_comparable_film_is_named(ffmpeg, encodes, tmp_path, words, message):
    path = tmp_path / "odd.mp4"
    subprocess.run([ffmpeg, "-v", "error", *words, path], check=True, cwd=encodes)
    for flags in ({}, {"frames": 4}):  # which is run at once, and after a first frame
        with pytest.raises(InputError, match=f"odd.mp4: .*{message}"):
            score(encodes / "ref.y4m", path, **flags)
