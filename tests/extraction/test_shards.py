"""A clip's shard: measured anew where anything differs that its rows follow from."""

import dataclasses

import numpy as np
import pytest

from vmaf_jax.extraction.request import Request
from vmaf_jax.extraction.shards import ShardSettings, locate_shard, write_shard
from vmaf_jax.tables import read_table
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Clip, Video


@pytest.fixture
def clip(encodes):
    pair = Video(encodes / "ref.y4m"), Video(encodes / "dis.mp4")
    return Clip("c", "s", "d", *pair, mos=50.0, mos_ci95=4.0, experiment="e")


@pytest.fixture
def settings(tmp_path):
    request = Request(("vmaf_v0.6.1",), cache=tmp_path / "cache", threads=1)
    return ShardSettings(request, tmp_path / "set")


def test_a_corrected_opinion_score_gives_another_shard(clip, settings):
    first = write_shard(clip, settings)
    corrected = dataclasses.replace(clip, mos=62.5)
    assert not locate_shard(corrected, settings).exists()
    again = write_shard(corrected, settings)
    assert read_table(again.path).label("mos").tolist() == [62.5] * 12
    assert read_table(first.path).label("mos").tolist() == [50.0] * 12


@pytest.mark.parametrize(
    "change",
    [
        *({"source": "t"}, {"name": "other"}, {"corpus": "d"}, {"mos_ci95": 5.0}),
        *({"experiment": "f"}, {"mos": None, "mos_ci95": None}, {"label_scale": (1.0, 5.0)}),
    ],
    ids=str,
)
def test_whatever_a_listing_says_of_a_clip_is_in_its_shard(clip, settings, change):
    write_shard(clip, settings)
    assert locate_shard(clip, settings).exists()
    assert not locate_shard(dataclasses.replace(clip, **change), settings).exists()


@pytest.mark.parametrize(
    "change",
    [
        *({"teachers": ("vmaf_v0.6.1neg",)}, {"extra_metrics": ("psnr",)}),
        *({"comparison": Comparison(frames=8)}, {"comparison": Comparison(shortest=True)}),
    ],
    ids=str,
)
def test_whatever_is_measured_is_in_a_shards_name(clip, settings, change):
    write_shard(clip, settings)
    other = dataclasses.replace(settings, request=dataclasses.replace(settings.request, **change))
    assert not locate_shard(clip, other).exists()
    assert not locate_shard(clip, dataclasses.replace(settings, mean_pool=True)).exists()


def test_a_file_of_other_content_is_measured_anew(clip, settings, encodes, tmp_path):
    """Under the same name and of the same size."""
    copy = tmp_path / "ref.y4m"
    content = bytearray((encodes / "ref.y4m").read_bytes())
    copy.write_bytes(content)
    own = dataclasses.replace(clip, reference=Video(copy))
    first = read_table(write_shard(own, settings).path)
    content[-100_000:-90_000] = bytes(10_000)  # luma of the last frame
    copy.write_bytes(content)
    again = read_table(write_shard(own, settings).path)
    assert (first.features[-1] != again.features[-1]).any()
    np.testing.assert_array_equal(first.features[:9], again.features[:9])


def test_another_ffmpeg_measures_a_shard_anew(clip, settings, monkeypatch):
    """Its decoders and its libvmaf may differ."""
    write_shard(clip, settings)
    other = dataclasses.replace(find_ffmpeg(), version="another")
    monkeypatch.setattr("vmaf_jax.extraction.shards.find_ffmpeg", lambda: other)
    assert not locate_shard(clip, settings).exists()
