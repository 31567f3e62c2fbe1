"""Evaluations of one model, of two beside each other, and splits of whole sources."""

import dataclasses
import json

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.evaluate import evaluate, select_split
from vmaf_jax.scoring.model import load_model
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


def test_two_models_are_compared_on_the_same_rows(support_vectors, tmp_path):
    path = tmp_path / "table.parquet"
    support_vectors.write(path)
    result = evaluate("tiny", features=path, against="nano")
    labels = support_vectors.label("vmaf_v0.6.1")
    ours, theirs = (load_model(name)(support_vectors.features) for name in ("tiny", "nano"))
    rmse = result.against.comparison.differences["rmse"]
    assert rmse.first == pytest.approx(np.sqrt(np.mean((ours - labels) ** 2)), rel=1e-9)
    assert rmse.second == pytest.approx(np.sqrt(np.mean((theirs - labels) ** 2)), rel=1e-9)
    assert (rmse.first, rmse.second) == (result.overall.rmse, result.against.overall.rmse)
    assert rmse.difference == rmse.first - rmse.second
    assert rmse.interval.low < rmse.difference < rmse.interval.high
    assert result.against.model == "nano"
    assert evaluate("tiny", features=path).against is None


@pytest.fixture
def voted(support_vectors, tmp_path):
    """A table of opinions near a teacher's scores, voted on 1 to 5."""
    rng = np.random.default_rng(0)
    scores = np.clip(support_vectors.label("vmaf_v0.6.1"), 5, 95)
    mos = scores + rng.normal(0, 4, len(scores)).clip(-5, 5)
    table = dataclasses.replace(
        support_vectors,
        labels={"mos": mos},
        mos_ci95=np.full(len(mos), 6.0),
        provenance={**support_vectors.provenance, "label_scale": [1, 5]},
    )
    path = tmp_path / "voted.parquet"
    table.write(path)
    return path


def test_two_models_are_compared_against_opinions(voted):
    arguments = ("--model", "tiny", "--features", voted, "--label", "mos", "--against", "rbf")
    document = json.loads(run_command("evaluate", *arguments, "--json").stdout)
    comparison = document["against"]["comparison"]
    assert document["against"]["model"] == "rbf"
    assert (comparison["n_clips"], comparison["n_sources"]) == (211, 23)
    assert {"plcc", "rmse_star", "outlier_ratio", "correct"} <= comparison["differences"].keys()
    overall = [document["overall"], document["against"]["overall"]]
    figures = comparison["differences"]["plcc"]
    assert [figures["first"], figures["second"]] == [entry["plcc"] for entry in overall]
    shown = run_command("evaluate", *arguments).stdout
    assert "95 % over sources" in shown
    assert "211 clips of 23 sources" in shown


def test_a_second_model_of_other_features_is_refused(voted):
    words = ["evaluate", "--model", "tiny", "--label", "mos", "--against", "vmaf_v0.6.1neg"]
    result = run_command(*words, "--features", voted)
    assert result.code == 2
    assert "'vmaf_v0.6.1neg' takes the feature set vmaf_neg" in result.stderr
