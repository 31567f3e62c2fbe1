import dataclasses

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.errors import InputError
from vmaf_jax.features import FEATURES
from vmaf_jax.tables import FeatureTable, concatenate, read_table
from vmaf_jax.tables.table import (
    combine,
    encode,
    encode_sorted,
    first_rows,
    from_hundred,
    pad_clips,
    to_hundred,
    width_to_hundred,
)

NAMES = st.lists(st.text("aéb\u4e00 ", max_size=3), max_size=40)
NUMBERS = st.integers(-3, 2**31 - 1)


def make_table(clips=(("a", "a1", 3), ("a", "a2", 2), ("b", "b1", 4)), seed=0):
    rng = np.random.default_rng(seed)
    source = np.array([s for s, _, k in clips for _ in range(k)], dtype=object)
    clip = np.array([c for _, c, k in clips for _ in range(k)], dtype=object)
    n = len(source)
    return FeatureTable(
        feature_set=FEATURES,
        corpus=np.array(["test"] * n, dtype=object),
        source=source,
        clip=clip,
        index=np.concatenate([np.arange(k) for *_, k in clips]).astype(np.int32),
        features=rng.uniform(0, 1, (n, 6)),
        labels={"vmaf_v0.6.1": rng.uniform(0, 100, n)},
        provenance={"backend": "libvmaf", "backend_version": "x", "inputs": {"a": "00"}},
    )


def test_written_table_reads_back_the_same(tmp_path):
    table = make_table()
    for original in (table, table.mean_pool()):
        original.write(tmp_path / "t.parquet")
        back = read_table(tmp_path / "t.parquet")
        assert back.pooled == original.pooled
        assert back.provenance == original.provenance
        np.testing.assert_array_equal(back.features, original.features)
        np.testing.assert_array_equal(back.source, original.source)
        np.testing.assert_array_equal(back.index, original.index)
    first = (tmp_path / "t.parquet").read_bytes()
    table.mean_pool().write(tmp_path / "u.parquet")
    assert (tmp_path / "u.parquet").read_bytes() == first


def test_columns_follow_the_contract(tmp_path):
    make_table().write(tmp_path / "t.parquet")
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert schema.names == ["corpus", "source", "clip", "frame", *FEATURES, "vmaf_v0.6.1"]
    assert schema.field("frame").type == pa.int32()
    assert schema.field("motion2").type == pa.float64()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 99))
def test_mean_pool_is_the_mean_of_each_clip(lengths, seed):
    table = make_table([("s", f"c{k}", n) for k, n in enumerate(lengths)], seed)
    pooled = table.mean_pool()
    assert pooled.index.tolist() == lengths
    for k in range(len(lengths)):
        rows = table.clip == f"c{k}"
        np.testing.assert_allclose(pooled.features[k], table.features[rows].mean(axis=0))


def test_joined_tables_keep_order_and_digests():
    joined = concatenate([make_table(), make_table(seed=1)])
    assert len(joined) == 18
    assert joined.provenance["inputs"] == {"a": "00"}
    with pytest.raises(InputError, match="nothing to put into a table"):
        concatenate([])
    with pytest.raises(InputError, match="different feature sets or pooling"):
        concatenate([make_table(), make_table().mean_pool()])


def _written(tmp_path, change):
    path = tmp_path / "t.parquet"
    make_table().write(path)
    pq.write_table(change(pq.read_table(path)), path)
    return path


