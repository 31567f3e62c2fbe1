"""The page in a real headless Chromium: videos in, the command line's score out, nothing sent."""

import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from tests.support import ROOT, run_command
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.features.motion import frame_motion
from vmaf_jax.video.ffmpeg import find_ffmpeg

MODULES = ROOT / "web" / "node_modules"
DRIVER = Path(__file__).with_name("drive.mjs")
SIZE = "352x288"
OURS, LOADED = 300_000, 17_000_000  # bytes, beside the model; with its libraries


def needed(name):
    """The path of a program, or a skip that says which is missing."""
    path = os.environ.get(f"VMAF_JAX_{name.upper()}") or shutil.which(name)
    if path is None:
        pytest.skip(f"no {name} here; .ci/run installs it")
    return path


@pytest.fixture(scope="module")
def programs():
    chromium, node = needed("chromium"), needed("node")
    for package in ("mediabunny", "onnxruntime-web", "playwright-core"):
        if not (MODULES / package).is_dir():
            pytest.skip(f"no {package} in web/node_modules; run `make web`")
    return chromium, node


@pytest.fixture(scope="module")
def page(programs, tmp_path_factory):
    from tools.web import build_page

    folder = tmp_path_factory.mktemp("page") / "web"
    build_page(ROOT / "web", folder, ("tiny", "vmaf_v0.6.1"), (SIZE,))
    return folder


