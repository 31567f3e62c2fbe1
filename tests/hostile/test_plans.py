"""What is decided of a pair from its streams alone: refused, warned of, or brought together."""

import dataclasses
import itertools
from fractions import Fraction
from pathlib import Path

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import SCALES, Comparison
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.pairing import DEFAULT_CHAIN, SAME_COLOUR, plan_pair
from vmaf_jax.video.streams import DecodedStream, decoded_streams

VIDEOS = (Video(Path("ref.mp4")), Video(Path("dis.mp4")))
PLAIN = DecodedStream(
    demuxer="mov,mp4",
    codec="h264",
    width=1920,
    height=1080,
    pix_fmt="yuv420p",
    matrix="bt709",
    primaries="bt709",
    transfer="bt709",
    range="tv",
    sar=Fraction(1),
    rotation=0,
    rate=25.0,
    base_rate=25.0,
)


def plan(how=None, reference=None, **distorted):
    facts = (
        dataclasses.replace(PLAIN, **(reference or {})),
        dataclasses.replace(PLAIN, **distorted),
    )
    return plan_pair(VIDEOS, facts, how or Comparison())


TAGS = ("bt709", "bt470bg", "smpte170m", "bt2020nc", "unknown")


@pytest.mark.parametrize(("ours", "theirs"), [*itertools.product(TAGS, TAGS)])
def test_no_pair_of_matrices_converts_luma(ours, theirs):
    made = plan(reference={"matrix": theirs}, matrix=ours)
    assert not made.changed
    assert made.to_reference == made.to_distorted == DEFAULT_CHAIN
    assert bool(made.warnings) == (ours != theirs and "unknown" not in (ours, theirs))


TRANSFERS = ("bt709", "smpte2084", "arib-std-b67", "unknown")


@pytest.mark.parametrize(("ours", "theirs"), [*itertools.product(TRANSFERS, TRANSFERS)])
def test_hdr_is_compared_with_its_own_kind(ours, theirs):
    streams = {"reference": {"transfer": theirs}, "transfer": ours}
    hdr = [name in ("smpte2084", "arib-std-b67") for name in (ours, theirs)]
    if ours == theirs or not any(hdr):
        assert plan(**streams).warnings == ()
    elif "unknown" in (ours, theirs):
        assert plan(**streams).warnings == (
            "only one of the two says that it is HDR (docs/traps.md)",
        )
    else:
        with pytest.raises(InputError, match=r"transfer is .*--force"):
            plan(**streams)
        assert "transfer is" in plan(Comparison(force=True), **streams).warnings[0]


# width, height, sample aspect ratio, whether that is 16:9
SHAPES = [
    (1920, 1080, 1, True),
    (1280, 720, 1, True),
    (854, 480, 1, True),
    (426, 240, 1, True),
    (256, 144, 1, True),
    (176, 100, 1, True),
    (1440, 1080, Fraction(4, 3), True),
    (720, 576, Fraction(64, 45), True),
    (1920, 1088, 1, True),
    (1920, 800, 1, False),
    (1440, 1080, 1, False),
    (1080, 1920, 1, False),
    (720, 576, Fraction(16, 15), False),
    (640, 480, 1, False),
    (1080, 1080, 1, False),
]


@pytest.mark.parametrize(("width", "height", "sar", "fits"), SHAPES)
def test_another_aspect_ratio_needs_to_be_asked_for(width, height, sar, fits):
    streams = {"width": width, "height": height, "sar": Fraction(sar)}
    if fits:
        made = plan(**streams).layouts
        names = {(1920, 1080): "same", (1920, 1088): "cut at the right and bottom"}
        assert made.layouts[0].name == names.get((width, height), "stretch")
        assert (made.default is None) == ((width, height) == (1920, 1088))
        return
    with pytest.raises(InputError, match=r"display aspect ratio .* --scale stretch, pad or crop"):
        plan(**streams)
    for scale in SCALES:
        chain = plan(Comparison(scale=scale), **streams).to_distorted
        assert "scale=" in chain
        assert (",pad=1920:1080" in chain) == (scale == "pad")
        # What is cut off is cut off before the rest is scaled to the reference's size.
        assert (",crop=" in chain) == (scale == "crop")
        assert chain.endswith("scale=1920:1080:flags=bicubic") == (scale != "pad")


# reference's rate, base rate; distorted's; whether they pair by number
RATES = [
    ((25, 25), (25, 25), True),
    ((24, 24), (23.98, 23.98), True),
    ((30, 30), (29.97, 29.97), True),
    ((25, 25), (None, None), True),
    ((None, None), (30, 30), True),
    ((None, None), (None, None), True),
    ((25, 25), (30, 30), False),
    ((24, 24), (25, 25), False),
    ((60, 60), (30, 30), False),
    ((30, 30), (15, 15), False),
    ((24, 24), (19.83, 24), False),
    ((24, 30), (24, 24), False),
    ((24, 24), (24, 30), False),
]


