"""Film grain that an AV1 decoder adds: left out where the reference has none, and said."""

import json
import subprocess

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import extract_pair, score
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.clip_page import write_clip_page
from vmaf_jax.scoring.measured_pair import plan_again
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import carries_grain, probe, video_streams

WARNING = "its decoder synthesises film grain"
FILM = ("-i", "film.mp4", "-i", "cover.png", "-i", "other.mp4", "-i", "small.mp4")


@pytest.fixture(scope="module")
def films(tmp_path_factory, ffmpeg):
    """A noisy source; AV1 encodes of it with grain and without, and what that decodes to."""
    folder = tmp_path_factory.mktemp("grain")

    def make(*words):
        subprocess.run([ffmpeg, "-v", "error", *words], check=True, cwd=folder, capture_output=True)

    source = "testsrc2=size=320x192:rate=24,noise=alls=25:allf=t"
    make("-f", "lavfi", "-i", source, "-frames:v", "8", "-pix_fmt", "yuv420p", "ref.y4m")
    svt = ("-c:v", "libsvtav1", "-preset", "10", "-crf", "40")
    make("-i", "ref.y4m", *svt, "-svtav1-params", "film-grain=30", "grain.mp4")
    make("-i", "ref.y4m", *svt, "plain.mp4")
    make("-export_side_data", "film_grain", "-i", "grain.mp4", "without.y4m")
    make("-i", "grain.mp4", "with.y4m")
    return folder


def test_grain_is_found_in_what_carries_it(films):
    found = {name: carries_grain(find_ffmpeg(), Video(films / name)) for name in (
        "grain.mp4", "plain.mp4", "ref.y4m")}  # fmt: skip
    assert found == {"grain.mp4": True, "plain.mp4": False, "ref.y4m": False}


@pytest.mark.parametrize(
    ("flags", "same_as"),
    [
        ({}, "without.y4m"),
        ({"start": "0f"}, "without.y4m"),
        ({"film_grain": "off"}, "without.y4m"),
        ({"film_grain": "on"}, "with.y4m"),
    ],
)
def test_what_is_measured(films, flags, same_as):
    found = score(films / "ref.y4m", films / "grain.mp4", **flags)
    truth = score(films / "ref.y4m", films / same_as)
    np.testing.assert_allclose(found.per_frame, truth.per_frame, atol=1e-6)
    comparison = found.to_dict()["comparison"]
    assert comparison["film_grain"] == ("on" if same_as == "with.y4m" else "off")
    is_auto = "film_grain" not in flags
    assert [WARNING in text for text in comparison["warnings"]] == [True] * is_auto
    assert plan_again(found)[0].distorted.film_grain == (same_as == "with.y4m")


def test_grain_on_both_sides_and_none_are_left_alone(films):
    assert score(films / "grain.mp4", films / "grain.mp4").to_dict()["comparison"][
        "film_grain"
    ] == "on"  # fmt: skip
    assert score(films / "ref.y4m", films / "plain.mp4").table.provenance["comparison"][
        "warnings"
    ] == []  # fmt: skip


def test_people_are_told(films):
    shown = run_command("score", films / "ref.y4m", films / "grain.mp4", "--json")
    assert WARNING in json.loads(shown.stdout)["comparison"]["warnings"][0]
    refused = run_command("score", films / "ref.y4m", films / "grain.mp4", "--film-grain", "auto")
    assert (refused.code, "expected off or on" in refused.stderr) == (2, True)


