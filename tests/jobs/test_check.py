"""`vmaf-jax check` and what `import` says: faults made on real encodes, and clean tables."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.support import run_command
from vmaf_jax.corpora import demo
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features import FEATURES
from vmaf_jax.jobs.check import FIXES, check
from vmaf_jax.tables import read_table
from vmaf_jax.tables.table import FeatureTable, concatenate, constant_text
from vmaf_jax.video.comparison import Comparison


def replaced(table, *parts):
    """The table with the clips of `parts` in place of those of the same names."""
    names = {(source, clip) for part in parts for _, source, clip in part.clip_groups()[0]}
    pairs = zip(table.source, table.clip, strict=True)
    return concatenate([table.take(np.array([pair not in names for pair in pairs])), *parts])


@pytest.fixture(scope="module")
def faulty(demo_table):
    """The demo corpus with a late clip, an early one and one of another reference; their names."""
    clips = {(clip.source, clip.name): clip for clip in demo.load_clips()}
    late = clips["retina", "x264_crf23"]
    early = clips["bigbuckbunny", "vp9_crf50"]
    swapped = dataclasses.replace(
        clips["rocket", "x265_crf28"], reference=clips["coffee", "x265_crf28"].reference
    )
    parts = [
        extract_clips([late], Request(comparison=Comparison(offset=2, force=True))),
        extract_clips([early], Request(comparison=Comparison(offset=-3, force=True))),
        extract_clips([swapped]),
    ]
    names = {(clip.source, clip.name) for clip in (late, early, swapped)}
    return replaced(demo_table, *parts), names


def test_the_demo_corpus_is_not_accused(demo_table):
    assert check(demo_table).findings == ()


def test_clips_out_of_step_and_of_another_reference_are_found(faulty):
    table, names = faulty
    checked = check(table)
    assert checked.suspects == names
    kinds = {finding.source: finding.kind for finding in checked.findings}
    assert kinds["bigbuckbunny"] == "out_of_step"
    assert kinds["rocket"] == "wrong_reference"
    assert all(finding.fix == FIXES[finding.kind] for finding in checked.findings)


def test_swapped_labels_and_another_models_are_found(demo_table):
    label = demo_table.labels["vmaf_v0.6.1"].copy()
    clips, group = demo_table.clip_groups()
    label[group == 3], label[group == 12] = label[group == 12], label[group == 3]
    checked = check(dataclasses.replace(demo_table, labels={"vmaf_v0.6.1": label}))
    assert checked.suspects == {clips[3][1:], clips[12][1:]}
    assert {finding.kind for finding in checked.findings} == {"swapped_labels"}


def test_a_table_of_clip_means_says_what_is_not_looked_at(demo_table):
    checked = check(demo_table.mean_pool())
    assert checked.findings == ()
    assert "frames alone" in checked.skipped[0]


def test_the_command_lists_findings_and_exits_as_a_linter_does(faulty, demo_table, tmp_path):
    demo_table.write(tmp_path / "clean.parquet")
    clean = run_command("check", tmp_path / "clean.parquet", "--json")
    assert (clean.code, json.loads(clean.stdout)["findings"]) == (0, [])
    table, names = faulty
    table.write(tmp_path / "faulty.parquet")
    found = run_command("check", tmp_path / "faulty.parquet")
    assert found.code == 1
    assert len(found.stdout.splitlines()) == len(names)
    assert f"suspect: {len(names)} of 72 clips" in found.stderr
    document = json.loads(run_command("check", tmp_path / "faulty.parquet", "--json").stdout)
    keys = {"clip", "source", "kind", "seen", "confidence", "fix"}
    assert all(keys <= set(finding) for finding in document["findings"])


def test_votes_on_unknown_clips_are_refused(demo_table, tmp_path):
    (tmp_path / "votes.csv").write_text("clip,subject,score\nnix,a,1\n")
    with pytest.raises(InputError, match="'nix' first"):
        check(demo_table, tmp_path / "votes.csv")


def write_votes(path, seed=0):
    """Votes of ten subjects on ten clips; the fourth subject reads the scale upside down."""
    rng = np.random.default_rng(seed)
    truth = np.linspace(1, 5, 10)
    votes = np.clip(np.rint(truth[:, None] + rng.normal(0, 0.5, (10, 10))), 1, 5)
    votes[:, 3] = 6 - votes[:, 3]
    rows = [f"c{k},s{i},{votes[k, i]:g}" for k in range(10) for i in range(10)]
    path.write_text("\n".join(["clip,subject,score", *rows]) + "\n")
    return votes


def test_import_says_what_it_finds_and_leaves_it_out_where_asked(faulty, tmp_path):
    table, names = faulty
    arrow = table.to_arrow().select(["clip", "frame", *table.feature_set])
    unique = [f"{s}/{c}" for s, c in zip(table.source, table.clip, strict=True)]
    arrow = arrow.set_column(0, "clip", pyarrow.array(unique))
    pq.write_table(arrow, tmp_path / "frames.parquet")
    rows = "".join(f"{s}/{c},{s}\n" for _, s, c in table.clip_groups()[0])
    (tmp_path / "clips.csv").write_text(f"clip,source\n{rows}")
    files = ("--frames", tmp_path / "frames.parquet", "--clips", tmp_path / "clips.csv")
    said = run_command("import", *files, "--out", tmp_path / "all.parquet")
    assert (said.code, read_table(tmp_path / "all.parquet").n_clips) == (0, 72)
    assert "--exclude-suspects" in said.stderr
    left = run_command("import", *files, "--exclude-suspects", "--out", tmp_path / "some.parquet")
    kept = read_table(tmp_path / "some.parquet")
    assert (left.code, kept.n_clips) == (0, 72 - len(names))
    excluded = {(row["source"], row["clip"]) for row in kept.provenance["excluded"]}
    assert excluded == {(source, f"{source}/{clip}") for source, clip in names}


def test_a_subject_who_votes_upside_down_is_left_out_of_the_scores(tmp_path):
    votes = write_votes(tmp_path / "votes.csv")
    rng = np.random.default_rng(1)
    lines = [
        f"c{k},{n},{','.join(f'{v:.4f}' for v in rng.uniform(0.2, 0.9, 6))}"
        for k in range(10)
        for n in range(3)
    ]
    head = "clip,frame,adm2,vif_scale0,vif_scale1,vif_scale2,vif_scale3,motion2"
    (tmp_path / "frames.csv").write_text("\n".join([head, *lines]) + "\n")
    (tmp_path / "clips.csv").write_text("clip,source\n" + "".join(f"c{k},a\n" for k in range(10)))
    files = ("--frames", tmp_path / "frames.csv", "--clips", tmp_path / "clips.csv")
    ratings = ("--ratings", tmp_path / "votes.csv", "--label-scale", 1, 5)
    out = tmp_path / "t.parquet"
    said = run_command("import", *files, *ratings, "--exclude-suspects", "--out", out)
    assert (said.code, "subject s3: unreliable subject" in said.stderr) == (0, True)
    table = read_table(out)
    assert {"s3"} == {row["subject"] for row in table.provenance["excluded"]} - {None}
    mean = np.delete(votes, 3, axis=1).mean(1)
    recovered = table.mean_pool().labels["mos"] / 25 + 1
    assert np.abs(recovered - mean).max() < 0.3
    assert run_command("check", out, "--ratings", tmp_path / "votes.csv").code == 1


def test_of_the_public_tests_whole_titles_out_of_step_are_named_and_few_others():
    folder = Path("../shared/opinions")
    if not (folder / "frames.parquet").is_file():
        pytest.skip(f"no opinions of real clips at {folder}")
    frames = pq.read_table(folder / "frames.parquet")
    rows = {row["clip"]: row for row in pyarrow.csv.read_csv(folder / "clips.csv").to_pylist()}
    clip = frames["clip"].to_numpy()
    table = FeatureTable(
        feature_set=FEATURES,
        corpus=constant_text("public", len(clip)),
        source=np.array([rows[name]["source"] for name in clip], object),
        clip=clip,
        index=frames["frame"].to_numpy(),
        features=np.stack([frames[name].to_numpy() for name in FEATURES], axis=1),
        labels={"mos": np.array([25 * (rows[name]["mos"] - 1) for name in clip])},
        experiment=np.array([rows[name]["experiment"] for name in clip], object),
    )
    found = {finding.clip: finding.kind for finding in check(table).findings}
    expected = {
        name
        for name, row in rows.items()
        if (row["experiment"], row["source"])
        in {("test_1", "water_netflix"), ("test_4", "Giftmord"), ("vd1", "water_netflix")}
        or (
            row["experiment"] == "appeal"
            and row["codec"] == "vvc"
            and row["source"] in {"DialogMeridian", "cutting_orange_tuil", "water_netflix"}
        )
    }
    out_of_step = {name for name, kind in found.items() if kind == "out_of_step"}
    assert out_of_step == expected
    assert len(found) - len(expected) <= 10
