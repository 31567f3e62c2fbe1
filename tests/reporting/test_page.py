"""Names of strangers in drawings and pages stay text: in cells, and inside attributes."""

import html.parser
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import scipy.stats

from tests.reporting.support import predictions
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.reporting import score_logs
from vmaf_jax.reporting.notebook import clip_html, run_html
from vmaf_jax.reporting.page import drawing, plain_table, text

NAMES = ['a" onload="alert(1)', "a' onload='alert(1)", "<b>a</b> & c", "&quot;", "日本"]


class Elements(html.parser.HTMLParser):
    """The elements of a page, each with its attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", NAMES)
def test_quotes_are_escaped_in_attributes(name):
    ((tag, attributes),) = Elements(drawing(10, 20, name, [])).found
    assert tag == "svg"
    assert attributes == {"viewbox": "0 0 10 20", "role": "img", "aria-label": name}
    ((tag, attributes),) = Elements(f"<i title='{text(name)}'>").found
    assert attributes == {"title": name}
    log = score_logs.to_xml({name: np.array([1.0])}, name)
    root = ElementTree.fromstring(log)  # noqa: S314 (our own)
    assert root.get("version") == name
    assert [metric.get("name") for metric in root.iter("metric")] == [name]


@pytest.mark.parametrize("number", [0x00, 0x1B, 0x7F, 0xAD, 0x200B, 0x202E, 0x2066, 0xD800, 0xE000])
def test_characters_that_hide_or_turn_others_are_shown_as_such(number):
    """Of a name such as `a<RLO>4pm.exe` a browser would show the end backwards."""
    assert text(f"a{chr(number)}b") == "a\ufffdb"


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_in_tables(name):
    elements = Elements(plain_table([name], [[name]]))
    assert {tag for tag, _ in elements.found} == {"table", "thead", "tbody", "tr", "th", "td"}
    assert elements.text.rstrip("\n") == name * 2


def test_a_run_in_a_notebook_has_its_figures_under_their_headings_the_worst_source_first():
    rows = predictions(230, sources=5)
    rng = np.random.default_rng(0)
    spread = 1 + 3 * np.array([int(name[-1]) for name in rows.source])
    predicted = np.clip(100 * (rows.label / 100) ** 5 + rng.normal(0, 1, 230) * spread, 0, 100)
    rows = HeldOut(rows.source, rows.clip, rows.index, rows.seed, rows.label, predicted)
    page = run_html("run", rows)
    headings = re.findall(r"<th scope[^>]*>(.*?)</th>", page)
    lines = [re.findall(r"<td>(.*?)</td>", line) for line in re.findall(r"<tr>(<td.*?)</tr>", page)]
    shown = [dict(zip(headings, line, strict=True)) for line in lines]
    assert shown[0]["PLCC"] == f"{scipy.stats.pearsonr(predicted, rows.label).statistic:.5f}"
    assert shown[0]["SROCC"] == f"{scipy.stats.spearmanr(predicted, rows.label).statistic:.5f}"
    errors = [float(line["RMSE"]) for line in shown[1:]]
    for line, error in zip(shown[1:], errors, strict=True):
        own = rows.source == line["held-out source"]
        assert error == pytest.approx(
            np.sqrt(np.mean((predicted - rows.label)[own] ** 2)), abs=1e-4
        )
    assert errors == sorted(errors, reverse=True)
    assert len(errors) == 5


@pytest.mark.parametrize("dip", [1001, 1234, 3999])
def test_a_dip_of_one_frame_is_seen_in_a_notebooks_curve(dip):
    """Of 4,000 frames drawn at 800 places the lowest of each five is kept."""
    scores = np.full(4000, 100.0)
    scores[dip] = 20.0
    page = clip_html("clip", {}, scores)
    path = re.search(r'class="curve" d="M([^"]+)"', page).group(1)
    across, down = np.array([point.split() for point in path.split("L")], float).T
    assert len(across) == 800
    assert int(np.argmax(down)) == dip // 5
    assert np.sum(down > down.min() + 50) == 1
    assert "the lowest of every 5" in page
