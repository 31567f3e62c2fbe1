"""Pictures of every kind: pixel formats, tags, ranges and sizes."""

import dataclasses
import re

import pytest

from tests.world.support import BACKENDS, BLURRED, CLEAN, HEIGHT, WIDTH, Case, Made, name

X264 = "-c:v libx264 -qp 0 -bf 0"
X265 = "-c:v libx265 -x265-params lossless=1:log-level=none"
LIMITED = "scale=in_range=pc:out_range=tv,format=yuv420p"

# Every layout and depth of luma and chroma: pixel format, bits that it is measured in, file, codec.
YUV = [
    ("yuv420p", 8, "mkv", "-c:v ffv1"),
    ("yuv422p", 8, "mkv", "-c:v ffv1"),
    ("yuv444p", 8, "mkv", "-c:v ffv1"),
    ("yuv410p", 8, "mkv", "-c:v ffv1"),
    ("yuv411p", 8, "mkv", "-c:v ffv1"),
    ("yuv440p", 8, "mkv", "-c:v ffv1"),
    ("yuva420p", 8, "mkv", "-c:v ffv1"),
    ("yuva444p", 8, "mkv", "-c:v ffv1"),
    ("yuv420p9le", 10, "mkv", "-c:v ffv1"),
    ("yuv420p10le", 10, "mkv", "-c:v ffv1"),
    ("yuv422p10le", 10, "mkv", "-c:v ffv1"),
    ("yuva444p10le", 10, "mkv", "-c:v ffv1"),
    ("yuv420p12le", 12, "mkv", "-c:v ffv1"),
    ("yuv420p14le", 12, "mkv", "-c:v ffv1"),
    ("yuv420p16le", 12, "mkv", "-c:v ffv1"),
    ("yuv420p10be", 10, "nut", "-c:v rawvideo"),
    ("nv12", 8, "avi", "-c:v rawvideo"),
    ("nv21", 8, "nut", "-c:v rawvideo"),
    ("yuyv422", 8, "mov", "-c:v rawvideo"),
    ("uyvy422", 8, "avi", "-c:v rawvideo"),
    ("yvyu422", 8, "nut", "-c:v rawvideo"),
    ("yuv422p10le", 10, "mov", "-c:v v210"),
    ("yuv444p", 8, "y4m", ""),
    ("yuv420p10le", 10, "y4m", "-strict -1"),
    ("yuv422p", 8, "avi", "-c:v huffyuv"),
    ("yuv420p", 8, "avi", "-c:v utvideo"),
    ("yuv420p", 8, "mp4", X264),
    ("yuv422p", 8, "mp4", X264),
    ("yuv420p", 8, "mov", X265),
    ("yuv420p10le", 10, "mp4", X265),
    ("yuv420p", 8, "webm", "-c:v libvpx-vp9 -lossless 1 -cpu-used 8"),
]
CASES = [
    Case(
        f"{pix_fmt}_{k}",
        CLEAN,
        Made(
            f"yuv{k}.{end}", "blurred", f"-pix_fmt {pix_fmt} {encode}", holds="blurred", bits=bits
        ),
    )
    for k, (pix_fmt, bits, end, encode) in enumerate(YUV)
]

# Luma alone, its samples those of the source: tag of range, depth, file, codec.
GREY = [
    ("", 8, "y4m", ""),
    ("", 10, "y4m", "-strict -1"),
    ("", 12, "y4m", "-strict -1"),
    ("", 8, "nut", "-c:v rawvideo"),
    ("", 8, "avi", "-c:v rawvideo"),
    ("-color_range tv", 8, "mkv", "-c:v ffv1"),
    ("-color_range tv", 9, "mkv", "-c:v ffv1"),
    ("-color_range tv", 10, "mkv", "-c:v ffv1"),
    ("-color_range tv", 12, "mkv", "-c:v ffv1"),
    ("-color_range tv", 14, "mkv", "-c:v ffv1"),
    ("-color_range tv", 16, "mkv", "-c:v ffv1"),
    ("-color_range tv", 8, "mkv", X265),
    ("-color_range tv", 10, "mkv", X265),
    ("-color_range tv", 8, "mp4", X264),
]


