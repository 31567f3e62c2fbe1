"""What `pip install` gives, outside a checkout: the shipped models score."""

import json
import subprocess
import sys

import pytest

from tests.support import ROOT

SCORE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import vmaf_jax
from vmaf_jax.export.registry import verify_registry
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = folder / "source"
    # A copy of what git tracks and what is new: building in place would leave files behind.
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
    for name in names.decode().strip("\0").split("\0"):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    subprocess.run(wheel, check=True)
    (built,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", built], check=True)
    return folder / "site"


def test_shipped_models_score_outside_a_checkout(installed, tmp_path):
    line = [sys.executable, "-c", SCORE, str(installed)]
    result = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    scores = json.loads(result.stdout)
    for name in ("tiny", "nano", "rbf"):
        assert abs(scores[name] - scores["teacher"]) < 0.2, scores
    assert (installed / "vmaf_jax" / "checkpoints" / "rbf" / "model.libvmaf.json").is_file()
    assert (installed / "vmaf_jax" / "docs" / "mcp.md").is_file()
    assert (installed / "vmaf_jax" / "reporting" / "page.js").is_file()
