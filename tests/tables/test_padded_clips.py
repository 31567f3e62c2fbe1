import dataclasses

import numpy as np

from vmaf_jax.features import FEATURES
from vmaf_jax.tables.padded_clips import pad_clips
from vmaf_jax.tables.table import FeatureTable


def table(lengths=(3, 5, 1), seed=0):
    """Clips of these lengths, whose rows come interleaved and in no order."""
    rng = np.random.default_rng(seed)
    clip = np.repeat([f"clip{k}" for k in range(len(lengths))], lengths).astype(object)
    index = np.concatenate([np.arange(n) for n in lengths]).astype(np.int32)
    n = len(clip)
    whole = FeatureTable(
        feature_set=FEATURES,
        corpus=np.full(n, "c", object),
        source=np.array([f"source{name[-1]}" for name in clip], object),
        clip=clip,
        index=index,
        features=rng.uniform(0, 1, (n, 6)),
        labels={"mos": np.array([10.0 * int(name[-1]) for name in clip])},
        experiment=np.array([f"e{int(name[-1]) % 2}" for name in clip], object),
    )
    order = rng.permutation(n)
    columns = ("corpus", "source", "clip", "index", "features", "experiment")
    moved = {name: getattr(whole, name)[order] for name in columns}
    return dataclasses.replace(whole, **moved, labels={"mos": whole.labels["mos"][order]})


def test_each_clip_has_its_frames_in_order_and_zeros_behind():
    rows = table()
    clips = pad_clips(rows)
    assert clips.features.shape == (3, 5, 6)
    for k, name in enumerate(clips.clip):
        mine = np.flatnonzero(rows.clip == name)
        expected = rows.features[mine[np.argsort(rows.index[mine])]]
        np.testing.assert_array_equal(clips.features[k, : len(expected)], expected)
        assert (clips.features[k, len(expected) :] == 0).all()
        assert clips.frames[k].sum() == len(expected) == clips.n_frames[k]
        assert clips.labels["mos"][k] == 10.0 * int(name[-1])
        assert (clips.source[k], clips.experiment[k]) == (
            f"source{name[-1]}",
            f"e{int(name[-1]) % 2}",
        )


def test_long_clips_are_strided_evenly_and_not_in_step_with_repeats():
    rows = table((601, 7))
    clips = pad_clips(rows, 64)
    longest = list(clips.n_frames).index(601)
    by_frame = {tuple(row): int(k) for row, k in zip(rows.features, rows.index, strict=True)}
    frames = np.array([by_frame[tuple(row)] for row in clips.features[longest]])
    assert len(frames) == 64
    assert frames[0] == 0
    assert set(np.diff(frames)) == {9, 10}
    for period in (2, 4, 5):  # 30, 15 and 12 frames/s shown at 60
        assert set(frames % period) == set(range(period))


def test_clip_means_are_clips_of_one_frame():
    clips = pad_clips(table().mean_pool())
    assert clips.features.shape == (3, 1, 6)
    assert (clips.frames == 1).all()
    assert sorted(clips.n_frames) == [1, 3, 5]
