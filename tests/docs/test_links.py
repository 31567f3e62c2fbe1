"""Links of the pages outside docs/ (mkdocs looks at those inside) lead to files and headings."""

import re
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


def test_traps_and_findings_name_each_other():
    """Every script has a row in its README; every name in traps.md is a script or a test."""
    scripts = {path.stem for path in Path("findings").glob("*.sh")}
    listed = set(re.findall(r"^\| `(\w+)` \|", Path("findings/README.md").read_text(), re.M))
    assert listed == scripts
    page = Path("docs/traps.md").read_text()
    page = re.sub(r"<!-- matrix \w+ -->.*?<!-- end -->", "", page, flags=re.S)  # a benchmark's
    for row in (line for line in page.splitlines() if line.startswith("| ")):
        shown_by = row.split("|")[-2].strip()
        if shown_by in ("shown by", "---"):
            continue
        for name in re.findall(r"`([^`]+)`", shown_by):
            assert name in scripts or Path(name).is_file(), name
        assert "`" in shown_by, row


def test_messages_name_pages_that_exist():
    """The pages are in the wheel, so that a message may send its reader to one."""
    named = {
        page
        for module in Path("vmaf_jax").rglob("*.py")
        for page in re.findall(r"docs/[\w-]+\.md", module.read_text())
    }
    assert "docs/traps.md" in named
    assert all(Path(page).is_file() for page in named), named
