"""Long clips in parts: the rows of the whole, whatever the parts; and which clips are not split."""

import dataclasses
from pathlib import Path

import pytest

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.parts import LongClip, Part, join_parts, look, measure_part
from vmaf_jax.extraction.ray import Cluster, own_tools, shards_by
from vmaf_jax.extraction.request import Request
from vmaf_jax.extraction.shards import Shard, Work, sound_shard, write_shard
from vmaf_jax.features.feature_set import FEATURE_SETS
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.inputs import Video

RAW = {"width": 352, "height": 288, "pix_fmt": "yuv420p"}


@pytest.fixture
def clip(encodes):
    return Clip(
        corpus="c",
        source="s",
        name="d",
        reference=Video(encodes / "ref.yuv", **RAW),
        distorted=Video(encodes / "dis.yuv", **RAW),
        mos=50.0,
    )


def work_in(folder, part_frames, most_parts=8, **request):
    how = {"teachers": ("vmaf_v0.6.1", "vmaf_v0.6.1neg"), "threads": 1} | request
    wanted = Request(cache=folder / "cache", **how)
    return Work(wanted, folder / "set", most_parts=most_parts, part_frames=part_frames)


def looked_at(clip, work):
    shard = sound_shard(clip, work)
    assert isinstance(shard, Path)
    return look(clip, work, shard)


@pytest.mark.parametrize(("part_frames", "most", "parts"), [(6, 8, 2), (4, 8, 3), (1, 20, 8)])
def test_parts_make_the_bytes_of_the_whole(clip, part_frames, most, parts, tmp_path):
    work = work_in(tmp_path, part_frames, most)
    long = looked_at(clip, work)
    assert isinstance(long, LongClip)
    assert (long.n_frames, len(long.bounds)) == (12, parts)
    assert [first for first, _ in long.bounds[1:]] == [last for _, last in long.bounds[:-1]]
    measured = [measure_part(Part(clip, *bound, 12), work.request) for bound in long.bounds]
    shard = join_parts(clip, long, measured, work)
    whole = work_in(tmp_path / "whole", part_frames)
    assert shard.path.read_bytes() == write_shard(clip, whole).path.read_bytes()
    assert (shard.rows, shard.labels[-1]) == (12, "mos")
    assert sound_shard(clip, work) == shard  # and is not measured again


@pytest.mark.parametrize(
    "change",
    [
        {"part_frames": 7},
        {"most_parts": 1},
        {"comparison": Comparison(frames=10)},
        {"comparison": Comparison(shortest=True)},
        {"extra_metrics": ("psnr",)},
        {"feature_set": FEATURE_SETS["vmaf_v1"], "teachers": ()},
        {"teachers": ("vmaf_v1.0.16_3d0h",)},
    ],
    ids=str,
)
def test_what_is_measured_whole(clip, change, tmp_path):
    change = {"part_frames": 4} | change
    assert looked_at(clip, work_in(tmp_path, **change)) is None


def test_a_small_file_is_not_looked_at(clip, encodes, tmp_path):
    small = dataclasses.replace(clip, distorted=Video(encodes / "dis.mp4"))
    assert small.distorted.path.stat().st_size < 1 << 20
    assert looked_at(small, work_in(tmp_path, 4)) is None


def test_what_a_look_finds_wrong_is_told(clip, tmp_path):
    cut = tmp_path / "cut.yuv"
    cut.write_bytes(Path(clip.distorted.path).read_bytes()[: 9 * 352 * 288 * 3 // 2])
    shorter = dataclasses.replace(clip, distorted=Video(cut, **RAW))
    with pytest.raises(InputError, match=r"cut\.yuv.*9 frames, its reference .* has 12"):
        looked_at(shorter, work_in(tmp_path, 4))


def test_a_clip_that_changed_between_its_parts_is_told(clip, tmp_path):
    work = work_in(tmp_path, 6)
    long = looked_at(clip, work)
    assert isinstance(long, LongClip)
    parts = [measure_part(Part(clip, *bound, 12), work.request) for bound in long.bounds]
    inputs = {**parts[1].provenance, "inputs": {"reference": "x", "distorted": "y"}}
    other = dataclasses.replace(parts[1], provenance=inputs)
    for wrong in ([parts[0], other], parts[:1]):
        with pytest.raises(InputError, match="changed while it was measured"):
            join_parts(clip, long, wrong, work)
    assert not isinstance(sound_shard(clip, work), Shard)


class Backwards(Cluster):
    """A cluster of one node, which runs the tasks themselves and hands back the last one first."""

    def cores(self):
        return 4

    def results(self, task, items, settings):
        return reversed([(k, task(item, settings, self.tools)) for k, item in enumerate(items)])


def test_parts_that_arrive_backwards_make_the_bytes_of_the_whole(clip, tmp_path):
    work = work_in(tmp_path, 3)
    ((_, shard),) = shards_by(Backwards(None, own_tools()))([clip], work)
    whole = write_shard(clip, work_in(tmp_path / "whole", 3))
    assert shard.path.read_bytes() == whole.path.read_bytes()
