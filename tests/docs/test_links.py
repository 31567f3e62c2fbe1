"""Links of the pages outside docs/ (mkdocs looks at those inside) lead to files and headings."""

from pathlib import Path

import pytest

from tests.docs.markdown import anchors, links

PAGES = [*sorted(Path().glob("*.md")), *sorted(Path("checkpoints").glob("*/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    for link in links(page):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}"


def test_the_first_page_leads_to_every_other():
    pages = {str(p.relative_to("docs")) for p in Path("docs").rglob("*.md")} - {"index.md"}
    assert pages <= {link.partition("#")[0] for link in links(Path("docs/index.md"))}
    assert "docs/index.md" in links(Path("README.md"))