def grey(k: int, source: str = "blurred") -> Made:
    tag, bits, end, encode = GREY[k]
    deep = "" if bits == 8 else f"format=yuv420p{bits}le,"
    filters = f"-vf {deep}extractplanes=y"
    measured = 8 if bits == 8 else 10 if bits < 12 else 12
    file = f"{source}{k}.{end}"
    return Made(file, source, f"{filters} {encode} {tag}", holds=source, bits=measured)


FULL = "-vf scale=in_range=tv:out_range=pc,format=yuv420p,setparams=range=pc"
FULL_GREY = f"{FULL},extractplanes=y,setparams=range=pc"
RAW_GREY = Made("g.yuv", "blurred", "-vf extractplanes=y -f rawvideo", holds="blurred", raw="gray")
RAW_GREY_10 = Made(
    "g10.yuv",
    "blurred",
    "-vf format=yuv420p10le,extractplanes=y -f rawvideo",
    holds="blurred",
    bits=10,
    raw="gray10le",
)
CASES += [Case(f"grey_{k}", CLEAN, grey(k)) for k in range(len(GREY))]
CASES += [Case(f"grey_reference_{k}", grey(k, "clean"), BLURRED) for k in (0, 1, 5)]
CASES += [
    Case("grey_both", grey(0, "clean"), grey(5)),
    Case("grey_copy", grey(0, "clean"), grey(5, "clean")),
    Case("grey_raw", CLEAN, RAW_GREY),
    Case("grey_raw_10", CLEAN, RAW_GREY_10),
    Case(
        "grey_alpha",
        CLEAN,
        Made("ya.mov", "blurred", "-pix_fmt ya8 -c:v png", luma=LIMITED),
        warns="range is pc",
    ),
    Case(
        "grey_full",
        CLEAN,
        Made("gf.mkv", "blurred", f"{FULL_GREY} -c:v ffv1 -color_range pc", luma=LIMITED),
        warns="range is pc",
    ),
    Case(
        "grey_full_both",
        Made("gfr.y4m", "clean", FULL_GREY),
        Made("gfd.mkv", "blurred", f"{FULL_GREY} -c:v ffv1 -color_range pc"),
    ),
    Case(
        "grey_against_full_colour",
        Made("gfc.mkv", "clean", f"{FULL} -c:v ffv1 -color_range pc", luma=LIMITED),
        grey(5),
        warns="range is tv",
    ),
]

# RGB, whether its decoder names a matrix or not: pixel format, file, codec.
RGB = [
    ("bgr24", "avi", "-c:v rawvideo"),
    ("bgra", "avi", "-c:v rawvideo"),
    ("rgb24", "nut", "-c:v rawvideo"),
    ("rgb565le", "nut", "-c:v rawvideo"),
    ("rgb555le", "avi", "-c:v rawvideo"),
    ("rgb8", "nut", "-c:v rawvideo"),
    ("0rgb", "nut", "-c:v rawvideo"),
    ("gbrp", "mkv", "-c:v ffv1"),
    ("bgr0", "mkv", "-c:v ffv1"),
    ("gbrp", "avi", "-c:v utvideo"),
    ("gbrap", "avi", "-c:v utvideo"),
    ("rgb24", "avi", "-c:v huffyuv"),
    ("gbrp", "avi", "-c:v magicyuv"),
    ("rgb24", "mov", "-c:v qtrle"),
    ("rgb24", "mov", "-c:v png"),
    ("rgb24", "apng", "-c:v apng"),
    ("pal8", "nut", "-c:v rawvideo"),
    ("bgr24", "avi", "-c:v zlib"),
    ("bgr0", "mkv", "-c:v libx264rgb -qp 0 -bf 0"),
    ("gbrp", "mkv", X265),
    ("gbrp10le", "mkv", "-c:v ffv1"),
    ("gbrp12le", "mkv", "-c:v ffv1"),
    ("rgb48le", "nut", "-c:v rawvideo"),
    ("gbrp10le", "mov", "-c:v r210"),
    ("monob", "nut", "-c:v rawvideo"),
]