@pytest.fixture(scope="module")
def files(encodes, tmp_path_factory):
    """What the visits drop: sound files, and broken ones."""
    folder = tmp_path_factory.mktemp("dropped")
    line = ("export", "--model", "nano", "--format", "pixels", "--samples", "uint8")
    assert run_command(*line, "--size", SIZE, "--out", folder / "own.onnx").code == 0
    sound = (encodes / "dis.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(sound[: len(sound) // 2])
    whole = (encodes / "ref.y4m").read_bytes()
    (folder / "cut.y4m").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mp4").write_text("not a video")
    (folder / "fast.y4m").write_bytes(whole.replace(b" F24:1", b" F30:1", 1))
    (folder / "nine.y4m").write_bytes(whole.replace(b" C420jpeg", b" C420p9", 1))
    write_forms(encodes, folder)
    return folder


def write_forms(encodes, folder):
    """The start of the reference, encoded in the forms that a page can misread."""
    ffmpeg = find_ffmpeg().path

    def make(*arguments):
        line = [ffmpeg, "-v", "error", "-y", *map(str, arguments)]
        subprocess.run(line, check=True, cwd=folder)

    reference, encode, short = encodes / "ref.y4m", folder / "short.mp4", folder / "short.y4m"
    small = ("-c:v", "libx264", "-crf", "35")
    make("-i", reference, "-frames:v", 6, short)  # browsers take long for a frame
    make("-i", short, *small, encode)
    full = ("-vf", "scale=in_range=tv:out_range=pc", "-color_range", "pc")
    make("-i", short, *full, *small, "full.mp4")
    make("-i", short, *full, "-strict", "-1", "full.y4m")
    (folder / "halves.txt").write_text("file short.mp4\nfile full.mp4\n")
    make("-f", "concat", "-i", "halves.txt", "-c", "copy", "changing.ts")
    make("-stream_loop", 1, "-i", short, "-r", 24, "twice.y4m")
    make("-i", encode, "-c", "copy", "remuxed.mkv")
    make("-i", encode, "-c", "copy", "remuxed.ts")
    make("-i", encode, "-c", "copy", "-movflags", "frag_keyframe+empty_moov", "fragments.mp4")
    make("-i", short, "-c:v", "libvpx-vp9", "-crf", "50", "-cpu-used", "8", "vp9.webm")
    # A key frame before the cut, which is decoded and not shown.
    make("-i", reference, *small, "-g", "6", "-bf", "2", "keys.mp4")
    make("-ss", "0.13", "-i", "keys.mp4", "-c", "copy", "edited.mp4")
    make("-i", "edited.mp4", "-fps_mode", "passthrough", "-f", "rawvideo", "edited.yuv")
    shown = (folder / "edited.yuv").stat().st_size // (352 * 288 * 3 // 2)
    last = f"select='gte(n,{12 - shown})',setpts=N/24/TB"
    make("-i", reference, "-vf", last, "edited.y4m")
    make("-i", short, "-vf", "transpose=1", *small, "lying.mp4")
    make("-display_rotation", "90", "-i", "lying.mp4", "-c", "copy", "phone.mp4")
    make("-f", "lavfi", "-i", "color=size=176x144:rate=24:duration=0.05", *small, "still.mp4")
    first = ("-disposition:v:0", "0", "-disposition:v:1", "default")
    both = ("-i", "still.mp4", "-i", encode, "-map", "0", "-map", "1:v")
    make(*both, "-c", "copy", *first, "two.mp4")
    make("-i", short, "-vf", "setfield=tff", "-strict", "-1", "fields.y4m")
    fields = ("-vf", "setfield=tff", "-flags", "+ildct+ilme", *small, "-x264-params", "tff=1")
    make("-i", short, *fields, "fields.mp4")
    make("-i", "fields.mp4", "-c", "copy", "fields.ts")
    for name, size in (("large", "352:288"), ("little", "176:144")):
        make("-i", reference, "-vf", f"scale={size}", "-c:v", "libvpx-vp9", f"{name}.webm")
        make("-i", reference, "-vf", f"scale={size}", *small, f"{name}.ts")
    (folder / "both.txt").write_text("file large.webm\nfile little.webm\n")
    make("-f", "concat", "-i", "both.txt", "-c", "copy", "resized.webm")
    (folder / "avc.txt").write_text("file large.ts\nfile little.ts\n")
    make("-f", "concat", "-i", "avc.txt", "-c", "copy", "resized.mp4")


@pytest.fixture(scope="module")
def visits(programs, page, encodes, files, tmp_path_factory):
    """Every visit in one run of the browser, by name."""
    reference, distorted = str(encodes / "ref.y4m"), str(encodes / "dis.mp4")
    pair = {"reference": reference, "distorted": distorted}
    phone = {"viewport": {"width": 360, "height": 740}, "scheme": "dark"}
    plain = ROOT / "checkpoints" / "nano" / "model.onnx"
    requests = {
        "shipped": {**pair, "model": "tiny"},
        "phone": {**pair, "model": "vmaf_v0.6.1", **phone},
        "own": {**pair, "own": str(files / "own.onnx")},
        "no video": {**pair, "distorted": str(files / "text.mp4")},
        "cut mp4": {**pair, "distorted": str(files / "cut.mp4")},
        "cut y4m": {**pair, "distorted": str(files / "cut.y4m")},
        "shorter": {**pair, "distorted": str(encodes / "short.mp4")},
        "smaller": {**pair, "distorted": str(encodes / "small.mp4")},
        "no size": {
            "reference": str(encodes / "small.mp4"),
            "distorted": str(encodes / "small.mp4"),
        },
        "no pixels": {**pair, "own": str(plain)},
        "no model": {**pair, "own": str(files / "text.mp4")},
        "folder": {**pair, "folder": str(files)},
        "nine bits": {**pair, "distorted": str(files / "nine.y4m")},
        "fast": {**pair, "distorted": str(files / "fast.y4m")},
        "cancelled": {**pair, "cancel": True},
        **{name: form(name, files) for name in FORMS},
        "fields.y4m": {**pair, "distorted": str(files / "fields.y4m")},
        "resized.webm": {**pair, "distorted": str(files / "resized.webm")},
        "resized.mp4": {**pair, "distorted": str(files / "resized.mp4")},
        "both in fields": {
            "reference": str(files / "fields.y4m"),
            "distorted": str(files / "fields.mp4"),
            "model": "tiny",
        },
    }
    for name in requests.keys() - SEVERAL_LANES:
        requests[name] |= {"lanes": 1}
    chromium, node = programs
    module = MODULES / "playwright-core" / "index.js"
    profile = tmp_path_factory.mktemp("profile")
    line = [node, DRIVER, module, chromium, page, profile, json.dumps(list(requests.values()))]
    ended = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return dict(zip(requests, json.loads(ended.stdout), strict=True))


# Visits that score as many frames at a time as cores; for what was read one runtime is enough.
SEVERAL_LANES = {"shipped", "phone", "own"}
# Distorted files that a page can misread, and the reference of each.
FORMS = {
    "full.mp4": "short.y4m",
    "full.y4m": "short.y4m",
    "changing.ts": "twice.y4m",
    "remuxed.mkv": "short.y4m",
    "remuxed.ts": "short.y4m",
    "fragments.mp4": "short.y4m",
    "vp9.webm": "short.y4m",
    "edited.mp4": "edited.y4m",
    "phone.mp4": "short.y4m",
    "two.mp4": "short.y4m",
    "fields.mp4": "short.y4m",
    "fields.ts": "short.y4m",
}


def form(name, files):
    pair = {"reference": str(files / FORMS[name]), "distorted": str(files / name)}
    return {**pair, "model": "tiny"}


@pytest.mark.parametrize("name", FORMS)
def test_files_are_read_as_the_command_line_reads_them(name, visits, files):
    shown = visits[name]
    assert shown["error"] is None
    pair = form(name, files)
    line = ["score", pair["reference"], pair["distorted"], "--backend", "onnx", "--json"]
    line += ["--force"] if name.startswith("fields") else []  # which a page cannot be sure of
    expected = json.loads(run_command(*line, "--model", "tiny", "--per-frame").stdout)
    frames = [frame["score"] for frame in json.loads(shown["json"])["frames"]]
    np.testing.assert_allclose(frames, expected["frames"], atol=1e-2)


def test_a_reference_in_fields_beside_what_may_be_is_measured(visits):
    notes = json.loads(visits["both in fields"]["json"])["notes"]
    assert notes[-1] == "fields.y4m is interlaced: fields are compared as frames."


def test_a_page_says_which_of_several_tracks_it_measured(visits):
    assert json.loads(visits["two.mp4"]["json"])["notes"] == [
        "two.mp4 holds 2 video tracks; number 2 was measured (docs/traps.md)."
    ]


FULL = "in full range, the reference is not: full range was brought to limited (docs/traps.md)."


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("full.mp4", [f"The distorted video is {FULL}"]),
        ("full.y4m", [f"The distorted video is {FULL}"]),
        (
            "changing.ts",
            [
                "The range changes within the distorted video: each frame is taken by its own tag "
                "(docs/traps.md)."
            ],
        ),
        ("remuxed.mkv", []),
        ("remuxed.ts", []),
        *(
            (
                name,
                [
                    f"{name} is coded as interlaced video is; if it is interlaced, deinterlace it "
                    f"first (docs/traps.md)."
                ],
            )
            for name in ("fields.mp4", "fields.ts")
        ),
    ],
)
def test_what_differs_or_may_mislead_is_told(name, words, visits):
    assert json.loads(visits[name]["json"])["notes"] == words


