"""The example of docs/gaming.md, small: what it shows must hold."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path("docs/examples/game_vmaf.py")


@pytest.mark.slow
def test_vmaf_is_gamed_and_neg_less_so(tmp_path):
    spec = importlib.util.spec_from_file_location("game_vmaf", SCRIPT)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    scores = example.main(["--out", str(tmp_path), "--size", "256", "--steps", "12"])
    assert (tmp_path / "gaming.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "gaming.json").read_text()) == scores
    start, gamed, honest = scores["blurred"], scores["climbing VMAF"], scores["climbing VMAF-NEG"]
    assert gamed["VMAF"] > start["VMAF"] + 10
    # What VMAF gained is for a part contrast, which NEG does not count.
    assert gamed["VMAF-NEG"] - start["VMAF-NEG"] < 0.6 * (gamed["VMAF"] - start["VMAF"])
    assert honest["VMAF-NEG"] > gamed["VMAF-NEG"]
    newer = scores["climbing VMAF v1"]
    assert newer["VMAF v1"] > max(start["VMAF v1"] + 3, gamed["VMAF v1"], honest["VMAF v1"])