def to_luma(bits: int, matrix: str = "bt601") -> str:
    depth = f"{bits}le" if bits > 8 else ""
    # By the flag all layouts of one RGB have the same luma; without it `bgr24` is rounded down.
    flags = "flags=bicubic+accurate_rnd"
    return f"scale=out_color_matrix={matrix}:out_range=tv:{flags},format=yuv420p{depth}"


def rgb(k: int, source: str = "blurred", matrix: str = "bt601") -> Made:
    pix_fmt, end, encode = RGB[k]
    bits = 12 if pix_fmt[-4:] in ("48le", "12le") else 10 if "10" in pix_fmt else 8
    made = Made(f"rgb_{source}{k}.{end}", source, f"-pix_fmt {pix_fmt} {encode}", bits=bits)
    return dataclasses.replace(made, luma=to_luma(bits, matrix))


TAGGED_709 = Made(
    "709.mkv", "clean", "-vf setparams=colorspace=bt709 -c:v ffv1 -colorspace bt709", holds="clean"
)
TAGGED_2020 = Made("2020.mkv", "clean", "-vf setparams=colorspace=bt2020c -c:v ffv1", holds="clean")
LIMITED_RGB = Made(
    "limited_rgb.mkv",
    Made("rgb.mkv", "blurred", "-c:v libx264rgb -qp 0 -bf 0"),
    "-c copy -bsf:v h264_metadata=video_full_range_flag=0",
    luma="scale=out_color_matrix=bt601:out_range=pc,format=yuv420p",
)
CASES += [Case(f"rgb_{RGB[k][0]}_{k}", CLEAN, rgb(k)) for k in range(len(RGB))]
CASES += [
    Case("rgb_reference", rgb(0, "clean"), BLURRED),
    Case(
        "rgb_against_ycgco",
        rgb(0, "clean"),
        Made("ycgco.mp4", "blurred", f"-vf setparams=colorspace=ycgco {X264} -colorspace ycgco"),
        warns="RGB was brought to luma by BT.601",
    ),
    Case("rgb_both", rgb(0, "clean"), rgb(7)),
    Case("rgb_copy", rgb(0, "clean"), rgb(7, "clean")),
    Case("rgb_against_709", TAGGED_709, rgb(0, matrix="bt709")),
    Case("rgb_against_2020", TAGGED_2020, rgb(0, matrix="bt2020")),
    Case("rgb_against_grey", rgb(0, "clean"), grey(0)),
    Case(
        "rgb_against_10",
        Made("y10.mkv", encode="-pix_fmt yuv420p10le -c:v ffv1", holds="clean", bits=10),
        dataclasses.replace(rgb(0), luma=to_luma(10), bits=10),
    ),
    Case("rgb_limited", CLEAN, LIMITED_RGB),
]

# Still pictures, of which most name neither range nor matrix.
STILLS = {
    "bmp": "",
    "png": "",
    "tiff": "-pix_fmt rgb24",
    "ppm": "",
    "pam": "-pix_fmt rgb24",
    "tga": "",
    "sgi": "-pix_fmt rgb24",
    "pcx": "-pix_fmt rgb24",
    "xwd": "-pix_fmt rgb24",
    "ras": "-pix_fmt rgb24",
    "qoi": "-pix_fmt rgb24",
    "dpx": "-pix_fmt rgb24",
    "webp": "-lossless 1",
    "jxl": "-distance 0",
    "jp2": "-pix_fmt rgb24 -pred 1",
}
GREY_STILLS = ["pgm", "tiff", "png", "tga", "jxl", "jp2"]


def still(end: str, source: str, *, grey: bool = False) -> Made:
    form = "-pix_fmt gray" + (" -distance 0" * (end == "jxl")) if grey else STILLS[end]
    file = f"{'grey_' * grey}{source}.{end}"
    luma = "" if grey else to_luma(8)
    return Made(file, source, f"-frames:v 1 -update 1 {form}", luma=luma)


CASES += [Case(f"still_{end}", still("png", "clean"), still(end, "blurred")) for end in STILLS]
CASES += [
    Case(f"grey_still_{end}", still("png", "clean", grey=True), still(end, "blurred", grey=True))
    for end in GREY_STILLS
]
CASES += [
    Case(
        "grey_still_against_rgb",
        still("png", "clean"),
        dataclasses.replace(still("pgm", "blurred", grey=True), luma=LIMITED),
    )
]

