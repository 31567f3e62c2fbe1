"""The notebook runs, cell after cell, and what its cells end in has something to show."""

import ast
import dataclasses
import html.parser
import json
import runpy
from pathlib import Path

from tests.reporting.support import MARKUP, predictions
from vmaf_jax.extraction.corpus import support_vector_table
from vmaf_jax.reporting.notebook import run_html
from vmaf_jax.tables.table import constant_text
from vmaf_jax.teacher import load_teacher

NOTEBOOK = json.loads(Path("docs/tutorial.ipynb").read_text())
CODE = ["".join(c["source"]) for c in NOTEBOOK["cells"] if c["cell_type"] == "code"]


def test_it_is_a_notebook_without_outputs():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 4)
    for cell in NOTEBOOK["cells"]:
        assert isinstance(cell["source"], list)
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def as_program(cells):
    """The cells as one program, in which the value that a cell ends in is put into `shown`."""
    program = ast.parse("shown = []")
    for cell in cells:
        *before, last = ast.parse(cell).body
        if isinstance(last, ast.Expr):
            name = ast.Attribute(ast.Name("shown", ast.Load()), "append", ast.Load())
            last = ast.Expr(ast.Call(name, [last.value], []))
        program.body += [*before, last]
    return ast.unparse(ast.fix_missing_locations(program))


class Page(html.parser.HTMLParser):
    """Tags that a piece of HTML opens and closes."""

    def __init__(self):
        super().__init__()
        self.opened, self.closed = [], []

    def handle_starttag(self, tag, attributes):
        self.opened.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        self.closed.append(tag)


def test_it_runs(story, tmp_path, monkeypatch):
    program = tmp_path / "notebook.py"
    program.write_text(as_program(CODE))
    monkeypatch.chdir(story)
    shown = runpy.run_path(str(program))["shown"]
    assert len(shown) >= 7
    drawn = [value for value in shown if hasattr(value, "_repr_html_")]
    assert {type(v).__name__ for v in drawn} == {"Scores", "FeatureTable", "Ranking", "RunView"}
    for value in drawn:
        page = Page()
        page.feed(value._repr_html_())
        assert "table" in page.opened
        assert ("svg" in page.opened) == (type(value).__name__ in ("Scores", "RunView"))
        assert sorted(page.opened) == sorted(page.closed)


def test_markup_in_names_stays_text():
    table = support_vector_table(load_teacher("vmaf_v0.6.1"))
    table = dataclasses.replace(table, clip=constant_text(MARKUP + "\u202e", len(table)))
    for page in (table._repr_html_(), run_html(MARKUP, predictions(60, name=MARKUP))):
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert "\u202e" not in page
