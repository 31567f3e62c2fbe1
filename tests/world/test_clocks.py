"""Containers, layouts of streams, rates, time stamps and flags: each pair has its right score."""

import dataclasses

import numpy as np
import pytest

from tests.world.clocks import FRAMES, HEIGHT, WIDTH, Clocks
from tests.world.kept import keep_files
from vmaf_jax import extract_pair
from vmaf_jax.errors import InputError
from vmaf_jax.video.inputs import Video

BACKENDS = ("libvmaf", "jax")
_TOLERANCE = {"libvmaf": 1e-3, "jax": 1e-2}  # VMAF points
COPY = "-i film.mp4 -c copy"
MPEG1, MPEG2 = (f"-i ref25.y4m -c:v mpeg{k}video -qscale 6" for k in (1, 2))
# 24 pictures a second as 30 frames: fields are shown 3, 2, 3 and 2 times.
SOFT = (
    "-r 30000/1001 -i ref24000_1001.y4m -c:v mpeg2video -qscale 6 -bf 0 {0}.m2v;"
    "pulldown {0}.m2v {1};-i {0}.m2v -c copy {0}.mp4;-i {0}.mp4 -c copy"
)
FULL, PARTLY = "11,00,01,10", "11,01,00,10,00,10,00,10,00,10,00,10"
AV1 = "-i ref.y4m -c:v libsvtav1 -preset 12 -crf 40 -svtav1-params lp=1"
VP9 = "-i ref.y4m -c:v libvpx-vp9 -cpu-used 8 -crf 45 -b:v 0"
MPEG4 = "-i ref.y4m -c:v mpeg4 -bf 2 -qscale 6"  # in AVI each frame is shown one late
X265 = "-i ref.y4m -c:v libx265 -x265-params qp=34:log-level=none"
HALVES = (
    "-i ref.y4m -frames:v 6 -c:v libx264 -qp 34 -bf 0 -colorspace bt709 {0}1.h264;"
    "-i ref.y4m -vf trim=start_frame=6{1} -c:v libx264 -qp 34 -bf 0 {2} {0}2.h264;"
    "-framerate 24 -i concat:{0}1.h264|{0}2.h264 -c copy"
)
TWO = "-i film.mp4 -i other.mp4 -i cover.png -c:v copy -disposition:v 0"


@dataclasses.dataclass(frozen=True)
class Case:
    """A pair of files.

    Attributes:
        name: of the distorted file.
        made: how ffmpeg makes it.
        reference: name of the reference, and how ffmpeg makes it where it is none of the usual.
        stream: that is to be measured.
        options: keyword arguments of `extract_pair`.
        frames: first of the reference's and of the distorted frames that are compared, and how
            many.
        refused: what a refusal must match, where the pair has no score.
        size: of the pictures.
        backends: that it is run on.
    """

    name: str
    made: str = ""
    reference: tuple[str, str] = ("ref.y4m", "")
    stream: int = 0
    options: dict = dataclasses.field(default_factory=dict)
    frames: tuple[int, int, int] = (0, 0, FRAMES)
    refused: str = ""
    size: tuple[int, int] = (WIDTH, HEIGHT)
    backends: tuple[str, ...] = BACKENDS


def retimed(rate):
    return (f"ref{rate.replace('/', '_')}.y4m", "")