# Ranges that tags say rightly, wrongly, not at all, or that change.
ES = f"{X264} -f h264"
# libx264 leaves a limited range untold, and ffmpeg then takes it for what other frames say.
SAY_TV = "-bsf:v h264_metadata=video_full_range_flag=0:matrix_coefficients=6"
FIRST = Made("first.h264", "clean", f"-vf trim=end_frame=3 {ES} {SAY_TV}")
SECOND = Made(
    "second.h264",
    "clean",
    f"-vf trim=start_frame=3,setpts=PTS-STARTPTS,{FULL[4:]} {ES}",
    luma=LIMITED,
)
CHANGING = Made("changing.h264", (FIRST, SECOND), "-c copy")
# The decoder of HEVC says full range by another pixel format.
FIRST_HEVC = Made("first.hevc", "clean", f"-vf trim=end_frame=3 {X265}:range=limited -f hevc")
SECOND_HEVC = Made(
    "second.hevc",
    "clean",
    f"-vf trim=start_frame=3,setpts=PTS-STARTPTS,{FULL[4:]} {X265}:range=full -color_range pc",
    luma=LIMITED,
)
CHANGING_HEVC = Made("changing.hevc", (FIRST_HEVC, SECOND_HEVC), "-c copy")
FULL_CLEAN = Made("full.mkv", "clean", f"{FULL} -c:v ffv1 -color_range pc")
FULL_BLURRED = Made("full_blurred.mp4", "blurred", f"{FULL} {X264} -color_range pc")


def limited(made: Made) -> Made:
    return dataclasses.replace(made, luma=LIMITED)


CASES += [
    Case("full_both", FULL_CLEAN, FULL_BLURRED),
    Case("full_reference", limited(FULL_CLEAN), BLURRED, warns="range is tv"),
    Case("full_distorted", CLEAN, limited(FULL_BLURRED), warns="range is pc"),
    Case(
        "full_mjpeg",
        CLEAN,
        Made("m.avi", "blurred", "-c:v mjpeg -q:v 2", luma=LIMITED),
        warns="range is pc",
    ),
    Case(
        "full_10",
        CLEAN,
        Made(
            "full10.mkv",
            "blurred",
            f"{FULL},format=yuv420p10le -c:v ffv1 -color_range pc",
            luma="scale=in_range=pc:out_range=tv,format=yuv420p10le",
            bits=10,
        ),
        warns="range is pc",
    ),
    Case(
        "full_untagged", CLEAN, Made("untagged.y4m", "blurred", f"{FULL},setparams=range=unknown")
    ),
    Case(
        "limited_tagged_full",
        CLEAN,
        Made(
            "wrong.mkv", "blurred", "-vf setparams=range=pc -c:v ffv1 -color_range pc", luma=LIMITED
        ),
        warns="range is pc",
    ),
    Case(
        "tagged_limited",
        CLEAN,
        Made("tv.mkv", "blurred", "-vf setparams=range=tv -c:v ffv1", holds="blurred"),
    ),
    Case("range_changes", CLEAN, CHANGING, warns="range changes"),
    Case("range_changes_with_the_format", CLEAN, CHANGING_HEVC, warns="range changes"),
    Case("range_changes_in_the_reference", CHANGING, BLURRED, warns=r"range changes.*docs/traps"),
]


# Sizes: padding at the right and at the bottom is cut off, and a picture that is scaled is told.
def padded(width: int, height: int, source: str = "blurred", place: str = "0:0") -> Made:
    pad = f"-vf format=yuv444p,pad={width}:{height}:{place}"
    return Made(
        f"pad_{source}_{width}x{height}_{place.replace(chr(58), chr(95))}.mkv",
        source,
        f"{pad} -c:v ffv1",
        holds=source,
    )


def scaled(width: int, height: int, sar: str = "") -> Made:
    return Made(
        f"scaled_{width}x{height}{len(sar)}.mkv",
        "blurred",
        f"-vf scale={width}:{height}:flags=bicubic{sar} -c:v ffv1",
        luma=f"scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p",
    )


