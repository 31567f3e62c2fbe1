"""Logs into a folder of shards: the rows of one table, and never more than a shard at a time."""

import weakref

import numpy as np
import pytest

from tests.corpora.test_logs import write as write_log
from tests.jobs.test_import_features import write_csv
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.import_features import ImportSettings, ImportSource, import_features
from vmaf_jax.tables import FeatureTable, read_table
from vmaf_jax.tables.dataset import shards_of

N_LOGS = 300


@pytest.fixture
def logs(tmp_path):
    rng = np.random.default_rng(0)
    write_log(tmp_path / "log.json")  # three frames; one log stands for many clips
    mos = rng.uniform(1, 5, N_LOGS).round(3)
    rows = [
        {"log": "log.json", "clip": f"c{k}", "source": f"s{k % 7}", "mos": mos[k]}
        for k in range(N_LOGS)
    ]
    return write_csv(tmp_path / "logs.csv", rows)


def test_a_folder_holds_what_the_file_would(logs, tmp_path):
    flags = ("--logs", logs, "--label-scale", 1, 5, "--teacher", "vmaf_v0.6.1")
    runs = [run_command("import", *flags, "--out", tmp_path / o) for o in ("set", "one.parquet")]
    assert [run.code for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout.split(": ")[1] == runs[1].stdout.split(": ")[1]
    ours, single = read_table(tmp_path / "set"), read_table(tmp_path / "one.parquet")
    np.testing.assert_array_equal(ours.features, single.features)
    for name in ("mos", "vmaf_v0.6.1"):
        np.testing.assert_array_equal(ours.label(name), single.label(name))
    assert ours.clip.tolist() == single.clip.tolist()
    assert ours.provenance == single.provenance


def test_no_more_than_a_shard_is_held(logs, tmp_path, monkeypatch):
    """Tables that are written are let go before the next is put together."""
    live: list[weakref.ref] = []
    held = []
    write = FeatureTable.write

    def counted(table, path):
        held.append(sum(ref() is not None for ref in live))
        live.append(weakref.ref(table))
        write(table, path)

    monkeypatch.setattr(FeatureTable, "write", counted)
    settings = ImportSettings(label_scale=(1.0, 5.0), shard_rows=20)
    contents = import_features(ImportSource(logs=logs), tmp_path / "set", settings)
    shards = shards_of(tmp_path / "set")
    assert (contents.rows, contents.n_clips, len(contents.sources)) == (3 * N_LOGS, N_LOGS, 7)
    assert {len(read_table(shard)) for shard in shards} == {21, 18}
    assert len(shards) == len(held) == 43
    assert max(held) <= 1


def test_another_import_replaces_the_shards(logs, tmp_path):
    for rows in (20, 500):
        settings = ImportSettings(label_scale=(1.0, 5.0), shard_rows=rows)
        import_features(ImportSource(logs=logs), tmp_path / "set", settings)
    assert len(shards_of(tmp_path / "set")) == 2


def test_what_cannot_be_is_told_and_the_dataset_says_so(logs, tmp_path):
    (tmp_path / "bad.json").write_text("{}")
    text = logs.read_text().splitlines()
    text[-1] = text[-1].replace("log.json", "bad.json")
    logs.write_text("\n".join(text))
    source = ImportSource(logs=logs)
    settings = ImportSettings(label_scale=(1.0, 5.0), shard_rows=100)
    with pytest.raises(InputError, match=r"bad\.json"):
        import_features(source, tmp_path / "set", settings)
    with pytest.raises(InputError, match="not complete"):
        read_table(tmp_path / "set")
    ended = run_command("import", "--frames", logs, "--clips", logs, "--out", tmp_path / "new")
    assert (ended.code, ended.stderr.count("\n")) == (2, 1)
    assert "a folder takes --logs" in ended.stderr