@pytest.mark.parametrize(("theirs", "ours", "paired"), RATES)
def test_other_rates_need_to_be_asked_for(theirs, ours, paired):
    rates = [[None if rate is None else float(rate) for rate in side] for side in (theirs, ours)]
    names = ("rate", "base_rate")
    streams = {"reference": dict(zip(names, rates[0], strict=True))}
    streams |= dict(zip(names, rates[1], strict=True))
    if paired:
        assert plan(**streams).timing == ""
        return
    for how in (Comparison(), Comparison(shortest=True)):
        with pytest.raises(InputError, match=r"--fps match.*docs/traps"):
            plan(how, **streams)
    assert plan(Comparison(fps="match"), **streams).timing.startswith("setpts=PTS-STARTPTS,fps=")


@pytest.mark.parametrize("offset", [0, 1, 7, -1, -7])
def test_an_offset_trims_the_one_that_starts_late(offset):
    made = plan_pair(VIDEOS, (PLAIN, PLAIN), Comparison(offset=offset), offset)
    assert (f"trim=start_frame={offset}," in made.to_distorted) == (offset > 0)
    assert (f"trim=start_frame={-offset}," in made.to_reference) == (offset < 0)


DEMUXERS = ("hls", "hls,applehttp", "concat", "dash", "imf", "sdp", "rtsp")


@pytest.mark.parametrize("demuxer", DEMUXERS)
@pytest.mark.parametrize("force", [False, True])
def test_what_points_to_other_files_is_refused(demuxer, force):
    with pytest.raises(InputError, match="a playlist of other files"):
        plan(Comparison(force=force), demuxer=demuxer)


@pytest.mark.parametrize(("matrix", "expected"), [("bt709", "bt709"), ("unknown", "bt601")])
def test_rgb_becomes_luma_by_the_others_matrix(matrix, expected):
    made = plan(reference={"matrix": matrix}, matrix="gbr", pix_fmt="gbrp", range="pc")
    scale = f"scale=out_color_matrix={expected}:flags=bicubic+accurate_rnd:out_range=tv"
    assert scale in made.to_distorted
    assert made.to_distorted.endswith(SAME_COLOUR)


REPORT = """\
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:/a':
  Stream #0:0[0x1](und): Video: h264 (High), 1 reference frame (avc1 / 0x31), {pix}, 288x352 \
[SAR 1:1 DAR 9:11], 722 kb/s, 23.98 fps, 24k tbr, 12288 tbn (default)
    Side data:
      Display Matrix: rotation of {rotation} degrees
Input #1, yuv4mpegpipe, from 'file:/b':
  Stream #1:0: Video: rawvideo, yuv420p(progressive), 352x288, SAR 1:1 DAR 11:9, 24 fps, 24 tbr
[graph 0 input from stream 0:0 @ 0x1] [verbose] w:288 h:352 pixfmt:yuv420p tb:1/12288 fr:24/1 \
sar:{sar} csp:{csp} range:tv alpha:unspecified
[graph 0 input from stream 1:0 @ 0x1] [verbose] w:352 h:288 pixfmt:yuv420p tb:1/24 fr:24/1 \
sar:1/1 csp:unknown range:unknown alpha:unspecified
"""
LINES = [
    ("yuv420p(tv, bt709, progressive)", 90.0, ("bt709", "bt709", "bt709"), (352, 288)),
    (
        "yuv420p(tv, bt2020nc/bt2020/smpte2084)",
        -90.0,
        ("bt2020nc", "bt2020", "smpte2084"),
        (352, 288),
    ),
    ("yuv420p(progressive, center)", 180.0, ("unknown", "unknown", "unknown"), (288, 352)),
    (
        "yuv420p(pc, smpte170m/bt470bg/unknown)",
        0.0,
        ("smpte170m", "bt470bg", "unknown"),
        (288, 352),
    ),
]


@pytest.mark.parametrize(("pix", "rotation", "colour", "size"), LINES)
def test_facts_are_read_from_the_report(pix, rotation, colour, size):
    text = REPORT.format(pix=pix, rotation=rotation, sar="4/3", csp=colour[0])
    reference, distorted = decoded_streams(text)
    assert (distorted.matrix, distorted.primaries, distorted.transfer) == colour
    assert (distorted.width, distorted.height) == size
    assert distorted.sar == (Fraction(3, 4) if size == (352, 288) else Fraction(4, 3))
    assert (distorted.rate, distorted.base_rate) == (23.98, 24000)
    assert (reference.rate, reference.rotation, reference.sar) == (24, 0, 1)


def test_a_report_without_frames_has_no_facts():
    assert decoded_streams("") is None
    assert decoded_streams(REPORT.split("[graph")[0]) is None
