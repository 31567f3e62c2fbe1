"""Data flows one way: no package imports one that stands after it."""

import ast
from pathlib import Path

import pytest

ORDER = (
    *("features", "teacher", "corpora", "models", "training", "evaluation", "export", "serving"),
    *("reporting", "selection", "benchmarks"),
)


def imported(path):
    """The packages of ours that a module imports, functions' own imports included."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            if name.startswith("vmaf_jax."):
                yield name.split(".")[1]


@pytest.mark.parametrize("package", ORDER)
def test_nothing_imports_upward(package):
    above = set(ORDER[ORDER.index(package) + 1 :])
    found = {
        (str(path), name)
        for path in Path("vmaf_jax", package).rglob("*.py")
        for name in imported(path)
        if name in above
    }
    assert found == set()


def test_every_package_has_its_place():
    packages = {path.parent.name for path in Path("vmaf_jax").glob("*/__init__.py")}
    assert packages == set(ORDER)
