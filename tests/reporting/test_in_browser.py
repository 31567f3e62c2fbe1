"""The pages in a real headless Chromium: nothing complains, nothing is asked for, keys work."""

import numpy as np
import pytest

from tests.browser import MISSING, find_chromium
from tests.reporting.support import hostile, predictions, shipped
from tests.support import run_command
from vmaf_jax.evaluation import read_held_out

pytestmark = pytest.mark.skipif(find_chromium() is None, reason=MISSING)
PHONE, DESKTOP = 375, 1280


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages apart from the files that they were made beside: of a run, hostile, long, compared."""
    folder = tmp_path_factory.mktemp("pages")
    runs = {"run": shipped(folder / "a"), "hostile": hostile(folder / "b")}
    runs["long"] = shipped(folder / "c")
    predictions(20_000).write(runs["long"] / "folds.parquet")
    made = {name: folder / f"{name}.html" for name in (*runs, "compared")}
    for name, run in runs.items():
        assert run_command("report", run, "--out", made[name]).code == 0
    assert run_command("report", "tiny", "nano", "rbf", "--out", made["compared"]).code == 0
    return made


@pytest.mark.parametrize("name", ["run", "hostile", "long", "compared"])
@pytest.mark.parametrize(("width", "dark"), [(PHONE, True), (DESKTOP, False)])
def test_nothing_complains_nothing_leaves_every_figure_is_there(browser, pages, name, width, dark):
    page = pages[name]
    browser.open(page, width, dark=dark, phone=width == PHONE)
    boxes = browser.run(
        "[...document.querySelectorAll('figure')].map(f => {"
        "const b = f.querySelector('svg').getBoundingClientRect();"
        "return [f.id, b.left, b.right, b.height]})"
    )
    assert len(boxes) == (4 if name == "compared" else 6)
    for figure, left, right, height in boxes:
        assert 0 <= left < right <= width, figure
        assert height > 15, figure
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.querySelectorAll('.tile').length") == 3
    assert browser.complaints == []
    assert browser.requests == [page.as_uri()]


def luminance(colour):
    """The relative luminance of `rgb(r, g, b)`. Source: WCAG 2.2."""
    channels = np.array([float(v) for v in colour[4:-1].split(",")[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable_on_its_ground(browser, pages, dark):
    browser.open(pages["run"], dark=dark)
    colours = browser.run(
        "[['body','body'],['.tile','.soft'],['figure','figure .note'],['figure','svg text'],"
        "['figure','svg .strong'],['body','th']]"
        ".map(([g, t]) => [getComputedStyle(document.querySelector(g)).backgroundColor,"
        "(s => t.startsWith('svg') ? s.fill : s.color)"
        "(getComputedStyle(document.querySelector(t)))])"
    )
    for ground, text in colours:
        a, b = sorted([luminance(ground), luminance(text)])
        assert (b + 0.05) / (a + 0.05) >= 4.5, (ground, text)
    assert (luminance(colours[0][0]) < 0.1) is dark


def said(browser, figure):
    return browser.run(f"document.querySelector('#{figure} output').textContent")


def test_keys_go_through_the_clips_in_order_of_their_label(browser, pages):
    browser.open(pages["run"])
    rows = read_held_out(pages["run"].parent / "a" / "folds.parquet")
    order = np.argsort(rows.label, kind="stable")
    browser.run("document.querySelector('#held-out-agreement').focus()")
    resting = said(browser, "held-out-agreement")
    for key, k in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("End", -1)):
        browser.press(key)
        row = order[k]
        line = said(browser, "held-out-agreement")
        assert line.startswith(f"{rows.clip[row]} of {rows.source[row]}, ")
        assert f"label {rows.label[row]:.3f}, student {rows.predicted[row]:.3f}" in line
    browser.press("Escape")
    assert said(browser, "held-out-agreement") == resting


def test_the_pointer_names_the_dot_below_it(browser, pages):
    browser.open(pages["run"])
    x, y = browser.run(
        "(() => {const f = document.querySelector('#held-out-residuals');"
        "f.scrollIntoView(); const b = f.querySelector('.ring').getBoundingClientRect();"
        "return [b.left + b.width / 2, b.top + b.height / 2]})()"
    )
    browser.move(x, y)
    rows = read_held_out(pages["run"].parent / "a" / "folds.parquet")
    worst = int(np.argmax(np.abs(rows.predicted - rows.label)))
    assert said(browser, "held-out-residuals").startswith(
        f"{rows.clip[worst]} of {rows.source[worst]}"
    )


def test_one_source_can_be_picked(browser, pages):
    browser.open(pages["run"])
    rows = read_held_out(pages["run"].parent / "a" / "folds.parquet")
    source = str(rows.source[0])
    picked = browser.run(
        f"(() => {{const s = document.querySelector('select[data-of=held-out]');"
        f"s.value = [...s.options].find(o => o.text === {source!r}).value;"
        f"s.dispatchEvent(new Event('change'));"
        f"return document.querySelector('#held-out-agreement .pick').getAttribute('d')}})()"
    )
    assert picked.count("M") == int((rows.source == source).sum())


def test_print_opens_what_is_folded_and_is_light(browser, pages):
    browser.open(pages["run"], dark=True)
    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.querySelectorAll('details:not([open])').length") == 0
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.querySelector('.controls')).display") == "none"
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.querySelectorAll('details:not([open])').length") > 0


def test_without_its_script_every_figure_is_drawn(browser, pages):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["run"])
        assert browser.run("document.querySelectorAll('figure svg .dots').length") == 4
        assert browser.run("document.querySelectorAll('figure svg').length") == 6
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