def _with_value(table, column, row, value):
    values = table.column(column).to_pylist()
    values[row] = value
    at = table.column_names.index(column)
    return table.set_column(at, column, pa.array(values, table.schema.field(column).type))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns(["motion2"]), "column 'motion2' is missing"),
        (lambda t: t.drop_columns(["vmaf_v0.6.1"]), "column 'vmaf_v0.6.1' is missing"),
        (lambda t: _with_value(t, "adm2", 4, float("nan")), "'adm2', row 4 is nan.*docs/traps"),
        (lambda t: _with_value(t, "adm2", 2, float("inf")), "'adm2', row 2 is inf"),
        (lambda t: _with_value(t, "motion2", 7, None), "'motion2', row 7 is nan"),
        (lambda t: _with_value(t, "source", 1, None), "'source', row 1 is empty"),
        (lambda t: t.replace_schema_metadata({}), "not a vmaf-jax feature table"),
        (
            lambda t: t.replace_schema_metadata({"vmaf_jax": '{"schema_version": 9}'}),
            "not a vmaf-jax feature table",
        ),
        (lambda t: t.slice(0, 0), "holds no rows"),
        (
            lambda t: t.set_column(3, "frame", pa.array([2**53 + 1] * 9)),
            "column 'frame'",
        ),
        (
            lambda t: t.set_column(4, "adm2", pa.array(["x"] * 9)),
            "column 'adm2' holds string, expected numbers",
        ),
    ],
)
def test_bad_tables_name_file_column_and_row(tmp_path, change, message):
    path = _written(tmp_path, change)
    with pytest.raises(InputError, match=message) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_damaged_and_missing_files(tmp_path):
    with pytest.raises(InputError, match="no such feature table"):
        read_table(tmp_path / "none.parquet")
    path = tmp_path / "t.parquet"
    make_table().write(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_table(path)
    make_table().write(path)
    path.write_bytes(path.read_bytes().replace(b"motion2", b"m\xbation2"))  # no UTF-8
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_table(path)


def test_unknown_label_lists_the_known():
    with pytest.raises(
        InputError, match=r"'mos' is not in this table \(it has: vmaf_v0.6.1\); take "
    ):
        make_table().label("mos")


def test_read_only_place(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(InputError, match="cannot create this folder"):
        make_table().write(blocked / "t.parquet")
    assert dataclasses.replace(make_table(), pooled=False).sources == ["a", "b"]


def opinions(table, scale=None):
    """The table as people judged it: a score a source, an interval, two experiments."""
    mos = np.where(table.source == "a", 61.1, 20.0)
    provenance = dict(table.provenance) | ({} if scale is None else {"label_scale": scale})
    return dataclasses.replace(
        table,
        labels=dict(table.labels) | {"mos": mos},
        mos_ci95=mos / 10,
        experiment=np.where(table.source == "a", "1", "2").astype(object),
        distance=np.where(table.source == "a", 1.6, 3.2),
        provenance=provenance,
    )


def test_opinions_go_with_their_clips(tmp_path):
    table = opinions(make_table(), [1, 5])
    table.write(tmp_path / "t.parquet")
    for back in (read_table(tmp_path / "t.parquet"), concatenate([table, table])):
        assert back.label_scale == (1.0, 5.0)
        np.testing.assert_array_equal(back.mos_ci95[:9], table.mos_ci95)
        np.testing.assert_array_equal(back.experiment[:9], table.experiment)
        np.testing.assert_array_equal(back.distance[:9], table.distance)
    pooled = table.mean_pool()
    # The very values: a mean of equal numbers need not be that number.
    assert pooled.label("mos").tolist() == [61.1, 61.1, 20.0]
    assert pooled.mos_ci95.tolist() == [6.11, 6.11, 2.0]
    assert pooled.experiment.tolist() == ["1", "1", "2"]
    assert pooled.distance.tolist() == [1.6, 1.6, 3.2]
    assert make_table().label_scale == (0.0, 100.0)
    mixed = concatenate([table, make_table(seed=1)])
    assert (mixed.mos_ci95, mixed.experiment, "mos" in mixed.labels) == (None, None, False)
    assert mixed.distance is None
    with pytest.raises(InputError, match="different label scales cannot be joined"):
        concatenate([table, opinions(make_table())])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: _with_value(t, "mos", 1, 61.2), r"'mos', row 1 is 61.2, .*\(a1\) say 61.1"),
        (lambda t: _with_value(t, "mos", 1, 100.5), "'mos', row 1 is 100.5, expected 0 to 100"),
        (lambda t: _with_value(t, "mos_ci95", 8, 9.0), "'mos_ci95', row 8 is 9.0"),
        (lambda t: _with_value(t, "mos_ci95", 2, -0.1), "'mos_ci95', row 2 is -0.1, expected 0"),
        (lambda t: _with_value(t, "mos_ci95", 2, None), "'mos_ci95', row 2 is nan"),
        (lambda t: _with_value(t, "mos_ci95", 2, float("inf")), "'mos_ci95', row 2 is inf"),
        (lambda t: _with_value(t, "distance", 4, 3.0), "'distance', row 4 is 3.0, .* say 1.6"),
        (lambda t: _with_value(t, "distance", 4, 0.0), "'distance', row 4 is 0.0, expected 0.001"),
        (lambda t: _with_value(t, "experiment", 4, "3"), r"'experiment', row 4 is 3, .* say 1"),
        (lambda t: _with_value(t, "experiment", 4, None), "'experiment', row 4 is empty"),
    ],
)
def test_opinions_that_cannot_be_are_refused(tmp_path, change, message):
    path = tmp_path / "t.parquet"
    opinions(make_table()).write(path)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(InputError, match=message):
        read_table(path)


