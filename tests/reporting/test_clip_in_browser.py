"""The page of a clip in a real headless Chromium: it shows the frame that one points at."""

import json
import re
import shutil

import numpy as np
import pytest

from tests.browser import MISSING, find_chromium
from tests.support import run_command

HOSTILE = "<img src=x onerror=alert(1)>&\"'.mp4"
browsers = pytest.mark.skipif(find_chromium() is None, reason=MISSING)


@pytest.fixture(scope="module")
def made(tmp_path_factory, encodes):
    """A page of three encodes, one with a name of markup and one broken; and its result."""
    folder = tmp_path_factory.mktemp("clip")
    shutil.copy(encodes / "small.mp4", folder / HOSTILE)
    (folder / "broken.mp4").write_bytes((encodes / "dis.mp4").read_bytes()[:700])
    files = [encodes / "dis.mp4", folder / HOSTILE, folder / "broken.mp4"]
    flags = ["--html", folder / "page.html", "--json", "--per-frame"]
    flags += ["--model", "tiny", "--interval", "0.9"]
    result = run_command("score", encodes / "ref.y4m", *files, *flags)
    assert result.code == 2
    assert "broken.mp4" in result.stderr
    (folder / "page.html").rename(folder / "alone.html")  # apart from what it was made beside
    return folder / "alone.html", json.loads(result.stdout)


def test_names_that_are_markup_stay_text_and_what_failed_is_named(made):
    page = made[0].read_text()
    assert HOSTILE not in page
    assert "<img src=x" not in page
    assert len(re.findall(r"<script[^>]*>", page)) == 2
    assert re.search(r"Not scored: \S*broken\.mp4: ", page)
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


@browsers
@pytest.mark.parametrize(("width", "dark"), [(375, True), (1280, False)])
def test_nothing_complains_and_nothing_leaves(browser, made, width, dark):
    browser.open(made[0], width, dark=dark, phone=width == 375)
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelectorAll('.tile').length") == 3
    assert browser.run("document.querySelectorAll('#time .ring').length") > 1
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 100)")
    assert browser.complaints == []
    outside = [url for url in browser.requests if not url.startswith("data:image/jpeg")]
    assert outside == [made[0].as_uri()]


def said(browser, figure="time"):
    return browser.run(f"document.querySelector('#{figure} output').textContent")


@browsers
def test_the_pointer_shows_the_frame_and_its_pictures(browser, made):
    browser.open(made[0])
    x, y, span = browser.run(
        "(() => {const s = document.querySelector('#time svg[role=img]'); s.scrollIntoView();"
        "const b = s.getBoundingClientRect(); return [b.left, b.top, b.width]})()"
    )
    scale = span / 880
    for frame in (3, 8):
        across = 50 + frame / 11 * (880 - 50 - 44)
        browser.move(x + across * scale, y + 60)
        first, second = (entry["frames"][frame] for entry in made[1]["ranked"])
        assert said(browser).startswith(f"frame {frame} (")
        scores = re.search(r"1: dis\.mp4 ([\d.]+); 2: (.*) ([\d.]+)$", said(browser))
        assert scores is not None
        assert scores[2] == HOSTILE
        assert float(scores[1]) == pytest.approx(first, abs=0.0055)  # two decimals of three
        assert float(scores[3]) == pytest.approx(second, abs=0.0055)
        shown = browser.run("[...document.querySelectorAll('.stage img')].map(i => i.src)")
        expected = browser.run(
            f"[...document.querySelectorAll('img[data-frame=\"{frame}\"]')].map(i => i.src)"
        )
        assert shown == expected
        assert len(set(shown)) == 3


@browsers
def test_keys_go_through_the_frames(browser, made):
    browser.open(made[0])
    resting = said(browser)
    browser.run("document.querySelector('#time').focus()")
    for key, frame in (("Home", 0), ("ArrowRight", 1), ("End", 11), ("ArrowLeft", 10)):
        browser.press(key)
        assert said(browser).startswith(f"frame {frame} (")
        assert said(browser, "pair").startswith(f"frame {frame} (")
    browser.press("Escape")
    assert said(browser) == resting


@browsers
def test_wipe_and_difference(browser, made):
    browser.open(made[0])
    for way, blend in (("wipe", "normal"), ("difference", "difference")):
        browser.run(f"document.querySelector('input[value={way}]').click()")
        assert browser.run("document.querySelectorAll('.stage .shot').length") == 2
        style = "getComputedStyle(document.querySelector('.stage .shot:last-of-type'))"
        assert browser.run(f"{style}.mixBlendMode") == blend
        assert (browser.run(f"{style}.clipPath") != "none") is (way == "wipe")
    browser.run(
        "(() => {const w = document.querySelector('#which'); w.value = 1;"
        "w.dispatchEvent(new Event('change')); return 1})()"
    )
    assert HOSTILE in said(browser, "pair")


@browsers
def test_without_its_script_and_in_print_the_pictures_are_there(browser, made):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(made[0], dark=True)
        browser.call("Emulation.setEmulatedMedia", media="print", features=[])
        assert browser.run("document.querySelector('#pair').offsetParent") is None
        assert browser.run("document.querySelectorAll('#worst img').length") >= 6
        assert (
            browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        )
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_scores_in_the_page_are_those_of_the_result(made):
    data = json.loads(re.search(r"data-clip>(.*?)</script>", made[0].read_text()).group(1))
    for drawn, entry in zip(data["encodes"], made[1]["ranked"], strict=True):
        np.testing.assert_allclose(drawn["mean"], entry["frames"], atol=5.1e-4)
