"""The commands of docs/reports.md, run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest

from tests.reporting.support import shipped
from tests.support import run_command

LINES = re.findall(r"^    vmaf-jax (.*)$", Path("docs/reports.md").read_text(), re.M)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    shipped(tmp_path / "runs" / "tiny")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_it_runs_and_makes_the_file_it_names(line, folder):
    words = shlex.split(line, comments=True)
    result = run_command(*words)
    assert result.code == 0, result.stderr
    named = re.findall(r"([\w/]+\.(?:html|png))", line)
    assert named
    for name in named:
        assert (folder / name).is_file(), name


def test_there_are_commands():
    assert len(LINES) >= 4