def test_rates_that_differ_are_told(visits):
    (note,) = json.loads(visits["fast"]["json"])["notes"]
    assert "24.00 frames a second, the distorted video 30.00" in note
    assert note.endswith("unless one was sped up (docs/traps.md).")


@pytest.fixture(scope="module")
def by_command(encodes):
    """The command line's result, by model."""
    line = ("score", encodes / "ref.y4m", encodes / "dis.mp4", "--backend", "onnx", "--json")
    return {
        model: json.loads(run_command(*line, "--per-frame", "--model", model).stdout)
        for model in ("tiny", "vmaf_v0.6.1", "nano")
    }


@pytest.mark.parametrize(
    ("visit", "model"), [("shipped", "tiny"), ("phone", "vmaf_v0.6.1"), ("own", "nano")]
)
def test_the_score_is_the_command_line_s(visit, model, visits, by_command):
    shown, expected = visits[visit], by_command[model]
    assert shown["error"] is None
    result = json.loads(shown["json"])
    scores = [frame["score"] for frame in result["frames"]]
    np.testing.assert_allclose(scores, expected["frames"], atol=1e-2)
    assert abs(result["score"] - expected["score"]) < 1e-2
    assert shown["score"] == f"{result['score']:.2f}"
    for key, value in expected["statistics"].items():
        assert abs(result["statistics"][key] - value) < 1e-2
    second, ours = expected["moments"]["worst-second"], result["moments"]["worst-second"]
    assert all(abs(value - second[key]) < 1e-2 for key, value in ours.items())
    assert shown["worst second"] == f"{ours['score']:.2f} at {ours['from_s']:.2f} s"


