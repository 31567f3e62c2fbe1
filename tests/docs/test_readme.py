"""The README is short, opens with a score, and what it prints is what its commands print."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.markdown import code_blocks, prose
from tests.support import run_command

PAGE = Path("README.md")


def numbers(row):
    return [float(cell) for cell in re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", row)]


def shown_rows(begins):
    lines = [line for block in code_blocks(PAGE) for line in block.text.splitlines()]
    return [line for line in lines if line.startswith(begins)]


def test_it_is_short_and_opens_with_a_score():
    text = re.sub(r"^(\||!).*$|\]\([^)]*\)", "", prose(PAGE), flags=re.M)
    assert len(text.split()) <= 500
    lines = [line for line in PAGE.read_text().splitlines() if line.strip()]
    assert "vmaf-jax score " in " ".join(lines[1:4])


def test_its_picture_is_small():
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGE.read_text())
    (picture,) = [picture for picture in pictures if "badges/" not in picture]
    assert Path(picture).stat().st_size < 300_000


def test_the_score_that_it_shows_is_printed(cache, ffmpeg, tmp_path, monkeypatch):
    from vmaf_jax.corpora import demo

    monkeypatch.chdir(tmp_path)
    clip = next(clip for clip in demo.load_clips() if clip.source == "astronaut")
    reference = clip.reference.path
    encoded = ["-threads", "1", "-c:v", "libx264", "-crf", "36", "distorted.mp4"]
    subprocess.run([ffmpeg, "-v", "error", "-i", reference, *encoded], check=True)
    Path("reference.y4m").symlink_to(reference)
    printed = run_command("score", "reference.y4m", "distorted.mp4").stdout
    monkeypatch.undo()
    (shown,) = shown_rows("│ vmaf_v0.6.1")
    (row,) = (line for line in printed.splitlines() if line.startswith("│ vmaf_v0.6.1"))
    assert numbers(row) == pytest.approx(numbers(shown), abs=0.02)
    assert len(numbers(shown)) >= 5


@pytest.mark.slow
def test_the_training_that_it_shows_is_printed(cache, tmp_path, monkeypatch):
    (command,) = (line.split("vmaf-jax ")[1] for line in shown_rows("vmaf-jax train"))
    (shown,) = shown_rows("│ all held out")
    monkeypatch.chdir(tmp_path)
    assert run_command("extract", "--corpus", "demo", "--out", "demo.parquet").code == 0
    assert run_command(*command.split()).code == 0
    metrics = json.loads(Path("runs/mine/metrics.json").read_text())
    assert metrics["loso"]["pooled"]["rmse"] == pytest.approx(numbers(shown)[2], rel=0.5)
