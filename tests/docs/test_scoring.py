"""The commands of docs/scoring.md, run as they stand there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.support import run_command

LINES = [
    line
    for line in re.findall(r"^    vmaf-jax (.*)$", Path("docs/scoring.md").read_text(), re.M)
    if line.startswith("score")
]


@pytest.fixture
def folder(tmp_path, encodes, monkeypatch):
    (tmp_path / "encodes").mkdir()
    for name in ("dis.mp4", "small.mp4"):
        shutil.copy(encodes / name, tmp_path / "encodes" / name)
    shutil.copy(encodes / "ref.y4m", tmp_path / "reference.y4m")
    shutil.copy(encodes / "dis.mp4", tmp_path / "distorted.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", LINES)
def test_it_runs(line, folder):
    words = shlex.split(line, comments=True)
    result = run_command(*words)
    assert result.code == 0, result.stderr
    assert result.stdout
    if "--log" in words:
        assert Path(words[words.index("--log") + 1]).is_file()


def test_there_are_commands():
    assert len(LINES) >= 8
