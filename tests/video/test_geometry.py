"""The encode behind a picture that is scaled: what CAMBI is told of its size."""

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.comparison_run import plan_comparison
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.geometry import LumaErrors, find_layouts
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import DecodedStream, probe_pair

VIDEOS = (Video(Path("reference.y4m")), Video(Path("distorted.mp4")))


def stream(width: int, height: int, pix_fmt: str = "yuv420p") -> DecodedStream:
    return DecodedStream(
        demuxer="mov",
        codec="h264",
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        matrix="unknown",
        primaries="unknown",
        transfer="unknown",
        range="tv",
        sar=Fraction(1),
        rotation=0,
        rate=24.0,
        base_rate=24.0,
    )


@pytest.mark.parametrize(
    ("reference", "distorted", "layout", "encode"),
    [
        ((1280, 720), (1280, 720), "same", None),
        ((1920, 1080), (1280, 720), "stretch", (1280, 720, 8)),
        ((1920, 1200), (1280, 720), "pad", (1280, 800, 8)),  # as if bars had been encoded
        ((1920, 1200), (1280, 720), "crop", (1152, 720, 8)),
        ((1920, 1080), (1280, 736), "cut the distorted video to 1280x720", (1280, 720, 8)),
        ((1920, 1080), (320, 180), "stretch", (320, 180, 8)),
        ((1920, 1080), (192, 108), "stretch", None),  # too small for CAMBI
    ],
)
def test_the_encode_is_how_far_the_picture_was_scaled(reference, distorted, layout, encode):
    scale = layout if layout in ("pad", "crop") else None
    ours = stream(*distorted)
    choices = find_layouts(VIDEOS, (stream(*reference), ours), Comparison(scale=scale))
    (chosen,) = [candidate for candidate in choices.layouts if candidate.name == layout]
    assert chosen.encoded_format(ours) == encode


def test_the_depth_is_that_of_the_encode():
    ours = stream(1280, 720, "yuv420p10le")
    choices = find_layouts(VIDEOS, (stream(1920, 1080), ours), Comparison())
    assert choices.layouts[0].encoded_format(ours) == (1280, 720, 10)


def test_a_cut_of_the_reference_must_leave_much_less_where_rounding_explains_the_sizes():
    """180 lines of 320 may be 181.3 rounded, so pictures have to say more than of 720 lines."""
    for size, share, is_cut in (
        ((320, 180), 0.86, False),
        ((320, 180), 0.6, True),
        ((1280, 720), 0.86, True),
    ):
        choices = find_layouts(VIDEOS, (stream(1920, 1088), stream(*size)), Comparison())
        cut = next(layout.name for layout in choices.layouts if "cut the reference" in layout.name)
        errors = {layout.name: 9.0 for layout in choices.layouts} | {"stretch": 1.0, cut: share}
        apart = {(a.name, b.name): 1 - share for a, b in choices.comparisons()}
        luma = LumaErrors(errors, errors, apart)
        assert choices.choose(luma).name == (cut if is_cut else "stretch")


def plan_encode(ffmpeg, folder, filters, encode, contrast=1.0):
    """Plans a noisy picture that moves against an encode of it, which filters were applied to."""
    source = "testsrc2=size=480x270:rate=24:duration=0.6,noise=alls=20:allf=t:all_seed=1"
    source += f",lutyuv=y=16+(val-16)*{contrast}"
    line = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]
    subprocess.run([*line, str(folder / "ref.y4m")], check=True)
    line = [ffmpeg, "-v", "error", "-i", str(folder / "ref.y4m"), "-vf", filters]
    line += ["-c:v", "libx264", "-pix_fmt", "yuv420p", *encode.split(), str(folder / "dis.mp4")]
    subprocess.run(line, check=True)
    pair = (Video(folder / "ref.y4m"), Video(folder / "dis.mp4"))
    return plan_comparison(find_ffmpeg(), *probe_pair(find_ffmpeg(), pair), Comparison())


TO_135 = "scale=240:135:flags=bicubic,format=yuv444p,pad=240"
SMEARED = "fillborders=bottom=1:mode=smear"


@pytest.mark.parametrize("encode", ["-crf 24", "-crf 44"])
@pytest.mark.parametrize(
    ("filters", "lines"),
    [
        (f"{TO_135}:136", 135),
        (f"{TO_135}:136,{SMEARED}", 135),
        # In 4:2:0 the filter loses the last of 135 lines, and the picture is as large as before.
        ("scale=240:135:flags=bicubic,pad=240:136", 135),
        (f"{TO_135}:144", 135),
        # Without `setsar` a tag of the shape of samples makes up for the line that was lost.
        ("scale=240:134:flags=bicubic,pad=240:136", 134),
        ("scale=240:134:flags=bicubic,setsar=1,pad=240:136", 134),
        ("scale=240:136:flags=bicubic,setsar=1", None),
    ],
)
def test_a_padded_step_of_a_ladder_is_cut_whatever_detail_it_lost(
    filters, lines, encode, tmp_path, ffmpeg
):
    plan = plan_encode(ffmpeg, tmp_path, filters, encode)
    if lines is None:
        assert plan.description["layout"] == "stretch"
        return
    assert plan.description["layout"] == f"cut the distorted video to 240x{lines}"
    assert f"and was cut to 240x{lines}" in plan.warnings[-1]


def test_a_step_whose_pictures_do_not_show_padding_is_told(tmp_path, ffmpeg):
    plan = plan_encode(ffmpeg, tmp_path, "scale=240:136,setsar=1", "-crf 45", contrast=0.1)
    assert plan.description["layout"] == "stretch"
    assert plan.warnings[-1].startswith("the distorted video may be 240x135 and padding")
    assert plan.description["warnings"] == list(plan.warnings)


def test_a_pan_that_is_out_of_step_is_compared_whole(tmp_path, ffmpeg):
    """Six columns fewer would fit better: so far the picture has moved in seven frames.

    But no codec pads 570 columns to 576 and leaves 324 lines.
    """
    form = "scale=176:100,setsar=1"
    for name, late, scale in (("ref.y4m", 0, ""), ("dis.y4m", 4, f"{form},")):
        pan = f"trim=end_frame=1,loop=23:1,crop=576:324:'44-0.8*(n+{late})':20:exact=1"
        line = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=720x400:rate=24"]
        line += ["-vf", f"{pan},{scale}format=yuv420p", "-frames:v", "24", str(tmp_path / name)]
        subprocess.run(line, check=True)
    pair = (Video(tmp_path / "ref.y4m"), Video(tmp_path / "dis.y4m"))
    videos, streams = probe_pair(find_ffmpeg(), pair)
    plan = plan_comparison(find_ffmpeg(), videos, streams, Comparison())
    assert plan.description["layout"] == "stretch"
