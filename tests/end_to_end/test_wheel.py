"""What `pip install` gives, outside a checkout: its files, and shipped models that score; sdist."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import vmaf_jax
from tests.support import ROOT

SCORE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import vmaf_jax
from vmaf_jax.jobs.doctor import verify_registry
from vmaf_jax.runs.config import load_config
from vmaf_jax.runs.locate import checkpoints
rows = [[0.95, 0.5, 0.8, 0.85, 0.9, 4.0]]
scores = {name: float(vmaf_jax.load_model(name)(rows)[0]) for name in ("tiny", "nano", "rbf")}
scores["teacher"] = float(vmaf_jax.load_teacher("vmaf_v0.6.1")(rows)[0])
assert vmaf_jax.__file__.startswith(sys.argv[1]), vmaf_jax.__file__
verify_registry(checkpoints() / "registry.json")
assert load_config(Path("opinions")).student.network == "attention"
print(json.dumps(scores))
"""
MOST_MIB, MOST_PACKAGES = 715, 42  # half of what it was with everything in one
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def list_files():
    """Paths that git tracks, and new ones; building in place would leave files behind."""
    line = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(line, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [name for name in names.strip("\0").split("\0") if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the files, outside git."""
    source = tmp_path_factory.mktemp("wheel") / "source"
    for name in list_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    return source


@pytest.fixture(scope="module")
def built(source):
    """The wheel, and what building it wrote."""
    folder = source.parent
    # Verbose, or pip shows no warning of setuptools, which also warns where no bytecode is written.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    line = [*PIP, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--verbose"]
    line += ["--wheel-dir", folder, source]
    result = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel, result.stdout + result.stderr


def test_building_warns_of_nothing(built):
    _, said = built
    assert "running bdist_wheel" in said
    warnings = [line for line in said.splitlines() if "warn" in line.lower()]
    assert [line for line in warnings if "no previously-included files" not in line] == []


def test_the_wheel_holds_the_package_and_its_data_alone(built):
    wheel, _ = built
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = list_files()
    carried = {name for name in tracked if name.startswith("vmaf_jax/")} | {
        f"vmaf_jax/{name}"
        for name in tracked
        if name.startswith(("checkpoints/", "configs/start/"))
        or re.fullmatch(r"(configs|docs)/[^/]+\.(yaml|md)", name)
    }
    assert names == carried
    assert wheel.stat().st_size < 2_000_000  # 1.5 MB at the end of 2026


def test_the_sdist_holds_what_builds_tests_and_documents(source):
    program = "from setuptools import build_meta; print(build_meta.build_sdist('..'))"
    line = [sys.executable, "-c", program]
    result = subprocess.run(line, cwd=source, capture_output=True, text=True, check=True)
    sdist = source.parent / result.stdout.splitlines()[-1]
    with tarfile.open(sdist) as archive:
        paths = [Path(member.name) for member in archive.getmembers() if member.isfile()]
    names = {path.relative_to(path.parts[0]).as_posix() for path in paths}
    made = {name for name in names if name == "PKG-INFO" or name.startswith("vmaf_jax.egg-info/")}
    assert names - made - {"setup.cfg"} == {name for name in list_files() if name[0] != "."}
    assert sdist.stat().st_size < 3_000_000


def test_files_of_a_release_name_one_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version == vmaf_jax.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_shipped_models_score_outside_a_checkout(built, tmp_path):
    wheel, _ = built
    site = tmp_path / "site"
    line = [*PIP, "--quiet", "install", "--no-index", "--no-deps", "--target", site, wheel]
    subprocess.run(line, check=True)
    line = [sys.executable, "-c", SCORE, str(site)]
    result = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    scores = json.loads(result.stdout)
    for name in ("tiny", "nano", "rbf"):
        assert abs(scores[name] - scores["teacher"]) < 0.2, scores


@pytest.mark.slow
def test_a_bare_install_is_small_and_scores(built, tmp_path, encodes):
    wheel, _ = built
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    line = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    subprocess.run([*line, "--constraint", ROOT / "constraints.txt", wheel], check=True)
    files = [
        path for path in python.parents[1].rglob("*") if path.is_file() and not path.is_symlink()
    ]
    assert sum(path.stat().st_size for path in files) / 2**20 <= MOST_MIB
    assert len(list(python.parents[1].rglob("*.dist-info"))) <= MOST_PACKAGES
    for model in ("tiny", "auto"):
        line = [python, "-m", "vmaf_jax", "score", encodes / "ref.y4m", encodes / "dis.mp4"]
        line += ["--model", model, "--json"]
        result = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert 0 < json.loads(result.stdout)["score"] < 100
    line = [python, "-m", "vmaf_jax", "train", "--config", "nano"]
    result = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == (
        "vmaf-jax: this needs the extra train (jax is not installed): "
        "pip install '.[train]' in a clone of vmaf-jax.\n"
    )
