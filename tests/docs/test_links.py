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


def test_findings_are_listed():
    scripts = {path.stem for path in Path("findings").glob("*.sh")}
    listed = set(re.findall(r"^\| `(\w+)` \|", Path("findings/README.md").read_text(), re.M))
    assert listed == scripts
    named = {
        name
        for page in (Path("README.md"), *Path("docs").rglob("*.md"))
        for name in re.findall(r"findings/(\w+)\.sh", page.read_text())
    }
    assert named <= scripts


TRAPS = Path("docs/traps.md").read_text()
TABLES = r"<!-- matrix \w+ -->.*?<!-- end -->"  # what benchmarks write
PROOFS = [
    (row.split("|")[1].strip(), row.split("|")[-2].strip())
    for row in re.sub(TABLES, "", TRAPS, flags=re.S).splitlines()
    if row.startswith("| ") and not row.startswith(("| ---", "| you would expect"))
]
# By benchmark, the questions of the table that it writes.
QUESTIONS = {
    f"benchmarks/{module}.py": re.findall(
        r"^\| ([^|]+) \|", re.search(f"<!-- matrix {name} -->.*?<!-- end -->", TRAPS, re.S)[0], re.M
    )
    for name, module in {"filter": "filter_by_build", "packages": "measure_by_package"}.items()
}


@pytest.mark.parametrize("proofs", [shown for _, shown in PROOFS], ids=[trap for trap, _ in PROOFS])
def test_a_trap_is_shown_by_what_exists(proofs):
    """By a script, by a test or the name of a file in its tables, or by a row of a benchmark."""
    found = re.findall(r"`([^`]+)`(?: \(([^)]+)\))?", proofs)
    assert found, "names no proof"
    for name, words in found:
        path, _, test = name.partition("::")
        if path.startswith("benchmarks/"):
            assert words, f"{path}: name the question"
            assert any(words in question.replace("`", "") for question in QUESTIONS[path]), words
        elif path.startswith("tests/"):
            named = rf'^def {re.escape(test)}\(|"{re.escape(test)}"'
            assert re.search(named, Path(path).read_text(), re.M), name
        else:
            assert Path(f"findings/{name}.sh").is_file(), name


def test_messages_name_pages_that_exist():
    """The pages are in the wheel, so that a message may send its reader to one."""
    named = {
        page
        for module in Path("vmaf_jax").rglob("*.py")
        for page in re.findall(r"docs/[\w-]+\.md", module.read_text())
    }
    assert "docs/traps.md" in named
    assert all(Path(page).is_file() for page in named), named
