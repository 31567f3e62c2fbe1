"""Public names say what they are, and what their docstrings show comes out."""

import doctest
import inspect

import numpy as np
import pytest

import vmaf_jax

FUNCTIONS = [n for n in vmaf_jax.__all__ if inspect.isfunction(getattr(vmaf_jax, n))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_come_out(name, story, monkeypatch):
    monkeypatch.chdir(story)
    function = getattr(vmaf_jax, name)
    luma = np.random.default_rng(0).integers(0, 256, (3, 48, 64)).astype(np.uint8)
    names = {"luma": luma, name: function}
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, globs=names)
    assert test.examples
    report: list[str] = []
    doctest.DocTestRunner().run(test, out=report.append)
    assert not report, "".join(report)


def test_public_names_have_docstrings_and_help_names_them():
    words = inspect.getdoc(vmaf_jax) or ""
    for name in vmaf_jax.__all__:
        if not name.startswith("__"):
            assert inspect.getdoc(getattr(vmaf_jax, name)), name
            assert name in words


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_explained(name):
    function = getattr(vmaf_jax, name)
    words = inspect.getdoc(function) or ""
    explained = words.partition("Args:")[2].partition("Raises:")[0]
    assert [p for p in inspect.signature(function).parameters if p not in explained] == []
