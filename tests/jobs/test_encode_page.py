"""The page of a search for a target."""

import dataclasses

import pytest

from vmaf_jax.jobs.encode import Encoding
from vmaf_jax.jobs.encode_page import encode_page
from vmaf_jax.scoring.encode_probes import Probe
from vmaf_jax.scoring.encode_trials import ShotSettings, WholeEncode
from vmaf_jax.video.encoders import ENCODERS

DONE = WholeEncode(25.0, 90.4, 90.1, 161, 800.0, holds=True, seconds=2.0)
FOUND = Encoding(
    reference="/videos/<b>.mkv",
    out="/videos/out.mkv",
    target=90.0,
    pooling="mean",
    confidence=0.95,
    model="vmaf_v0.6.1",
    top=100.0,
    encoder="libx264",
    preset="medium",
    pix_fmt="yuv420p",
    height=180,
    scale=ENCODERS["libx264"].settings,
    n_frames=960,
    rate=24.0,
    segments=((0, 29), (100, 29)),
    probes=(Probe(26.0, 89.0, 0.5, 900.0, False), Probe(22.0, 94.0, 0.4, 1500.0, True)),
    small_pictures=((26.0, 88.5),),
    frames_probed=(120.0, 60.0),
    encodes=(dataclasses.replace(DONE, setting=26.0, score=89.1, holds=False), DONE),
    finished=DONE,
    shots=None,
    note=None,
    bytes=4_000_000,
    saving=0.8,
    miss=None,
    seconds={"survey": 1.0, "probes": 2.0, "encodes": 4.0},
    libvmaf="86da14d",
)


def test_page_has_the_curve_the_probes_and_the_finished_file():
    html = encode_page(FOUND)
    assert "<b>" not in html.split("<body>")[1].replace("&lt;b&gt;", "")
    for told in ("90.40", "at least 90.10 at 95 %", "earlier search", "800 kbit/s", "161 of 960"):
        assert told in html
    drawn = html.split('id="by-setting"')[1].split("</figure>")[0]
    assert 'class="band"' in drawn  # the interval
    assert drawn.count('class="interval"') == len(FOUND.probes)
    picks = drawn.split('class="pick" d="')[1].split('"')[0]
    assert picks.count("M") == len(FOUND.encodes)


def test_page_of_shots_has_a_step_for_each():
    shots = ShotSettings((0, 480), (24.0, 28.0), DONE, 0.07)
    html = encode_page(dataclasses.replace(FOUND, shots=shots))
    assert "7.0 % less than one setting" in html
    assert "20.00" in html.split('id="shots"')[1]


@pytest.mark.parametrize(
    "change",
    [
        {"finished": None, "out": None, "miss": "--target 99: missed.", "bytes": None},
        {"finished": None, "out": None, "probes": (), "encodes": ()},
    ],
)
def test_page_without_a_file_says_why(change):
    html = encode_page(dataclasses.replace(FOUND, **change))
    assert ("--target 99: missed." if "miss" in change else "Nothing was encoded") in html