FILM24 = retimed("24000/1001")
CASES = [
    # Containers of one stream.
    *(Case(f"film.{end}", COPY) for end in ("mov", "mkv", "ts", "flv", "avi", "nut", "mxf")),
    Case("film.h264", COPY),
    Case("film.m2ts", f"{COPY} -muxdelay 3 -f mpegts -mpegts_m2ts_mode 1"),
    Case("film.3gp", COPY),
    Case("film.asf", COPY),
    Case("fragmented.mp4", f"{COPY} -movflags frag_keyframe+empty_moov"),
    Case("fastfirst.mp4", f"{COPY} -movflags faststart"),
    Case("timecode.mov", f"{COPY} -timecode 01:00:00:00"),
    Case("h265.mp4", X265),
    Case("h265.hevc", X265),
    Case("av1.mp4", AV1),
    Case("av1.ivf", AV1),
    Case("av1.obu", AV1),
    Case("vp9.webm", VP9),
    Case("vp9.ivf", VP9),
    Case("vp8.webm", "-i ref.y4m -c:v libvpx -crf 30 -b:v 1M"),
    Case("theora.ogv", "-i ref.y4m -c:v libtheora -qscale 4"),
    Case("mpeg4.avi", "-i ref.y4m -c:v mpeg4 -qscale 6"),
    Case("mpeg4_b.avi", MPEG4),
    Case("mpeg4_b.mp4", f"{MPEG4} {{0}}.avi;-i {{0}}.avi -c copy"),
    Case("mpeg4.m4v", "-i ref.y4m -c:v mpeg4 -qscale 6 -f m4v"),
    Case("wmv2.wmv", "-i ref.y4m -c:v wmv2 -qscale 6"),
    Case("flv1.flv", "-i ref.y4m -c:v flv -qscale 6"),
    # Programs and elementary streams, whose rate ffmpeg guesses twice too high.
    *(Case(f"m1.{end}", MPEG1, retimed("25")) for end in ("mpg", "mkv", "m1v")),
    Case("m1.ts", f"{MPEG1} -f mpegts", retimed("25")),
    *(Case(f"m2.{end}", MPEG2, retimed("25")) for end in ("mpg", "vob", "ts", "m2v", "mkv")),
    Case("m1.vob", f"{MPEG1} -f vob", ("m1.ts", f"{MPEG1} -f mpegts")),
    Case(
        "ntsc.dv",
        "-i ref30.y4m -vf scale=720:480,format=yuv411p -r 30000/1001 -c:v dvvideo",
        ("ntsc.y4m", "-i ref30.y4m -vf scale=720:480 -r 30000/1001 -strict -1"),
        size=(720, 480),
        backends=("libvmaf",),
        options={"scale": "stretch", "force": True},
    ),
    Case(
        "pal.dv",
        "-i ref25.y4m -vf scale=720:576,format=yuv420p -c:v dvvideo",
        ("pal.y4m", "-i ref25.y4m -vf scale=720:576"),
        size=(720, 576),
        backends=("libvmaf",),
        options={"scale": "stretch", "force": True},
    ),
    # Soft telecine: frames are shown at uneven times, and at another rate than they have.
    *(Case(f"soft.{end}", SOFT.format("s" + end, FULL), FILM24)
      for end in ("ts", "vob", "mkv", "mov", "avi", "mxf")),
    Case("partly.ts", SOFT.format("pts", PARTLY), FILM24, options={"force": True}),
    Case("soft.m2v", SOFT.format("sm2v", FULL), FILM24),
    Case("soft.mpg", SOFT.format("smpg", FULL), ("soft2.ts", SOFT.format("s2ts", FULL))),
    # Several streams.
    Case("still_first.mkv", f"{TWO} -map 2 -map 0", stream=1),
    Case("flagged.mkv", f"{TWO} -map 1 -map 0 -disposition:v:1 default", stream=1),
    Case("flagged.mp4", f"{TWO} -map 1 -map 0 -disposition:v:1 default", stream=1),
    Case("chosen.mkv", f"{TWO} -map 1 -map 0", stream=1, options={"stream": 1}),
    Case("preview.mp4", "-i other.mp4 -i film.mp4 -map 0 -map 1 -c:v:0 mjpeg -r:v:0 4 -c:v:1 copy "
         "-disposition:v 0", stream=1),
    Case("cover.mp4", f"{TWO} -map 0 -map 2 -disposition:v:1 attached_pic"),
    Case("programs.ts", f"{TWO} -map 0 -map 1 -program st=0 -program st=1"),
    Case("film.avif", AV1, stream=1),
    # Rates and time stamps.
    Case("still.avif", f"{AV1} -frames:v 1", ("one.y4m", "-i ref.y4m -frames:v 1"),
         frames=(0, 0, 1)),
    Case("at30.mp4", "-i ref30.y4m -c:v libx264 -qp 34", ("norate.y4m", "")),
    Case("at60.mkv", "-i ref60.y4m -c:v libx264 -qp 34", retimed("60000/1001")),
    Case("at23.mkv", "-i ref24000_1001.y4m -c:v libx264 -qp 34 -bf 2", FILM24),
    Case("at23of24.mkv", "-i ref24000_1001.y4m -c:v libx264 -qp 34 -bf 2"),
    Case("late.mkv", "-itsoffset 5 -i film.mp4 -c copy"),
    Case("late.mp4", "-itsoffset 5 -i film.mp4 -c copy"),
    Case("early.mkv", f"{COPY} -output_ts_offset -1 -avoid_negative_ts disabled"),
    Case("coarse.mp4", f"{COPY} -video_track_timescale 1000"),
    Case("jitter.mkv", f"{COPY} -bsf:v setts=ts=TS+5*mod(N\\,3)"),
    *(Case(f"twice{n}.mkv", "-i ref.y4m -c:v libx264 -qp 34 -bf 0 twice.mp4;-i twice.mp4 -c copy "
           f"-bsf:v setts=ts=if(eq(N\\,{n})\\,PREV_OUTPTS\\,TS)") for n in (1, 5, 11)),
    # As ffmpeg writes VVC into Matroska: frames before zero a tick apart.
    Case("pressed.mkv", "-i ref.y4m -c:v libx264 -qp 34 -bf 0 twice.mp4;-i twice.mp4 -c copy "
         "-bsf:v setts=ts=if(lt(N\\,8)\\,12*gt(N\\,0)\\,512*(N-7))"),
    Case("other.mkv", "-i ref30.y4m -c:v libx264 -qp 34", refused=r"30 frames/s, .* has 24; pass"),
    Case("uneven.mkv", "-i ref.y4m -vf setpts=PTS*(1+floor(N/6)) -fps_mode passthrough "
         "-c:v libx264 -qp 34", refused=r"not spaced alike|frames/s"),
    Case("uneven.mp4", "-i ref.y4m -vf setpts=N+4*gt(N\\,6) -fps_mode passthrough "
         "-c:v libx264 -qp 34 -enc_time_base 1/24",
         ("gap.mkv", "-i ref.y4m -vf setpts=N+4*gt(N\\,6) -fps_mode passthrough -c:v ffv1")),
    # Streams that change on the way: tags alone do no harm.
    Case("tags.ts", f"{HALVES.format('tags', '', '-colorspace smpte170m')}"),
    Case("smaller.ts", f"{HALVES.format('smaller', ',scale=128:96,setsar=1', '')}",
         refused=r"smaller.ts: changes from 172x134 yuv420p to 128x96 yuv420p on the way; split"),
    Case("layout.ts", f"{HALVES.format('layout', ',format=yuv422p', '')}",
         refused=r"layout.ts: changes from 172x134 yuv420p to 172x134 yuv422p on the way; split"),
    Case("film.mov", COPY, ("smaller.ts", HALVES.format("smaller", ",scale=128:96,setsar=1", "")),
         refused=r"smaller.ts: changes from 172x134 yuv420p to 128x96 yuv420p on the way; split"),
    # A container that says full range of a stream whose decoder says limited.
    Case("marked.mkv", f"{X265} plain.mkv;-i plain.mkv -c copy -color_range pc"),
    # Flags.
    Case("short.mp4", "-i ref.y4m -frames:v 8 -c:v libx264 -qp 34", frames=(0, 0, 8),
         options={"shortest": True}),
    Case("short2.mp4", "-i ref.y4m -frames:v 8 -c:v libx264 -qp 34",
         refused=r"8 frames, its reference ref.y4m has 12; pass --sync auto .* or --shortest"),
    Case("by_option.mp4", "-i ref.y4m -r 12 -c:v libx264 -qp 34",
         ("by_filter.y4m", "-i ref.y4m -vf fps=12"),
         refused="by_option.mp4: 8 frames, its reference by_filter.y4m has 6"),
    Case("tail.mkv", "-i ref.y4m -vf trim=start_frame=3,setpts=PTS-STARTPTS -c:v libx264 -qp 34",
         frames=(3, 0, 9), options={"sync": "auto"}),
    Case("tail2.mkv", "-i ref.y4m -vf trim=start_frame=3,setpts=PTS-STARTPTS -c:v libx264 -qp 34",
         frames=(3, 0, 9), options={"offset": -3}),
    Case("half.mkv", "-i ref.y4m -vf trim=start_frame=5,setpts=PTS-STARTPTS -c:v libx264 -qp 34",
         frames=(5, 0, 7), options={"sync": "auto"}),
    Case("part.ts", COPY, frames=(0, 0, 5), options={"frames": 5}),
]  # fmt: skip


