"""Labels, targets, teachers, and what makes a problem no fair one."""

import dataclasses
import json

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.features import NEG_FEATURES
from vmaf_jax.jobs.train import train
from vmaf_jax.models import Student
from vmaf_jax.runs.config import Config, DataConfig
from vmaf_jax.runs.fit import fit_folds
from vmaf_jax.runs.problem import load_problem, load_streamed
from vmaf_jax.tables.dataset import map_table, read_table, release
from vmaf_jax.tables.table import concatenate
from vmaf_jax.teacher import load_teacher
from vmaf_jax.teacher.model_file import find_model_file
from vmaf_jax.training import TrainingSettings

TRAINING = {"steps": 100, "batch_size": 64, "seeds": (0, 1), "learning_rate": 5e-3}


def test_targets_are_unclipped_and_labels_are_not(demo_table, tmp_path):
    demo_table.write(tmp_path / "demo.parquet")
    problem = load_problem(DataConfig(features=tmp_path / "demo.parquet"))
    assert problem.target.max() > 101
    assert problem.target.min() < -1
    assert (problem.label.min(), problem.label.max()) == (0, 100)
    unclipped = load_teacher("vmaf_v0.6.1")(demo_table.features, clip=False)
    np.testing.assert_array_equal(problem.target, unclipped)


def test_a_label_that_is_not_the_teachers_answer_is_trained_on_itself(demo_table, tmp_path):
    pooled = demo_table.mean_pool()
    pooled.write(tmp_path / "clips.parquet")
    problem = load_problem(DataConfig(features=tmp_path / "clips.parquet"))
    same = problem.target == problem.label
    assert same.mean() > 0.9  # the mean over frames is not the score of the mean features


def test_distances_that_are_to_be_learnt_have_to_be_there(support_vectors, tmp_path):
    n = len(support_vectors)
    labels = {"mos": np.linspace(0, 100, n)}
    table = dataclasses.replace(support_vectors, labels=labels)
    table.write(tmp_path / "near.parquet")
    data = DataConfig(features=tmp_path / "near.parquet", label="mos", distance=1.6)
    with pytest.raises(InputError, match=r"has no column distance, which data\.distance needs"):
        load_problem(data)
    dataclasses.replace(table, distance=np.full(n, 3.2)).write(tmp_path / "near.parquet")
    np.testing.assert_allclose(load_problem(data).log_distance, np.log(2), rtol=1e-6)


@pytest.fixture
def damaged(tmp_path):
    document = json.loads(find_model_file("vmaf_v0.6.1").read_text())
    document["model_dict"]["slopes"] = document["model_dict"]["slopes"][:-1]
    (tmp_path / "mine.json").write_text(json.dumps(document))
    return tmp_path / "mine.json"


def test_a_damaged_teacher_is_an_error_and_not_another_target(damaged, support_vectors):
    table = dataclasses.replace(
        support_vectors, labels={"mine": support_vectors.label("vmaf_v0.6.1")}
    )
    table.write(damaged.with_name("t.parquet"))
    data = DataConfig(features=damaged.with_name("t.parquet"), teacher=str(damaged))
    with pytest.raises(InputError, match="slopes has shape"):
        load_problem(data)


def test_a_teacher_over_other_features_is_known_by_its_labels(support_vectors, tmp_path):
    name = "vmaf_v1.0.16_3d0h"
    table = dataclasses.replace(
        support_vectors, labels={name: support_vectors.label("vmaf_v0.6.1")}
    )
    table.write(tmp_path / "t.parquet")
    problem = load_problem(DataConfig(features=tmp_path / "t.parquet", teacher=name))
    assert problem.teacher is None
    np.testing.assert_array_equal(problem.target, problem.label)
    with pytest.raises(InputError, match=r"teacher queries need a teacher: .*; use rows"):
        problem.queried_teacher()


SHORT = {"training": {"steps": 2}, "student": {"network": "nano"}}