SQUARE = ",setsar=1"
CASES += [
    Case(
        f"padded_to_{w}x{h}", CLEAN, padded(w, h), warns=f"{w}x{h} and was cut to {WIDTH}x{HEIGHT}"
    )
    for w, h in [
        (172, 136),
        (172, 144),
        (176, 134),
        (176, 136),
        (176, 144),
        (174, 134),
        (172, 135),
    ]
]
CASES += [
    Case("padded_copy", CLEAN, padded(176, 136, "clean"), warns="cut to"),
    Case("padded_reference", padded(172, 136, "clean"), BLURRED, warns="the reference is 172x136"),
    Case(
        "padded_each_on_one_side", padded(172, 136, "clean"), padded(176, 134), warns=" and the d"
    ),
    Case(
        "padded_encode",
        CLEAN,
        Made(
            "pe.mp4",
            "blurred",
            "-vf pad=176:144 -c:v libx264 -crf 30",
            luma=f"crop={WIDTH}:{HEIGHT}:0:0",
        ),
        warns="cut to",
    ),
    Case(
        "padded_bad_encode",
        CLEAN,
        Made(
            "pb.mp4",
            "blurred",
            "-vf pad=172:136 -c:v libx264 -crf 45",
            luma=f"crop={WIDTH}:{HEIGHT}:0:0",
        ),
        warns="cut to",
    ),
    Case(
        "padded_rgb",
        CLEAN,
        Made(
            "prgb.avi",
            "blurred",
            "-vf pad=172:136 -c:v rawvideo -pix_fmt bgr24",
            luma=f"crop={WIDTH}:{HEIGHT}:0:0,{to_luma(8)}",
        ),
        warns="cut to",
    ),
    Case(
        "padded_grey",
        CLEAN,
        Made("pg.y4m", "blurred", "-vf pad=172:136,extractplanes=y", holds="blurred"),
        warns="cut to",
    ),
    Case("padded_at_the_top", CLEAN, padded(172, 144, place="0:10"), warns="at the left and top"),
    Case(
        "padded_elsewhere",
        CLEAN,
        padded(172, 144, place="0:7"),
        refused="padded or scaled; pass --scale crop",
    ),
    Case(
        "padded_on_every_side",
        CLEAN,
        padded(176, 138, place="2:2"),
        warns="at the edges",
    ),
    Case(
        "padded_in_the_middle_at_an_even_line",
        CLEAN,
        padded(172, 144, place="0:4"),
        warns="the lesser part left and top",
    ),
    Case(
        "padded_elsewhere_cut_as_asked",
        CLEAN,
        padded(172, 144, place="0:7"),
        {"scale": "crop"},
        refused="neither at a side nor in the middle",
    ),
    Case("scaled_by_little", CLEAN, scaled(172, 136, SQUARE), warns="was scaled to 172x134"),
    Case("scaled_by_little_with_its_shape", CLEAN, scaled(172, 136), warns="was scaled to 172x134"),
    Case(
        "scaled_as_asked",
        CLEAN,
        scaled(176, 134, SQUARE),
        {"scale": "stretch"},
        warns="was scaled to",
    ),
    Case("cut_as_asked", CLEAN, padded(172, 144), {"scale": "crop"}, warns="cut to"),
    Case("half", CLEAN, scaled(86, 67)),
    Case(
        "half_of_a_rare_matrix",
        CLEAN,
        Made(
            "half_ycgco.mkv",
            "blurred",
            "-vf scale=86:67:flags=bicubic,setparams=colorspace=ycgco -c:v ffv1 -colorspace ycgco",
            luma=f"setparams=colorspace=bt709,scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p",
        ),
    ),
    Case("two_thirds", CLEAN, scaled(114, 90)),
    Case(
        "padded_half",
        CLEAN,
        Made(
            "ph.mkv",
            "blurred",
            "-vf scale=86:67:flags=bicubic,format=yuv444p,pad=96:80 -c:v ffv1",
            luma=f"crop=86:67:0:0,scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p",
        ),
        refused="aspect",
    ),
    Case(
        "padded_half_down",
        CLEAN,
        Made(
            "phd.mkv",
            "blurred",
            "-vf scale=86:67:flags=bicubic,format=yuv444p,pad=86:72 -c:v ffv1",
            luma=f"crop=86:67:0:0,scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p",
        ),
        warns="cut to 86x67",
    ),
    # Most of the error is detail that such encodes lost, wherever their lines lie.
    Case(
        "padded_step_of_few_bits",
        CLEAN,
        Made(
            "psb.mkv",
            "clean",
            "-vf scale=80:62:flags=bicubic,setsar=1,pad=80:64 -c:v libx264 -crf 44",
            luma=f"crop=80:62:0:0,scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p",
        ),
        warns="cut to 80x62",
    ),
    Case(
        "scaled_step_of_few_bits",
        CLEAN,
        Made(
            "ssb.mkv",
            "clean",
            "-vf scale=80:64:flags=bicubic,setsar=1 -c:v libx264 -crf 44",
            luma=f"scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p",
        ),
        warns="was scaled to 172x134",
    ),
    # Scaling alone leaves a tag of the shape of samples here, as it does at 426x240.
    Case(
        "padded_step_with_its_shape",
        CLEAN,
        Made(
            "ps.mkv",
            "blurred",
            "-vf scale=116:90:flags=bicubic,format=yuv444p,pad=120:90 -c:v ffv1",
            luma=f"crop=116:90:0:0,scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p",
        ),
        warns="cut to 116x90",
    ),
]

