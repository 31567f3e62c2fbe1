"""docs/reference.md is what the code says."""

import re
from pathlib import Path

import typer

from tools.reference import render_reference
from vmaf_jax.cli import app


def test_the_page_is_that_of_the_code():
    written = Path("docs/reference.md").read_text()
    assert written == render_reference(app), "run `python tools/reference.py`"


def test_every_flag_says_what_it_is():
    commands = render_reference(app).split("## Settings")[0]
    rows = [line.split(" | ") for line in commands.splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert [row[0] for row in rows if len(row) != 3 or not row[2].strip(" |")] == []


def test_every_flag_is_explained_on_another_page():
    commands = render_reference(app).split("## Settings")[0]
    pages = (page for page in Path("docs").glob("*.md") if page.name != "reference.md")
    text = Path("README.md").read_text() + "".join(page.read_text() for page in pages)
    named = set(re.findall(r"--[a-z][a-z-]*", text))
    assert set(re.findall(r"^\| `(--[a-z-]+)", commands, re.M)) - named == set()


def test_every_setting_says_what_it_is():
    settings = render_reference(app).split("## Settings")[1].split("## Python")[0]
    rows = [line.split(" | ") for line in settings.splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert [row[0] for row in rows if not row[2].strip(" |")] == []


def test_defaults_are_values_and_signatures_fit():
    page = render_reference(app)
    assert "PydanticUndefined" not in page
    python = page.split("## Python")[1].split("```")[1::2]
    assert max(len(line) for block in python for line in block.splitlines()) <= 110


def test_functions_are_there_with_their_arguments():
    python = render_reference(app).split("## Python")[1]
    assert "score(reference, distorted, model='auto', *, bits=8, backend='libvmaf'," in python
    assert "\n    bits: of arrays: 8, 10 or 12.\n" in python.split("### `vmaf_jax.score`")[1]


def test_a_new_flag_changes_the_page():
    other = typer.Typer()

    @other.command()
    def score(quality: int = typer.Option(3, help="A new flag.")) -> None:
        """Score."""

    @other.command()
    def more() -> None:
        """More."""

    page = render_reference(other)
    assert "| `--quality` | `3` | A new flag. |" in page
    assert "### `vmaf-jax more`" in page
