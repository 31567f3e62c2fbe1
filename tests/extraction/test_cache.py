"""The names of cached results: everything that a result depends on is in them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.cache import readable_name
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.extraction.request import Request, request_key, video_key
from vmaf_jax.extraction.shards import ShardSettings, locate_shard
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.inputs import Clip, Video

RAW = {"width": 352, "height": 288, "pix_fmt": "yuv420p"}
TEACHERS = {"teachers": ("vmaf_v0.6.1",)}
# Another value of every field, and of which fields no result depends.
REQUESTS = {
    "teachers": ("vmaf_4k_v0.6.1",),
    "feature_set": FEATURE_SETS["vmaf_neg"],
    "comparison": Comparison(shortest=True),
    "extra_metrics": ("psnr",),
    "cache": Path("elsewhere"),
    "jobs": 2,
    "threads": 2,
    "on_frames": print,
    "device": "another",
}
WITHOUT_EFFECT = {"cache", "jobs", "threads", "on_frames", "device"}
COMPARISONS = {
    "shortest": True,
    "force": True,
    "scale": "pad",
    "fps": "match",
    "sync": "auto",
    "offset": 1,
    "allow_damaged": True,
    "start": "1",
    "frames": 5,
    "deinterlace": "tff",
    "stream": "1",
    "align": True,
    "film_grain": "on",
    "region": "1,2,64,64",
}
VIDEOS = {
    "path": Path("other.yuv"),
    "width": 32,
    "height": 32,
    "pix_fmt": "yuv422p",
    "fps": 12.0,
    "has_chroma": False,
    "keeps_filters": True,
    "stream": 1,
    "film_grain": False,
}


def key(request):
    return json.dumps(request_key(request, [(name, None) for name in request.teachers]))


@pytest.mark.parametrize("field", dataclasses.fields(Request), ids=lambda field: field.name)
def test_every_field_of_a_request_is_in_its_key(field):
    other = dataclasses.replace(Request(), **{field.name: REQUESTS[field.name]})
    assert (key(other) == key(Request())) == (field.name in WITHOUT_EFFECT)


@pytest.mark.parametrize("field", dataclasses.fields(Comparison), ids=lambda field: field.name)
def test_every_field_of_a_comparison_is_in_its_key(field):
    other = Comparison(**{field.name: COMPARISONS[field.name]})
    assert key(Request(comparison=other)) != key(Request())


@pytest.mark.parametrize("field", dataclasses.fields(Video), ids=lambda field: field.name)
def test_all_that_is_said_of_a_video_is_in_its_key(field):
    video = Video(Path("a.yuv"))
    other = dataclasses.replace(video, **{field.name: VIDEOS[field.name]})
    assert (video_key(other) == video_key(video)) == (field.name == "path")


def test_the_version_is_in_a_key(monkeypatch):
    """Warnings and refusals of an earlier version are not served by a later one."""
    before = key(Request())
    monkeypatch.setattr("vmaf_jax.extraction.request.__version__", "another")
    assert key(Request()) != before


@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_another_model_is_another_entry(backend, encodes, tmp_path):
    pair = encodes / "ref.y4m", encodes / "dis.mp4"
    for teacher in ("vmaf_v0.6.1", "vmaf_4k_v0.6.1"):
        extract_pair(*pair, backend=backend, teachers=(teacher,), cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_the_order_of_two_files_is_in_the_key(encodes, tmp_path):
    pair = encodes / "ref.yuv", encodes / "dis.yuv"
    forth = extract_pair(*pair, **RAW, cache=tmp_path)
    back = extract_pair(*reversed(pair), **RAW, cache=tmp_path)
    fresh = extract_pair(*reversed(pair), **RAW, cache=tmp_path / "fresh")
    np.testing.assert_array_equal(back.features, fresh.features)
    assert (back.features != forth.features).any()


def test_the_same_raw_file_at_another_rate_is_measured_anew(encodes, tmp_path):
    """A start of 0.25 s is frame 6 at 24 frames/s and frame 3 at 12."""

    def of(rate, cache, start="0.25"):
        pair = [Video(encodes / f"{name}.yuv", fps=rate, **RAW) for name in ("ref", "dis")]
        return extract_pair(*pair, start=start, frames=3, cache=cache, **TEACHERS).features

    for rate, frame in ((24.0, "6f"), (12.0, "3f")):
        right = of(None, tmp_path / "by frame", frame)
        np.testing.assert_array_equal(of(rate, tmp_path / "by time"), right)


def test_a_shard_of_another_rate_is_another_shard(encodes, tmp_path):
    def path(rate):
        videos = [Video(encodes / f"{name}.yuv", fps=rate, **RAW) for name in ("ref", "dis")]
        return locate_shard(Clip("set", "s", "c", *videos), ShardSettings(Request(), tmp_path))

    assert path(24.0) == path(24.0) != path(12.0)


def test_a_damaged_entry_is_named_or_says_the_same(encodes, tmp_path):
    pair = encodes / "ref.y4m", encodes / "dis.mp4"
    extra = {**TEACHERS, "extra_metrics": ("psnr",)}
    first = extract_pair(*pair, cache=tmp_path, **extra)
    (entry,) = tmp_path.iterdir()
    content, refused = entry.read_bytes(), 0
    damaged = [content[:k] for k in range(0, len(content), 97)]
    for k in range(0, len(content), 7):
        damaged.append(content[:k] + bytes([content[k] ^ 0x55]) + content[k + 1 :])
    for changed in damaged:
        entry.write_bytes(changed)
        try:
            table = extract_pair(*pair, cache=tmp_path, **extra)
        except InputError as error:
            assert str(error).startswith(f"{entry}: this cache entry is corrupted")  # noqa: PT017
            refused += 1
        else:  # a time stamp of the archive, say
            assert table.to_arrow().equals(first.to_arrow(), check_metadata=True)
    assert refused > 0.8 * len(damaged)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("features", np.nan), ("labels", np.inf), ("index", 5)],
        *[("features", None), ("labels", None), ("index", None)],
    ],
)
def test_an_entry_of_other_values_is_not_believed(name, value, encodes, tmp_path):
    pair = encodes / "ref.y4m", encodes / "dis.mp4"
    extract_pair(*pair, cache=tmp_path, **TEACHERS)
    (entry,) = tmp_path.iterdir()
    with np.load(entry) as stored:
        arrays = dict(stored)
    if value is None:
        arrays[name] = arrays[name].astype(str)
    else:
        arrays[name].flat[0] = value
    np.savez(entry, **arrays)
    with pytest.raises(InputError, match="this cache entry is corrupted"):
        extract_pair(*pair, cache=tmp_path, **TEACHERS)


def test_names_that_are_no_utf_8_are_escaped():
    assert readable_name(Video(Path("a/park_\udcff.mp4"))) == r"park_\udcff"