def test_what_is_taken_away_is_whole(visits):
    shown = visits["shipped"]
    result = json.loads(shown["json"])
    rows = list(csv.DictReader(shown["csv"].splitlines()))
    assert list(rows[0]) == ["frame", "score", *FEATURES]
    assert [float(row["score"]) for row in rows] == [f["score"] for f in result["frames"]]
    assert [float(row["motion2"]) for row in rows] == [f["features"][-1] for f in result["frames"]]
    assert float(rows[0]["motion2"]) == 0
    assert shown["points"] == len(rows) == 12


def test_the_worst_frames_are_shown_beside_each_other(visits):
    shown = visits["shipped"]
    scores = [frame["score"] for frame in json.loads(shown["json"])["frames"]]
    worst = np.argsort(scores, kind="stable")[:5]
    assert shown["worst"] == [f"Frame {k}: {scores[k]:.1f}" for k in worst]
    assert shown["split"] == "inset(0px 0px 0px 0%)"  # the slider, moved by a key


def test_nothing_is_complained_of_and_nothing_leaves(visits):
    for name, shown in visits.items():
        if name != "cancelled":
            assert (shown["complaints"], shown["strangers"]) == ([], []), name


def test_what_is_loaded_is_no_more_than_it_says(visits, page):
    ours = [path for path in page.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in ours) < OURS
    assert 1_000_000 < visits["shipped"]["bytes"] < LOADED


def test_a_phone_and_the_dark_are_served(visits):
    shown, bright = visits["phone"], visits["shipped"]
    assert not shown["scrollsSideways"]
    assert shown["colours"] != bright["colours"]
    luminance = [sum(map(int, c[4:-1].split(","))) for c in shown["colours"]]
    assert luminance[0] > 600 > 150 > luminance[1]


@pytest.mark.parametrize(
    ("visit", "words"),
    [
        ("no video", "text.mp4: is neither Y4M, MP4, MOV, MKV, WebM nor MPEG-TS"),
        ("cut mp4", "cut.mp4: "),
        ("fields.y4m", "fields.y4m: is interlaced, the other video is not"),
        ("resized.webm", "resized.webm: frame 12 has 176x144 pixels of 8 bits, earlier"),
        ("resized.mp4", "resized.mp4: frame 12 has 176x144 pixels of 8 bits, earlier"),
        (
            "cut y4m",
            "cut.y4m: ends in the middle of frame 5; get the whole file (docs/traps.md).",
        ),
        (
            "shorter",
            "short.mp4 ends after 9 frames, ref.y4m goes on; cut both to one length "
            "(docs/traps.md).",
        ),
        (
            "smaller",
            "352x288 pixels, the distorted video 176x144; bring them to one size first "
            "(docs/traps.md).",
        ),
        ("folder", "cannot be read; it is a folder"),
        ("nine bits", "nine.y4m: its format 420p9 is not read here"),
        ("no size", "vmaf-jax export --model tiny --format pixels --size 176x144"),
        ("no pixels", "model.onnx: is no model of pictures"),
        ("no model", "text.mp4: is no ONNX model that runs here"),
    ],
)
def test_what_is_wrong_is_told(visit, words, visits):
    assert words in visits[visit]["error"]
    assert visits[visit]["score"] == ""


def test_a_run_can_be_cancelled(visits):
    assert visits["cancelled"]["status"] == "Cancelled."


def test_motion_is_ours(programs, tmp_path):
    rng = np.random.default_rng(0)
    frames = rng.uniform(0, 255, (2, 23, 31)).astype(np.float32)
    script = f"""
        import {{ motion }} from {json.dumps((ROOT / "web" / "motion.js").as_uri())};
        const [a, b] = {frames.reshape(2, -1).tolist()};
        console.log(motion(a, b, 31, 23));
    """
    path = tmp_path / "run.mjs"
    path.write_text(script)
    out = subprocess.run([programs[1], path], capture_output=True, text=True, check=True).stdout
    assert abs(float(out) - float(frame_motion(*jnp.asarray(frames)))) < 1e-4
