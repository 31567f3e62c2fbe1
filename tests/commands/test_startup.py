"""Commands load no heavy library before they need it."""

import subprocess
import sys

import pytest

HEAVY = [
    *("jax", "jaxlib", "flax", "optax", "orbax", "numpy", "scipy"),
    *("pyarrow", "pandas", "matplotlib", "onnx", "onnxruntime", "pydantic", "rich"),
    *("importlib.metadata", "ssl", "asyncio", "urllib.request", "hashlib", "email"),
]
# Our own modules that a measurement needs, and a score from the cache does not.
MEASURING = [
    *("vmaf_jax.extraction.libvmaf", "vmaf_jax.video.comparison_run", "vmaf_jax.video.alignment"),
    *("vmaf_jax.evaluation.cross_validation", "vmaf_jax.export.sidecar"),
]
PROGRAM = f"""
import sys
from vmaf_jax.cli import main
sys.addaudithook(lambda event, _: print("STARTED") if event == "subprocess.Popen" else None)
main(sys.argv[1:], leave=False)
print("LOADED", *({set(HEAVY + MEASURING)} & sys.modules.keys()))
"""


@pytest.mark.parametrize("words", [["--help"], ["score", "--help"], ["train", "--help"]])
def test_help_loads_no_heavy_library(words):
    command = [sys.executable, "-c", PROGRAM, *words]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Usage" in result.stdout
    assert result.stdout.splitlines()[-1] == "LOADED"


def test_a_cached_score_loads_numpy_alone_and_starts_no_process(encodes, tmp_path, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path))
    words = ["score", encodes / "ref.y4m", encodes / "dis.mp4"]
    measured, *cached = (
        subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, words), flag],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for flag in ("--json", "--json", "--quiet")
    )
    assert "STARTED" in measured
    assert "vmaf_jax.extraction.libvmaf" in measured[-1]
    assert [lines[1:] for lines in cached] == [["LOADED numpy"]] * 2


@pytest.mark.parametrize("module", ["vmaf_jax.serving.tools", "vmaf_jax.jobs.calibrate"])
def test_a_worker_and_a_base_install_start_without_what_trains_and_shows(module):
    heavy = {"jax", "flax", "optax", "orbax", "jax2onnx", "matplotlib", "rich"}
    code = f"import sys, {module}; print(*({heavy} & sys.modules.keys()))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not result.stdout.split()
