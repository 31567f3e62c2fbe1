"""Splits are of whole sources, disjoint, and the same whatever the order of the rows."""

import dataclasses

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.jobs.evaluate import select_split
from vmaf_jax.tables.table import constant_text


def of_sources(table, names):
    """The table with its sources renamed, in turn, to `names`."""
    source = np.array([names[k % len(names)] for k in range(len(table))], dtype=object)
    return dataclasses.replace(table, source=source)


@pytest.mark.parametrize("count", [3, 9, 23, 40])
def test_parts_are_disjoint_and_whole(support_vectors, count):
    table = of_sources(support_vectors, [f"s{k}" for k in range(count)])
    parts = {name: select_split(table, name) for name in ("train", "val", "test")}
    sources = [source for part in parts.values() for source in part.sources]
    assert sorted(sources) == table.sources
    assert sum(map(len, parts.values())) == len(table)
    assert len(parts["test"].sources) == len(parts["val"].sources) == max(1, count // 10)
    for part in parts.values():
        rows = np.isin(table.source.tolist(), part.sources)
        np.testing.assert_array_equal(part.features, table.features[rows])
        np.testing.assert_array_equal(part.label("vmaf_v0.6.1"), table.label("vmaf_v0.6.1")[rows])


def test_what_people_said_goes_with_its_rows(support_vectors):
    n = len(support_vectors)
    table = dataclasses.replace(
        support_vectors, mos_ci95=np.arange(n, dtype=float), experiment=constant_text("e", n)
    )
    part = select_split(table, table.sources[0])
    assert part.sources == table.sources[:1]
    np.testing.assert_array_equal(part.mos_ci95, np.flatnonzero(table.source == table.sources[0]))
    assert len(part.experiment) == len(part)


def test_what_cannot_be_split_is_refused(support_vectors):
    assert select_split(support_vectors, "all") is support_vectors
    with pytest.raises(InputError, match="expected all, train, val, test or a source"):
        select_split(support_vectors, "none")
    with pytest.raises(InputError, match="need at least 3"):
        select_split(of_sources(support_vectors, ["a", "b"]), "test")
