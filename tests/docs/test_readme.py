"""Every command that a document shows exists with its flags, and the cheap ones run."""

import re
import runpy
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.support import ROOT, run_command
from vmaf_jax.cli import app

DOCUMENTS = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
COMMANDS = [
    (document.name, shlex.split(line, comments=True))
    for document in DOCUMENTS
    for line in re.findall(r"^    ((?:\w+=\S+ )*vmaf-jax .*)$", document.read_text(), re.M)
]
CHEAP = {"doctor", "registry", "score", "export"}


def words(line):
    return line[line.index("vmaf-jax") + 1 :]


@pytest.mark.parametrize(
    ("document", "line"), COMMANDS, ids=lambda v: v if isinstance(v, str) else " ".join(v)
)
def test_it_exists_with_its_flags(document, line):
    command: Any = typer.main.get_command(app)
    rest = words(line)
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    assert not hasattr(command, "commands"), f"{document}: no such command in {line}"
    flags = {flag for parameter in command.params for flag in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= flags
    for word in rest:
        if word.startswith("configs/"):
            assert (ROOT / word).is_file()


@pytest.fixture
def folder(tmp_path, encodes, monkeypatch):
    shutil.copy(encodes / "ref.y4m", tmp_path / "reference.y4m")
    shutil.copy(encodes / "dis.mp4", tmp_path / "distorted.mp4")
    (tmp_path / "encodes").mkdir()
    for name in ("dis.mp4", "small.mp4"):
        shutil.copy(encodes / name, tmp_path / "encodes" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


README = [
    line
    for document, line in COMMANDS
    if document == "README.md" and words(line)[0] in CHEAP and "--quantize" not in line
]


@pytest.mark.parametrize("line", README, ids=" ".join)
def test_the_cheap_ones_run(line, folder):
    result = run_command(*words(line))
    assert result.code == 0, result.stderr


def test_the_python_of_the_readme_runs(folder):
    section = (ROOT / "README.md").read_text().split("## Use it")[1]
    block = section.split("On the command line")[0].splitlines()
    lines = [text[4:] for text in block if text.startswith("    ") and "luma" not in text]
    (folder / "example.py").write_text("\n".join(lines))
    names = runpy.run_path(str(folder / "example.py"))
    assert names["scores"].shape == names["exact"].shape == (12,)
    assert abs(names["scores"] - names["exact"]).max() < 0.3
