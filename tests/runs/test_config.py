from pathlib import Path

import pytest
import yaml

from vmaf_jax.errors import InputError
from vmaf_jax.runs.config import Config, load_config, validate, warn_of_recipe

CONFIGS = sorted(Path("configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_load_and_open_with_their_command(path):
    assert path.read_text().startswith("# ")
    if "selection" not in path.name:
        assert load_config(path).name == path.stem


def write(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return path


def test_overrides_and_round_trip(tmp_path):
    path = write(tmp_path, "name: x\ntraining: {steps: 10}\n")
    config = load_config(path, ["training.learning_rate=0.5", "external=[demo]", "data.teacher=m"])
    assert config.training.steps == 10
    assert config.training.learning_rate == 0.5
    assert config.external == ("demo",)
    again = load_config(write(tmp_path, config.to_yaml()))
    assert again == config
    assert again.digest() == config.digest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\ntraning: {}\n", "unknown key 'traning'; did you mean 'training'?"),
        (
            "name: x\ntraining: {step: 1}\n",
            "unknown key 'training.step'; did you mean 'training.st",
        ),
        ("name: x\ntraining: {steps: 0}\n", "training.steps is 0: Input should be greater than"),
        ("name: x\ntraining: {sigma: 1}\n", "training.sigma is 1"),
        ("name: x\nstudent: {network: tinny}\n", "unknown value 'tinny'; did you mean 'tiny'?"),
        ("name: x\nstudent: {dropout: 1.0}\n", "student.dropout is 1.0"),
        ("name: ../x\n", "name is '../x'"),
        ("training: {}\n", "name is"),
        ("- a\n", "expected keys and values"),
        ("name: [\n", "not valid YAML"),
    ],
)
def test_bad_configs_name_the_key(tmp_path, text, message):
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, text))
    assert message in str(caught.value)
    assert "c.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["training.steps", "=3", "name.x=1", "training.steps=["])
def test_bad_overrides(tmp_path, override):
    with pytest.raises(InputError, match="--set"):
        load_config(write(tmp_path, "name: x\n"), [override])


def test_a_configuration_that_comes_with_the_package_is_found_by_name(tmp_path, monkeypatch):
    expected = load_config(Path("configs/opinions.yaml"))
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("opinions")) == expected
    Path("opinions").write_text("name: mine\n")
    assert load_config(Path("opinions")).name == "mine"  # a file of that name goes first


@pytest.mark.parametrize("name", ["configs/opinions.yaml", "opinions.yaml"])
def test_outside_a_checkout_a_path_is_answered_with_the_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="comes with the package is --config opinions"):
        load_config(Path(name))
    with pytest.raises(InputError, match=r"no such file; by name there are .*opinions, .*tiny"):
        load_config(Path("mine.yaml"))


@pytest.mark.parametrize(
    ("name", "overrides", "warned"),
    [
        ("tiny", ["data.label=mos", "external=[]"], True),
        ("nano", ["data.label=mos", "external=[]"], True),
        ("opinions", [], False),
        ("opinions_ffmpeg", [], False),
        ("attention", [], False),
        ("tiny", [], False),
    ],
)
def test_ways_to_learn_opinions_that_lost_are_warned_of(name, overrides, warned):
    assert bool(warn_of_recipe(load_config(Path(name), overrides))) == warned


@pytest.mark.parametrize(
    ("part", "values", "line"),
    [
        ("training", {"steps": 5, "epochs": 2, "batch_size": 8}, "steps and epochs exclude each"),
        ("training", {"epochs": 2}, "epochs need a batch_size"),
        (
            "training",
            {"epochs": 2, "batch_size": 8, "strategy": "teacher_queries"},
            "set steps, not epochs",
        ),
        ("data", {"distance": 1.6}, "data.distance is of people's votes; set data.label=mos"),
        ("data", {"distance": 0, "label": "mos"}, "data.distance is 0"),
        ("student", {"network": "tiny", "hidden": [8]}, "tiny has its own layers"),
        ("student", {"network": "mlp", "hidden": []}, "at least 1 item"),
    ],
)
def test_perceptrons_and_epochs_are_checked(part, values, line):
    with pytest.raises(InputError, match=line):
        validate(Config, {"name": "x", part: values}, Path("x.yaml"))


def test_a_resolved_configuration_reads_as_itself():
    recipe = {
        "optimiser": "adam",
        "epochs": 90,
        "batch_size": 256,
        "learning_rate": 0.001,
        "schedule": "constant",
    }
    student = {"network": "mlp", "hidden": [64, 32, 16], "activation": "relu"}
    config = validate(Config, {"name": "x", "student": student, "training": recipe}, Path("x.yaml"))
    assert (config.training.steps, config.training.length) == (None, "90 epochs")
    assert config.training.second_moment_decay == 0.999
    assert config.make_student().layer_sizes == (64, 32, 16)
    again = validate(Config, yaml.safe_load(config.to_yaml()), Path("x.yaml"))
    assert again == config
    assert validate(Config, {"name": "x"}, Path("x.yaml")).training.steps == 1500
