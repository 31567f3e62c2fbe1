"""The page of a clip in a real headless Chromium: it shows the frame that one points at."""

import json
import re
import shutil
import subprocess

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


@pytest.fixture(scope="module")
def broken(tmp_path_factory, encodes, ffmpeg):
    """A page of a good encode whose frame 7 has a tile of noise at 200, 104; and its result."""
    folder = tmp_path_factory.mktemp("broken")
    noise = (
        "[0:v]split[a][b];[b]crop=48:48:200:104,noise=alls=100:all_seed=3[t];"
        "[a][t]overlay=200:104:enable='eq(n,7)'"
    )
    line = [ffmpeg, "-v", "error", "-i", encodes / "ref.y4m", "-lavfi", noise, "-c:v", "ffv1"]
    subprocess.run([*map(str, line), str(folder / "broken.mkv")], check=True)
    flags = ["--html", folder / "page.html", "--worst-region", "--json"]
    result = run_command("score", encodes / "ref.y4m", folder / "broken.mkv", *flags)
    assert result.code == 0, result.stderr
    return folder / "page.html", json.loads(result.stdout)["worst_region"]


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
    outside = [url for url in browser.requests if not url.startswith("data:image/")]
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


def shown_box(browser, selector):
    """Left, top, width and height of an element in the stage, as shares of its picture."""
    return browser.run(
        f"(() => {{const b = document.querySelector('.stage {selector}').getBoundingClientRect();"
        "const p = document.querySelector('.stage .shot:last-child img').getBoundingClientRect();"
        "return [(b.left - p.left) / p.width, (b.top - p.top) / p.height,"
        "b.width / p.width, b.height / p.height]})()"
    )


@browsers
@pytest.mark.parametrize(("width", "dark"), [(375, True), (1280, False)])
def test_the_map_of_a_broken_tile_is_over_it_and_the_keys_reach_it(browser, broken, width, dark):
    page, region = broken
    browser.open(page, width, dark=dark, phone=width == 375)
    assert "Boxed, the worst region of broken.mkv: " in said(browser, "pair")
    expected = np.array(region["box"]) / [352, 288, 352, 288]
    np.testing.assert_allclose(shown_box(browser, ".box"), expected, atol=0.005)
    browser.run("document.querySelector('input[value=difference]').click()")
    browser.run("document.querySelector('input[value=difference]').focus()")
    browser.press("ArrowRight")
    assert browser.run("document.querySelector('input[value=map]').checked")
    np.testing.assert_allclose(shown_box(browser, ".heat"), [0, 0, 1, 1], atol=0.005)
    np.testing.assert_allclose(shown_box(browser, ".box"), expected, atol=0.005)
    for name, feature in (("adm", "detail lost (ADM)"), ("vif", "information lost (VIF)")):
        browser.run(
            f"(() => {{const f = document.querySelector('#feature'); f.value = '{name}';"
            "f.dispatchEvent(new Event('change')); return 1})()"
        )
        assert f"{feature}: " in said(browser, "pair")
        assert "at the middle" in said(browser, "pair")
        assert feature in browser.run("document.querySelector('.heat').alt")
        opacity = browser.run(
            "(async () => {const i = document.querySelector('.heat'); await i.decode();"
            "const c = new OffscreenCanvas(11, 9).getContext('2d'); c.drawImage(i, 0, 0);"
            "return [...c.getImageData(0, 0, 11, 9).data].filter((_, k) => k % 4 == 3)})()"
        )
        tiles = np.array(opacity).reshape(9, 11)
        assert tiles[3:5, 6:8].max() == tiles.max() > 200
        assert np.median(tiles) == 0
    assert browser.run("document.querySelector('p.heat').innerText").endswith(" % lost")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.complaints == []


@browsers
def test_frames_without_a_map_say_so(browser, made):
    browser.open(made[0])
    browser.run("document.querySelector('input[value=map]').click()")
    lines = []
    for frame in range(12):
        browser.run(
            f"(() => {{const a = document.querySelector('#at'); a.value = {frame};"
            "a.dispatchEvent(new Event('input')); return 1})()"
        )
        lines.append(said(browser, "pair"))
        has_map = browser.run("document.querySelectorAll('.stage .heat').length") == 1
        assert has_map is ("no map of this frame" not in lines[-1])
        assert has_map is bool(re.search(r"information lost \(VIF\): \d+ % on average", lines[-1]))
    assert 0 < sum("no map" in line for line in lines) < 12


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
