"""Settings of an extraction that exclude each other, and what is reported of a written table."""

import re

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.corpus import CorpusSource
from vmaf_jax.jobs.extract import ExtractSettings, extract
from vmaf_jax.tables import read_table


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "vmaf_ne"}, "--features vmaf_ne: expected one of .* Did you mean vmaf_neg?"),
        ({"backend": "onnx"}, "backend 'onnx': expected one of libvmaf, jax"),
        ({"backend": "jax", "jobs": 2}, "--jobs is for libvmaf"),
        ({"engine": "ray", "jobs": 2}, "--jobs is for one machine"),
        ({"engine": "dask"}, "--engine dask: expected one of local, ray"),
        ({"address": "auto"}, "--address is of a Ray cluster"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, message):
    with pytest.raises(InputError, match=message.replace("?", re.escape("?"))):
        ExtractSettings(**settings)


def test_contents_are_those_of_the_written_table(tmp_path):
    out = tmp_path / "table.parquet"
    summary = extract(CorpusSource("support_vectors"), out)
    table = read_table(out)
    assert (summary.rows, summary.n_clips) == (len(table), table.n_clips) == (211, 211)
    assert summary.sources == table.sources
    assert summary.labels == ["vmaf_v0.6.1"]
    assert summary.label_scale is None


def test_a_dataset_is_of_videos(tmp_path):
    with pytest.raises(InputError, match="support_vectors are no videos"):
        extract(CorpusSource("support_vectors"), tmp_path / "set")
    with pytest.raises(InputError, match="shards are measured by libvmaf; drop --backend jax"):
        extract(CorpusSource("demo"), tmp_path / "set", ExtractSettings(backend="jax"))
