"""The folder to start from: it is read by `train` and `extract`, and never replaces a file."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.support import run_command
from vmaf_jax.corpora.records import read_records
from vmaf_jax.jobs.init import CLIP_LISTS
from vmaf_jax.runs.config import load_config


@pytest.mark.parametrize(("labels", "recipe"), [("vmaf", "rbf"), ("opinions", "opinions")])
def test_the_configuration_is_a_shipped_recipe_on_own_clips(tmp_path, labels, recipe):
    folder = tmp_path / "mine"
    result = run_command("init", folder, "--for", labels, "--json")
    assert result.code == 0, result.stderr
    files = json.loads(result.stdout)["files"]
    assert files == [str(folder / "train.yaml"), str(folder / "clips.csv")]
    mine, shipped = load_config(folder / "train.yaml"), load_config(Path(recipe))
    assert (mine.student, mine.training, mine.parity) == (
        shipped.student,
        shipped.training,
        shipped.parity,
    )
    assert (mine.name, mine.data.features, mine.data.label) == (
        "mine",
        Path("features.parquet"),
        shipped.data.label,
    )
    comments = re.findall(r"#.*[a-z]", (folder / "train.yaml").read_text())
    assert len(comments) > 10


@pytest.mark.parametrize("labels", CLIP_LISTS)
def test_the_lines_it_shows_run_as_far_as_the_clips_are_there(tmp_path, monkeypatch, labels):
    monkeypatch.chdir(tmp_path)
    result = run_command("init", "my clips", "--for", labels)
    enter, extract, train = result.stdout.splitlines()[1:]
    assert enter.strip() == "cd 'my clips'"
    monkeypatch.chdir("my clips")
    result = run_command(*shlex.split(extract)[1:])
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert "clips.csv: row 1: ref/park.y4m" in result.stderr
    assert shlex.split(train)[1:] == ["train", "--config", "train.yaml"]
    (row,) = read_records(Path("clips.csv"), "manifest")
    assert isinstance(row, dict)
    assert ("mos" in row) == (labels == "opinions")


@pytest.mark.parametrize("name", ["train.yaml", "clips.csv"])
def test_it_never_replaces_a_file(tmp_path, name):
    (tmp_path / name).symlink_to("nowhere")
    result = run_command("init", tmp_path)
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert f"{name}: is there already" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_unknown_labels_are_named(tmp_path):
    result = run_command("init", tmp_path / "x", "--for", "votes")
    assert result.code == 2
    assert "--for votes: expected one of vmaf, opinions." in result.stderr
    assert not (tmp_path / "x").exists()
