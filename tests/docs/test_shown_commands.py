"""Every command that a page shows: what it names exists, and the cheap ones run as they stand.

The commands of a page run in their order in one folder that holds what pages take for granted. What
trains, encodes a corpus or compiles for long is checked for its flags, and run by tests of its own.
"""

import dataclasses
import itertools
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.docs.markdown import code_blocks
from tests.support import ROOT, run_command
from vmaf_jax.cli import app

PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(Path("docs").rglob("*.md"))]
PROGRAMS = ("vmaf-jax", "python", "pip", "make", "pytest", "ffmpeg", "docker", "pre-commit")
FOLDERS = ("benchmarks/", "docs/", "scripts/", "tests/", "tools/")
DEAR_COMMANDS = {"train", "encode", "select", "calibrate", "bench", "compare-backends", "mcp"}
DEAR_WORDS = {
    *("--backend", "--maps", "--pix-fmt", "--address"),  # compilation; 1080p; a cluster
    *("demo", "netflix", "avt_vqdb_uhd_1"),  # a corpus that is made for long, or not ours
}
STORY = "tutorial.md"  # whose libvmaf export and ffmpeg line stand for those of other pages


@dataclasses.dataclass(frozen=True)
class Command:
    """A line of a code block: its page and its words, without comment and environment."""

    page: Path
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        return Path(self.words[0]).name

    def __str__(self) -> str:
        return f"{self.page.name}: {' '.join(self.words)}"

    @property
    def is_cheap(self) -> bool:
        if self.program != "vmaf-jax":
            return self.program == "ffmpeg" and self.page.name == STORY
        name, *rest = self.words[1:]
        if name == "export":  # ONNX is proven over many rows
            return "libvmaf" in rest and self.page.name == STORY
        return name not in DEAR_COMMANDS and not DEAR_WORDS & set(rest)


def commands(page):
    texts = [block.text.replace("\\\n", " ") for block in code_blocks(page)]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    for line in lines:
        if not re.match(rf"(\w+=\S+ )*(\S+/)?({'|'.join(PROGRAMS)})( |$)", line):
            continue
        words = shlex.split(line, comments=True)
        while "=" in words[0]:
            words.pop(0)
        yield Command(page, tuple(words))


COMMANDS = [command for page in PAGES for command in commands(page)]


def of(*programs):
    chosen = {str(c): c for c in COMMANDS if c.program in programs}
    assert chosen
    return pytest.mark.parametrize("command", chosen.values(), ids=chosen)


@of("vmaf-jax")
def test_it_exists_with_its_flags(command):
    target: Any = typer.main.get_command(app)
    rest = list(command.words[1:])
    while rest and hasattr(target, "commands"):
        target, rest = target.get_command(None, rest[0]), rest[1:]
    assert not hasattr(target, "commands"), "no such command"
    flags = {flag for parameter in target.params for flag in parameter.opts}
    rest = rest[: rest.index("--")] if "--" in rest else rest  # those after it are ffmpeg's
    assert {word.split("=")[0] for word in rest if word.startswith("--")} <= flags
    for word in rest:
        if word.startswith("configs/"):
            assert (ROOT / word).is_file()


@of("python", "pytest")
def test_scripts_modules_and_tests_are_there(command):
    words = list(command.words[1:])
    if words[0] == "-m":
        words[0:2] = [words[1].replace(".", "/") + ".py"]
    files = [word for word in words if word.startswith(FOLDERS)]
    assert files or words == ["--slow"]
    for file in files:
        assert (ROOT / file).exists(), file


@of("pip")
def test_extras_are_there(command):
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    name, _, extras = command.words[-1].rstrip("]").partition("[")
    assert (command.program, command.words[1]) == ("pip", "install")
    assert name in (".", project["name"]) or name.startswith("vmaf_jax-")
    assert set(filter(None, extras.split(","))) <= set(project["optional-dependencies"])


@of("make")
def test_targets_are_there(command):
    (target,) = (word for word in command.words[1:] if "=" not in word)
    assert re.search(rf"^{target}:", Path("Makefile").read_text(), re.M)


RUNNING = [page for page in PAGES if any(command.is_cheap for command in commands(page))]


@pytest.mark.parametrize("page", RUNNING, ids=str)
def test_the_cheap_ones_run_in_their_order(page, story, tmp_path, ffmpeg, monkeypatch):
    folder = tmp_path / "here"
    shutil.copytree(story, folder)
    lines = [command for command in commands(ROOT / page) if command.is_cheap]
    monkeypatch.chdir(folder)
    for command in dict.fromkeys(lines):
        run(command, ffmpeg)
        flags = dict(zip(command.words, command.words[1:], strict=False))
        for flag in ("--out", "--log", "--csv", "--plot", "--png"):
            assert flag not in flags or Path(flags[flag]).exists(), f"{command}: no {flags[flag]}"


def run(command, ffmpeg):
    if command.program == "ffmpeg":
        subprocess.run([ffmpeg, *command.words[1:]], check=True, capture_output=True)
        return
    words = [sorted(map(str, Path().glob(w))) if "*" in w else [w] for w in command.words[1:]]
    result = run_command(*itertools.chain(*words))
    assert result.code == 0, f"{command}: {result.stderr}"
    assert result.stdout or result.stderr


@pytest.mark.slow
def test_the_tutorial_from_end_to_end(story, tmp_path, ffmpeg, monkeypatch):
    """All of it for real, training and demo corpus included, with nothing there but a pair."""
    page = ROOT / "docs" / "tutorial.md"
    for name in ("reference.y4m", "distorted.mp4"):
        shutil.copy(story / name, tmp_path / name)
    (settings,) = (block.text for block in code_blocks(page) if block.language == "yaml")
    (tmp_path / "mine.yaml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    for command in commands(page):
        if command.program != "pip":
            run(command, ffmpeg)
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    shown = re.search(r"all held out +\d+ +[\d.]+ +[\d.]+ +([\d.]+)", page.read_text())
    metrics = json.loads((tmp_path / "runs" / "mine" / "metrics.json").read_text())
    assert metrics["loso"]["pooled"]["rmse"] == pytest.approx(float(shown[1]), rel=0.5)