def test_an_external_corpus_of_the_training_clips_is_refused(tmp_path, demo_table):
    config = Config(name="x", data={"corpus": "demo"}, external=["demo"], **SHORT)
    with pytest.raises(InputError, match=r"external corpus demo: holds .* clips of the training"):
        train(config, tmp_path / "x")
    # By content: under other names, and without digests of the files.
    renamed = dataclasses.replace(
        demo_table, source=demo_table.source + "_a", provenance={"backend": "theirs"}
    )
    renamed.write(tmp_path / "renamed.parquet")
    data = {"features": tmp_path / "renamed.parquet"}
    with pytest.raises(InputError, match=r"external corpus demo: holds .* clips of the training"):
        train(Config(name="x", data=data, external=["demo"], **SHORT), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_two_sources_of_one_reference_are_refused(tmp_path, demo_table):
    rows = demo_table.source == "bikes"
    columns = ("corpus", "source", "clip", "index", "features")
    bikes = dataclasses.replace(
        demo_table,
        **{name: getattr(demo_table, name)[rows] for name in columns},
        labels={name: values[rows] for name, values in demo_table.labels.items()},
    )
    digest = demo_table.provenance["inputs"]["bikes (reference)"]
    again = dataclasses.replace(
        bikes,
        source=bikes.source + "_again",
        provenance={**bikes.provenance, "inputs": {"bikes_again (reference)": digest}},
    )
    concatenate([demo_table, again]).write(tmp_path / "t.parquet")
    problem = load_problem(DataConfig(features=tmp_path / "t.parquet"))
    with pytest.raises(InputError, match="'bikes' and 'bikes_again' have the same reference"):
        problem.check_folds()


@pytest.fixture(scope="module")
def neg(tmp_path_factory, support_vectors):
    """A student over NEG features, its table, and its exported file."""
    folder = tmp_path_factory.mktemp("neg")
    teacher = load_teacher("vmaf_v0.6.1neg")
    table = dataclasses.replace(
        support_vectors,
        feature_set=NEG_FEATURES,
        labels={"vmaf_v0.6.1neg": teacher(support_vectors.features)},
    )
    table.write(folder / "neg.parquet")
    data = {
        "features": folder / "neg.parquet",
        "feature_set": "vmaf_neg",
        "teacher": "vmaf_v0.6.1neg",
    }
    train(Config(name="neg", data=data, **SHORT), folder / "run")
    exported = run_command("export", "--model", folder / "run", "--out", folder / "neg.onnx")
    assert exported.code == 0, exported.stderr
    return folder


def test_a_student_of_neg_features_stays_one_when_exported(neg, encodes):
    scores = {}
    for model in (neg / "run", neg / "run" / "model.onnx", neg / "neg.onnx"):
        pair = (encodes / "ref.y4m", encodes / "dis.mp4")
        result = run_command("score", *pair, "--model", model, "--json")
        assert result.code == 0, result.stderr
        scores[model] = json.loads(result.stdout)["score"]
    assert len({round(score, 4) for score in scores.values()}) == 1
    for name in ("run/model.json", "neg.json"):
        assert json.loads((neg / name).read_text())["feature_set"] == "vmaf_neg"


@pytest.mark.parametrize("model", ["run", "neg.onnx"])
def test_evaluate_refuses_a_table_of_another_set(neg, model, support_vectors, tmp_path):
    support_vectors.write(tmp_path / "plain.parquet")
    result = run_command(
        "evaluate", "--model", neg / model, "--features", tmp_path / "plain.parquet"
    )
    assert result.code == 2
    assert "takes the feature set vmaf_neg, the table holds vmaf;" in result.stderr
    result = run_command("evaluate", "--model", "tiny", "--features", neg / "neg.parquet")
    assert result.code == 2
    assert "takes the feature set vmaf, the table holds vmaf_neg" in result.stderr


def test_a_sidecar_of_another_set_is_refused(neg, tmp_path, encodes):
    (tmp_path / "neg.onnx").write_bytes((neg / "neg.onnx").read_bytes())
    description = json.loads((neg / "neg.json").read_text())
    (tmp_path / "neg.json").write_text(json.dumps({**description, "feature_set": "vmaf"}))
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    result = run_command("score", *pair, "--model", tmp_path / "neg.onnx")
    assert result.code == 2
    assert "neg.json: feature_set is 'vmaf', of neg.onnx it is 'vmaf_neg'" in result.stderr


@pytest.mark.parametrize("command", ["score", "extract"])
def test_shortest_is_obeyed(command, encodes, tmp_path):
    if command == "score":
        arguments = ["score", encodes / "ref.y4m", encodes / "short.mp4", "--json"]
    else:
        listing = tmp_path / "clips.csv"
        row = f"{encodes / 'ref.y4m'},{encodes / 'short.mp4'},a"
        listing.write_text(f"reference,distorted,source\n{row}\n")
        corpus = ("--corpus", "manifest", "--manifest", listing)
        arguments = ["extract", *corpus, "--out", tmp_path / "t.parquet", "--json"]
    refused = run_command(*arguments)
    assert refused.code == 2
    assert "9 frames, its reference ref.y4m has 12" in refused.stderr
    result = json.loads(run_command(*arguments, "--shortest").stdout)
    assert (result["statistics"]["frames"] if command == "score" else result["rows"]) == 9


def test_clips_with_narrow_intervals_are_trusted_more(support_vectors, tmp_path):
    """Weights are inverse variances: of the votes, ci95 / 1.96 squared, and 10 points of ours."""
    clips = support_vectors.mean_pool()
    rng = np.random.default_rng(0)
    mos, half = rng.uniform(20, 80, len(clips)), rng.uniform(1, 30, len(clips))
    voted = dataclasses.replace(clips, labels={"mos": mos}, mos_ci95=half)
    voted.write(tmp_path / "voted.parquet")
    problem = load_problem(DataConfig(features=tmp_path / "voted.parquet", label="mos"))
    settings = TrainingSettings(interval_weights=True)
    weight = problem.rows(Student("nano"), settings, None).clips.weight
    plain = np.array([1 / ((ci / 1.96) ** 2 + 10**2) for ci in problem.clips.means.mos_ci95])
    by_source = np.argsort(problem.source, kind="stable")  # as `Rows` are
    np.testing.assert_allclose(weight, (plain / plain.mean())[by_source], rtol=1e-5)
    alike = problem.rows(Student("nano"), TrainingSettings(), None).clips.weight
    np.testing.assert_array_equal(alike, np.ones(len(clips)))
    bare = dataclasses.replace(voted, mos_ci95=None)
    bare.write(tmp_path / "bare.parquet")
    problem = load_problem(DataConfig(features=tmp_path / "bare.parquet", label="mos"))
    with pytest.raises(InputError, match="interval_weights: the table has no mos_ci95"):
        problem.rows(Student("nano"), settings, None)


@pytest.fixture(scope="module")
def folder(support_vectors, tmp_path_factory):
    """The support vectors' clips in three shards."""
    folder = tmp_path_factory.mktemp("set")
    table = support_vectors
    part = np.array([int(name.split("_")[1].split(".")[0]) % 3 for name in table.source])
    for k in range(3):
        rows = part == k
        texts = {name: getattr(table, name)[rows] for name in ("corpus", "source", "clip", "index")}
        labels = {name: column[rows] for name, column in table.labels.items()}
        numbers = {"features": table.features[rows], "labels": labels}
        dataclasses.replace(table, **texts, **numbers).write(folder / f"part-{k}.parquet")
    return folder


def config(folder, training=TRAINING, **data):
    data = {"features": folder, "buffer_rows": 128, **data}
    return Config(name="x", data=data, student={"network": "nano"}, training=training)


def test_a_mapped_table_is_the_table(folder):
    ours, whole = map_table(folder), read_table(folder)
    assert isinstance(ours.features, np.memmap)
    release(ours)  # from memory; the file has it
    for name in ("corpus", "source", "clip", "index", "features"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(whole, name))
    np.testing.assert_array_equal(ours.label("vmaf_v0.6.1"), whole.label("vmaf_v0.6.1"))
    assert ours.provenance == whole.provenance


def test_every_source_is_held_out_and_predicted(folder):
    problem = load_streamed(config(folder))
    in_memory = load_problem(config(folder).data)
    np.testing.assert_allclose(problem.target, in_memory.target, atol=1e-9)
    np.testing.assert_array_equal(problem.fold, in_memory.fold)
    np.testing.assert_array_equal(problem.masks, in_memory.masks)
    settings = config(folder).training
    fit = fit_folds(problem, config(folder).make_student(), settings)
    assert fit.predicted.shape == (1, 2, len(problem.table))
    assert fit.losses.shape == (2 * len(problem.sources) + 1, 100)
    for seed in range(2):
        error = fit.predicted[0, seed] - problem.label
        assert np.sqrt(np.mean(error**2)) < 10  # VMAF points; their spread is 27


def test_points_of_a_sweep_are_members_of_one_stream(folder):
    """Each as alone; where rates differ XLA rounds otherwise."""
    problem, student = load_streamed(config(folder)), config(folder).make_student()
    training = config(folder, TRAINING | {"steps": 40}).training
    points = [
        training.model_copy(update={"temperature": t, "learning_rate": rate, "loss": "kl"})
        for t, rate in ((1.0, 5e-3), (2.0, 1e-3), (1.0, 1e-3))
    ]
    together = fit_folds(problem, student, points[0], points=points)
    assert together.predicted.shape == (3, 2, len(problem.table))
    for k, point in enumerate(points):
        alone = fit_folds(problem, student, point)
        own = together.at(k)
        assert own.losses.shape == alone.losses.shape
        np.testing.assert_allclose(own.losses, alone.losses, rtol=2e-3)
        np.testing.assert_allclose(own.predicted, alone.predicted, atol=0.05)  # VMAF points
    differs = np.abs(together.predicted[0] - together.predicted[1]).max()
    assert differs > 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"label": "mos"}, "has no data.label=mos"),
        ({"mean_pool": True}, "has no data.mean_pool"),
        ({"training": {"strategy": "rows"}}, "no training.batch_size"),
        ({"training": TRAINING | {"strategy": "teacher_queries"}}, "strategy=teacher_queries"),
        ({"training": TRAINING | {"anchor": 1.0}}, "no training.anchor"),
        ({"features": None}, "a folder of shards; drop it"),
    ],
)
def test_what_streamed_training_has_not_is_told(folder, change, line):
    with pytest.raises(InputError, match=line):
        load_streamed(config(folder, **change))


@pytest.mark.slow
def test_the_command_writes_a_run(folder, tmp_path):
    setting = [
        *("--set", f"data.features={folder}", "--set", "data.buffer_rows=128"),
        *("--set", "training.batch_size=64", "--set", "training.strategy=rows"),
        *("--set", "external=[]", "--set", "training.steps=300"),
    ]
    flags = ("--config", "configs/tiny.yaml", *setting, "--run-dir", tmp_path / "run")
    ended = run_command("train", *flags)
    assert ended.code == 0, ended.stderr
    assert "streamed" in ended.stderr
    ended = run_command("evaluate", "--model", tmp_path / "run", "--features", folder)
    assert ended.code == 0, ended.stderr