@pytest.fixture(scope="module")
def files(tmp_path_factory, ffmpeg):
    """A reference, a film, and files that hold the film beside other pictures."""
    folder = tmp_path_factory.mktemp("streams")

    def make(*arguments):
        subprocess.run([ffmpeg, "-v", "error", "-y", *arguments], check=True, cwd=folder)

    def film(name, *arguments):
        make(*FILM, *arguments, "-c:v", "copy", name)

    source = "testsrc2=size=160x96:rate=24:duration=0.3,noise=alls=8:all_seed=1"
    make("-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "ref.y4m")
    make("-i", "ref.y4m", "-c:v", "libx264", "-crf", "38", "film.mp4")
    make("-i", "ref.y4m", "-vf", "negate", "-c:v", "libx264", "-qp", "20", "other.mp4")
    make("-i", "ref.y4m", "-vf", "scale=80:48", "-c:v", "libx264", "-qp", "20", "small.mp4")
    make("-i", "ref.y4m", "-vf", "negate", "-frames:v", "1", "cover.png")
    no_flag, default = ("-disposition:v", "0"), ("-disposition:v:1", "default")
    film("still first.mkv", "-map", "1", "-map", "0", *no_flag)
    film("still first, both flagged.mkv", "-map", "1", "-map", "0", "-disposition:v", "default")
    film("flagged second.mkv", "-map", "2", "-map", "0", *no_flag, *default)
    film("flagged second.mp4", "-map", "2", "-map", "0", *no_flag, *default)
    film("preview first.mkv", "-map", "3", "-map", "0", *no_flag)
    film("cover last.mp4", "-map", "0", "-map", "1", "-disposition:v:1", "attached_pic")
    film("film first.mov", "-map", "0", "-map", "2")
    programs = ("-program", "st=0", "-program", "st=1")
    film("programs.ts", "-map", "0", "-map", "2", "-bsf:v", "h264_mp4toannexb", *programs)
    film("cover and two.mkv", "-map", "0", "-map", "2", "-attach", "cover.png",
         "-metadata:s:t", "mimetype=image/png")  # fmt: skip
    make("-display_rotation", "30", "-i", "other.mp4", "-c", "copy", "tilted.mp4")
    make(
        "-i",
        "film.mp4",
        "-i",
        "tilted.mp4",
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "tilted second.mp4",
    )
    return folder


def labels(table):
    return table.label("vmaf_v0.6.1").tolist()


CASES = {
    "still first.mkv": (1, 2),
    "still first, both flagged.mkv": (1, 2),
    "flagged second.mkv": (1, 2),
    "flagged second.mp4": (1, 2),
    "preview first.mkv": (1, 2),
    "cover last.mp4": (0, 1),
    "film first.mov": (0, 2),
    "programs.ts": (0, 2),
    "cover and two.mkv": (0, 2),
    "tilted second.mp4": (0, 2),
}


@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
@pytest.mark.parametrize(("name", "expected"), CASES.items(), ids=CASES.keys())
def test_the_film_is_measured_and_named(backend, name, expected, files):
    right = extract_pair(files / "ref.y4m", files / "film.mp4", backend=backend)
    table = extract_pair(files / "ref.y4m", files / name, backend=backend)
    assert labels(table) == labels(right)
    described = table.provenance["comparison"]
    stream, streams = described["distorted"]["stream"], described["distorted"]["streams"]
    assert (stream, streams) == expected
    told = f"the distorted file has {streams} video streams; stream {stream} was measured"
    assert [told in text for text in described["warnings"]] == [True] * (streams > 1)


@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_a_stream_is_chosen(backend, files):
    right = extract_pair(files / "ref.y4m", files / "other.mp4", backend=backend)
    for stream in ("1", 1, "0:1"):
        table = extract_pair(
            files / "ref.y4m", files / "film first.mov", backend=backend, stream=stream
        )
        assert labels(table) == labels(right)
    swapped = extract_pair(files / "film first.mov", files / "film.mp4", stream="1:0")
    assert labels(swapped) == labels(extract_pair(files / "other.mp4", files / "film.mp4"))
    with pytest.raises(InputError, match=r"film first.mov: has no video stream 2; it has 2"):
        extract_pair(files / "ref.y4m", files / "film first.mov", backend=backend, stream=2)


def test_a_part_and_an_offset_are_of_the_film(files):
    for options in ({"start": "2f", "frames": 3}, {"sync": "auto"}, {"deinterlace": "tff"}):
        right = extract_pair(files / "ref.y4m", files / "film.mp4", **options)
        table = extract_pair(files / "ref.y4m", files / "flagged second.mkv", **options)
        assert labels(table) == labels(right)


def test_a_rotation_is_read_behind_a_long_title(files, ffmpeg):
    lying, title = files / "lying.mp4", "title=" + 3000 * "x"
    turn = [ffmpeg, "-v", "error", "-y", "-i", "film.mp4", "-vf", "transpose=1", "-qp", "20", lying]
    subprocess.run(turn, check=True, cwd=files)
    make = [ffmpeg, "-v", "error", "-y", "-display_rotation", "90", "-i", lying, "-c", "copy"]
    subprocess.run([*make, "-metadata:s:v:0", title, "phone.mkv"], check=True, cwd=files)
    described = score(files / "ref.y4m", files / "phone.mkv").table.provenance["comparison"]
    assert described["distorted"]["rotation"] == 90
    assert (described["distorted"]["width"], described["distorted"]["height"]) == (160, 96)


def test_the_page_shows_the_film(files, tmp_path):
    pages = []
    for name in ("film.mp4", "flagged second.mkv"):
        write_clip_page(tmp_path / "page.html", [score(files / "ref.y4m", files / name)])
        text = (tmp_path / "page.html").read_text()
        pages.append([part.split('"')[0] for part in text.split("data:image/jpeg;base64,")[1:]])
    assert pages[0] == pages[1] != []


def test_an_animated_avif_is_its_film(files, ffmpeg):
    make = [ffmpeg, "-v", "error", "-y", "-i", "ref.y4m", "-c:v", "libsvtav1", "-preset", "12"]
    subprocess.run([*make, "film.avif"], check=True, cwd=files, stderr=subprocess.DEVNULL)
    decoded = [ffmpeg, "-v", "error", "-y", "-i", "film.avif", "-map", "0:v:1", "avif.y4m"]
    subprocess.run(decoded, check=True, cwd=files)
    right = extract_pair(files / "ref.y4m", files / "avif.y4m")
    table = extract_pair(files / "ref.y4m", files / "film.avif")
    assert len(table) == len(right) > 1
    assert labels(table) == labels(right)


def test_one_stream_is_decoded_once(files, monkeypatch):
    """Choosing costs ordinary files no run of ffmpeg beside the one that reads their form."""
    runs = []

    def count(*arguments, **settings):
        runs.append(arguments)
        return run_ffmpeg(*arguments, **settings)

    monkeypatch.setattr("vmaf_jax.video.streams.run_ffmpeg", count)
    assert probe(find_ffmpeg(), Video(files / "cover last.mp4"))[1].stream == 0
    assert len(runs) == 1


def test_streams_are_read_from_a_report():
    """A stream of two programs, a still and a thumbnail, in ffmpeg's words."""
    report = (
        "Input #1, mpegts, from 'a':\n"
        "  Program 2 \n"
        "  Stream #1:2[0x100](eng): Video: h264 (High), yuv420p, 480x270 [SAR 1:1], 25 fps\n"
        "  Program 1 \n"
        "  Stream #1:0[0x101]: Video: h264, yuv420p(tv), 160x90, 25 fps (default)\n"
        "  Stream #1:1[0x102]: Audio: aac\n"
        "  Stream #1:2[0x100](eng): Video: h264 (High), yuv420p, 480x270 [SAR 1:1], 25 fps\n"
        "  Stream #1:3: Video: png, rgb24, 480x270 (attached pic)\n"
        "Stream mapping:\n"
        "Output #0, null, to 'pipe:':\n"
        "  Stream #0:0: Video: wrapped_avframe, yuv420p, 480x270\n"
    )
    streams = video_streams(report, 1)
    assert [(s.index, s.number, s.pixels, s.is_default, s.is_film) for s in streams] == [
        (0, 0, 14400, True, True),
        (2, 1, 129600, False, True),
        (3, 2, 129600, False, False),
    ]
    assert video_streams(report, 0) == []
