"""Setting up: an old Python is told in one line, and the container's file does what it says."""

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import run_command
from vmaf_jax.errors import InputError


def old_python(folder):
    """A program that says it is Python 3.10, whatever it is asked."""
    program = folder / "python3.10"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo Python 3.10.4; exit 0; }\nexit 1\n'
    )
    program.chmod(0o755)
    return program


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize("target", ["demo", "test"])
def test_an_old_python_is_told_before_anything_is_installed(tmp_path, target):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(name, tmp_path / name)
    line = ["make", f"PYTHON={old_python(tmp_path)}", target]
    result = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    (said, *_) = result.stderr.splitlines()
    assert said.startswith("vmaf-jax needs Python 3.11 or newer")
    assert "Python 3.10.4" in said
    assert f"make PYTHON=python3.11 {target}" in said
    assert not (tmp_path / ".venv").exists()


def test_make_asks_for_the_python_that_the_package_needs():
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    major, minor = re.fullmatch(r">=(\d+)\.(\d+)", project["requires-python"]).groups()
    assert f"({major}, {minor})" in Path("Makefile").read_text()


EXTRAS = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
MISSING = {
    "mcp serves": ("mcp", "mcp", ["mcp"]),
    "demo": ("demo", "skvideo", ["extract", "--corpus", "demo", "--out", "demo.parquet"]),
    "demo's photographs": (
        "demo",
        "skimage",
        ["extract", "--corpus", "demo", "--out", "demo.parquet"],
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_extra_is_told_with_its_command(case, tmp_path, monkeypatch):
    extra, package, words = MISSING[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path / "cache"))
    for module in [name for name in sys.modules if name.startswith("vmaf_jax.serving")]:
        monkeypatch.delitem(sys.modules, module)  # an earlier test may have loaded it with mcp
    monkeypatch.setitem(sys.modules, package, None)  # as Python has a package that is not there
    result = run_command(*words)
    assert result.code == 2
    assert f"pip install '.[{extra}]'" in result.stderr
    assert extra in EXTRAS


def test_the_bridge_to_pytorch_tells_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "vmaf_jax.torch", raising=False)
    with pytest.raises(InputError, match=r"pip install '\.\[torch\]'"):
        importlib.import_module("vmaf_jax.torch")


def test_the_first_page_names_every_extra():
    page = Path("docs/index.md").read_text()
    assert [e for e in EXTRAS if e != "dev" and f"`{e}`" not in page] == []


def test_the_container_is_not_root_and_starts_the_program():
    lines = Path("Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("root", "0")
    assert 'ENTRYPOINT ["vmaf-jax"]' in lines
    assert lines.index(f"USER {users[-1]}") < lines.index('ENTRYPOINT ["vmaf-jax"]')
    (made,) = re.findall(r"mkdir -m 1777 (\S+)", Path("Dockerfile").read_text())
    assert f"VMAF_JAX_CACHE={made} " in Path("Dockerfile").read_text()  # whoever it runs as
    project = tomllib.loads(Path("pyproject.toml").read_text())
    assert "vmaf-jax" in project["project"]["scripts"]
    copied = {line[1:] for line in Path(".dockerignore").read_text().splitlines() if line[0] == "!"}
    needed = {"vmaf_jax", "checkpoints", "configs", "pyproject.toml", "constraints.txt"}
    assert (
        needed | {project["project"]["readme"]} | set(project["project"]["license-files"]) <= copied
    )
