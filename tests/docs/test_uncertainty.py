"""The tables of uncertainty.md are what their commands print of the shipped predictions."""

from pathlib import Path

import pytest

from docs.experiments.coverage import HEADER, rows_of_run
from docs.experiments.coverage_sources import MODELS, of_the_demo, simulations
from vmaf_jax.reporting.page import markdown_table

PAGE = Path("docs/uncertainty.md")


def lines():
    return PAGE.read_text().splitlines()


@pytest.mark.parametrize("name", ["tiny", "nano", "rbf", "rbf_4k"])
def test_coverage_and_width(name):
    rows = rows_of_run(Path("checkpoints") / name)
    header, _, *printed = markdown_table(HEADER, rows)
    assert header in lines()
    opens = f"| {name}, "
    assert set(printed[:3]) <= {line for line in lines() if line.startswith(opens)} <= set(printed)


def test_the_simulation_of_few_sources():
    printed = markdown_table(["", ""], simulations())[2:]
    assert [line for line in lines() if line in printed] == printed


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"nano"}))
def test_the_quantile_on_the_demo(name):
    assert set(markdown_table(["", ""], of_the_demo(name))[2:]) <= set(lines())