# A picture in bars, and the same one without: a flag is right for one order, wrong for the other.
BARS = Made("bars.mkv", "blurred", f"-vf pad={WIDTH}:174:0:20 -c:v ffv1", holds="blurred")


def in_bars(height: int, top: int) -> Made:
    bars = f"-vf format=yuv444p,pad={WIDTH}:{height}:0:{top} -c:v ffv1"
    return Made(f"bars_{height}_{top}.mkv", "blurred", bars, holds="blurred")


CASES += [
    Case("bars", CLEAN, BARS, refused="display aspect ratio .* --scale stretch, pad or crop"),
    Case("bars_cut", CLEAN, BARS, {"scale": "crop"}),
    Case("bars_in_bars", CLEAN, BARS, {"scale": "pad"}, refused="another part .* --scale crop"),
    Case("bars_squeezed", CLEAN, BARS, {"scale": "stretch"}, refused="another .* --scale crop"),
    Case("bars_at_an_odd_line", CLEAN, in_bars(172, 19), {"scale": "crop"}),
    Case("bars_at_an_even_line", CLEAN, in_bars(172, 18), {"scale": "crop"}),
    Case("bars_below", CLEAN, in_bars(172, 0), {"scale": "crop"}, warns="lies at the left and top"),
    Case("bars_above", CLEAN, in_bars(172, 38), {"scale": "crop"}, warns="at the right and bottom"),
    Case(
        "bars_of_half_the_size",
        CLEAN,
        Made(
            "bars_half.mkv",
            "blurred",
            "-vf scale=86:67:flags=bicubic,format=yuv444p,pad=86:129:0:31 -c:v ffv1",
            luma=f"crop=86:67:0:31:exact=1,scale={WIDTH}:{HEIGHT}:flags=bicubic,format=yuv420p",
        ),
        {"scale": "crop"},
    ),
]


# ffmpeg decodes and converts for both backends alike: libvmaf takes every entry of the lists of
# formats, JAX every third, and the others under --slow.
LIST = re.compile(r"yuv\w+_\d+|grey_\d+|rgb_\w+_\d+|(grey_)?still_[a-z0-9]+")
LISTED = [case for case in CASES if LIST.fullmatch(case.name)]
RARE = {case.name for k, case in enumerate(LISTED) if k % 3}
RUNS = [
    pytest.param(case, backend, id=f"{name(case)}-{backend}", marks=[pytest.mark.slow] * rare)
    for case in CASES
    for backend in BACKENDS
    for rare in [backend == "jax" and case.name in RARE]
]


@pytest.mark.parametrize(("case", "backend"), RUNS)
def test_a_pair_scores_as_its_samples(case, backend, world, tmp_path):
    world.check(case, backend, tmp_path)
