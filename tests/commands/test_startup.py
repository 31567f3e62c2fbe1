"""Commands load no heavy library before they need it."""

import subprocess
import sys

import pytest

HEAVY = [
    *("jax", "jaxlib", "flax", "optax", "orbax", "numpy", "scipy"),
    *("pyarrow", "pandas", "matplotlib", "onnx", "onnxruntime", "pydantic", "rich"),
    "importlib.metadata",
]
PROGRAM = f"""
import sys
from vmaf_jax.cli import main
main(sys.argv[1:], leave=False)
print("LOADED", *({set(HEAVY)} & sys.modules.keys()))
"""


@pytest.mark.parametrize("words", [["--help"], ["score", "--help"], ["train", "--help"]])
def test_help_loads_no_heavy_library(words):
    command = [sys.executable, "-c", PROGRAM, *words]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Usage" in result.stdout
    assert result.stdout.splitlines()[-1] == "LOADED"