@pytest.fixture(scope="module")
def clocks(ffmpeg, tmp_path_factory):
    with keep_files(tmp_path_factory.mktemp("clocks"), "clocks.py", "test_clocks.py") as folder:
        yield Clocks(ffmpeg, folder)


# Containers and clocks are read once for both backends: libvmaf takes every case, JAX those with
# options or refusals and every third of the others, which are all run under --slow.
PLAIN = [case for case in CASES if not case.options and not case.refused]
RARE = [case for k, case in enumerate(PLAIN) if k % 3]
RUNS = [
    pytest.param(case, backend, id=f"{case.name}-{backend}", marks=[pytest.mark.slow] * rare)
    for case in CASES
    for backend in case.backends
    for rare in [backend == "jax" and case in RARE]
]


@pytest.mark.parametrize(("case", "backend"), RUNS)
def test_frames_are_paired_as_they_are_shown(case, backend, clocks, tmp_path):
    distorted = clocks.make(case.name, case.made)
    reference = clocks.make(*case.reference)
    settings = {"backend": backend, "cache": tmp_path, **case.options}
    if case.refused:
        with pytest.raises(InputError, match=case.refused):
            extract_pair(reference, distorted, **settings)
        return
    table = extract_pair(reference, distorted, **settings)
    width, height = case.size
    first, second, count = case.frames
    n = width * height
    luma = [
        data[k * n : (k + count) * n]
        for data, k in (
            (clocks.luma(reference), first),
            (clocks.luma(distorted, case.stream), second),
        )
    ]
    right = clocks.right(luma[0], luma[1], case.size)[backend]
    assert len(right) == count
    np.testing.assert_allclose(table.label("vmaf_v0.6.1"), right, rtol=0, atol=_TOLERANCE[backend])
    assert table.provenance["comparison"]["distorted"]["stream"] == case.stream


def test_a_raw_file_is_shown_at_the_rate_that_is_said(clocks, tmp_path):
    """At half the reference's rate each of its frames is shown twice."""
    clocks.make("film.mp4", "")
    raw = clocks.make("slow.yuv", "-i film.mp4 -f rawvideo")
    table = extract_pair(
        clocks.make("ref.y4m", ""),
        Video(raw, WIDTH, HEIGHT, "yuv420p", fps=12.0),
        cache=tmp_path,
        fps="match",
        shortest=True,
    )
    n = WIDTH * HEIGHT
    luma = clocks.luma(clocks.folder / "film.mp4")
    frames = [luma[k * n : (k + 1) * n] for k in range(FRAMES)]
    twice = b"".join(frames[k // 2] for k in range(FRAMES))
    right = clocks.right(clocks.luma(clocks.folder / "ref.y4m"), twice, (WIDTH, HEIGHT))
    np.testing.assert_allclose(table.label("vmaf_v0.6.1"), right["libvmaf"], rtol=0, atol=1e-3)
