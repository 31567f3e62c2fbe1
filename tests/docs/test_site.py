"""The docs as a site: it builds strictly, and no page asks for anything from elsewhere."""

import html.parser
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

for module in ("mkdocs", "mkdocstrings", "latex2mathml"):
    pytest.importorskip(module, reason="pip install '.[docs]'")

VERSION = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
# Attributes by which a page makes a browser fetch; a link to follow is none of them.
FETCHING = {
    *(("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")),
    *(("video", "src"), ("object", "data"), ("img", "srcset"), ("use", "href")),
}


def build(config, out):
    line = [sys.executable, "-m", "mkdocs", "build", "-f", str(config), "-d", str(out)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    for release in ("0.0.9", "0.0.10"):  # sites of earlier releases
        (folder / release).mkdir()
        (folder / release / "index.html").write_text("earlier")
    result = build("mkdocs.yml", folder)
    assert result.returncode == 0, result.stderr
    return folder / VERSION


def fetched(page):
    """Addresses that a browser fetches when it opens a page."""
    addresses: list[str] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            addresses.extend(v for name, v in attributes if (tag, name) in FETCHING and v)

    Reader().feed(page.read_text())
    return addresses


def test_every_page_is_there_and_fetches_from_the_site_alone(site):
    for source in Path("docs").rglob("*.md"):
        page = site / source.relative_to("docs").with_suffix(".html")
        addresses = fetched(page)
        assert 'class="mermaid"' not in page.read_text()  # the theme would fetch what draws it
        assert any(address.endswith(".css") for address in addresses)
        for address in addresses:
            if not address.startswith("data:"):
                assert not re.match(r"\w+:|//", address), f"{page}: {address}"
                assert (page.parent / address.split("?")[0].split("#")[0]).exists(), address


def test_style_sheets_fetch_nothing_from_elsewhere(site):
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        addresses = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")]+)", sheet.read_text())
        assert [a for a in addresses if re.match(r"https?:|//", a)] == []


def test_pages_search_turn_dark_and_name_their_release(site):
    page = (site / "index.html").read_text()
    assert f"vmaf-jax {VERSION}" in page
    assert 'data-md-color-scheme="slate"' in page
    found = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    assert any("vmaf_jax.extract_pair" in entry["title"] for entry in found)  # from docstrings


def test_releases_are_listed_for_the_selector_the_newest_first(site):
    listed = json.loads((site.parent / "versions.json").read_text())
    assert [entry["version"] for entry in listed] == [VERSION, "0.0.10", "0.0.9"]
    assert (site.parent / "0.0.9" / "index.html").read_text() == "earlier"
    assert f"url={VERSION}/index.html" in (site.parent / "index.html").read_text()
    assert '"version": {"provider": "mike"}' in (site / "index.html").read_text()


def test_formulas_are_drawn_by_the_browser_itself(site):
    pages = {page: page.read_text() for page in site.rglob("*.html")}
    assert pages[site / "method.html"].count("<math xmlns") > 10
    assert [page for page, text in pages.items() if 'class="arithmatex"' in text] == []


def test_broken_links_and_anchors_fail(tmp_path):
    (tmp_path / "docs").mkdir()
    text = "# Page\n\n[one](absent.md) [another](index.md#gone)\n"
    (tmp_path / "docs" / "index.md").write_text(text)
    config = Path("mkdocs.yml").read_text().split("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(config)
    result = build(tmp_path / "mkdocs.yml", tmp_path / "out")
    assert result.returncode == 1
    assert "'absent.md'" in result.stderr
    assert "'index.md#gone'" in result.stderr