@pytest.mark.parametrize("scale", [[5, 1], [1], "15", [0, float("nan")], [True, 5], None])
def test_a_label_scale_is_two_increasing_numbers(tmp_path, scale):
    path = tmp_path / "t.parquet"
    dataclasses.replace(make_table(), provenance={"label_scale": scale}).write(path)
    with pytest.raises(InputError, match=r"label scale .*: expected two numbers"):
        read_table(path)


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
    for k, name in enumerate(clips.means.clip):
        mine = np.flatnonzero(rows.clip == name)
        expected = rows.features[mine[np.argsort(rows.index[mine])]]
        np.testing.assert_array_equal(clips.features[k, : len(expected)], expected)
        assert (clips.features[k, len(expected) :] == 0).all()
        assert clips.frames[k].sum() == len(expected) == clips.means.index[k]
        assert clips.means.labels["mos"][k] == 10.0 * int(name[-1])
        assert (clips.means.source[k], clips.means.experiment[k]) == (
            f"source{name[-1]}",
            f"e{int(name[-1]) % 2}",
        )


def test_long_clips_are_strided_evenly_and_not_in_step_with_repeats():
    rows = table((601, 7))
    clips = pad_clips(rows, 64)
    longest = list(clips.means.index).index(601)
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
    assert sorted(clips.means.index) == [1, 3, 5]


def column(names):
    return np.array([*names, None], object)[:-1]


@hypothesis.given(NAMES)
def test_every_name_has_a_number(names):
    texts, codes = encode(column(names))
    assert texts == list(dict.fromkeys(names))
    assert [texts[k] for k in codes] == names
    texts, codes = encode_sorted(column(names))
    assert texts == sorted(set(names))
    assert [texts[k] for k in codes] == names


def test_names_keep_their_numbers_from_block_to_block():
    names = column([f"n{k % 7}" for k in range(150_000)])[np.r_[140_000:150_000, :140_000]]
    texts, codes = encode(names)
    assert len(texts) == 7
    assert np.array(texts, object)[codes].tolist() == names.tolist()


@hypothesis.given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=40))
def test_combinations_are_numbered_as_they_appear(rows):
    names, group = combine(*np.array(rows, np.int64).T)
    assert names == list(dict.fromkeys(rows))
    assert [names[k] for k in group] == rows
    assert [rows[k] for k in first_rows(group)] == names
    assert first_rows(group).tolist() == [rows.index(row) for row in names]


@pytest.mark.parametrize("codes", [np.zeros(0, np.int64), np.zeros(0, np.int32)])
def test_no_rows_are_no_groups(codes):
    names, group = combine(codes, codes)
    assert names == first_rows(group).tolist() == group.tolist() == []


def test_five_points_become_a_hundred():
    votes = np.array([1.0, 2.0, 3.0, 5.0])
    assert to_hundred(votes, (1.0, 5.0)).tolist() == [0.0, 25.0, 50.0, 100.0]
    assert width_to_hundred(np.array([0.2]), (1.0, 5.0)).tolist() == [5.0]


@given(st.floats(-10, 10), st.floats(0.5, 200), st.floats(0, 1))
def test_a_scale_maps_there_and_back(low, width, place):
    scale = (low, low + width)
    vote = np.array([low + place * width])
    np.testing.assert_allclose(from_hundred(to_hundred(vote, scale), scale), vote, atol=1e-9)
