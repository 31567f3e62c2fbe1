"""A sidecar's architecture and number of parameters are those of its model file."""

from pathlib import Path

import jax
import numpy as np
import onnx
import pytest

from tests.export.test_onnx import exported, rows
from vmaf_jax.errors import InputError
from vmaf_jax.export.architecture import GATES, check_architecture, check_origin
from vmaf_jax.export.onnx_file import export_onnx
from vmaf_jax.export.quantize import quantize
from vmaf_jax.export.sidecar import (
    Identity,
    TrainingRecord,
    read_sidecar,
    sidecar_path,
    teacher_origin,
    write_sidecar,
)
from vmaf_jax.export.teacher_onnx import teacher_onnx
from vmaf_jax.features import FEATURES
from vmaf_jax.jobs.export import export_ensemble
from vmaf_jax.models import ACTIVATIONS, HEADS, NETWORKS, ROW_NETWORKS, Student, deploy
from vmaf_jax.models.sizes import HIDDEN_LAYERS
from vmaf_jax.teacher import load_teacher

TRAINING = TrainingRecord(config_sha256="0" * 64, corpora={})


def identity(student):
    return Identity("test", student, FEATURES, "vmaf_v0.6.1", TRAINING)


def check(path, **changes):
    """Checks the sidecar beside a model file, with entries of it changed."""
    sidecar = read_sidecar(sidecar_path(path)).model_copy(update=changes)
    check_architecture(sidecar, onnx.load(path), sidecar_path(path))
    check_origin(sidecar, onnx.load(path), sidecar_path(path))


def with_sidecar(tmp_path, network="nano", head="scalar", activation="silu", hidden=()):
    student, _, path = exported(tmp_path, network, head, activation, hidden)
    write_sidecar(path, identity(student).origin)
    return path, read_sidecar(sidecar_path(path))


def test_every_network_and_activation_is_known():
    assert set(GATES) == set(ACTIVATIONS)
    assert set(HIDDEN_LAYERS) == {name for name, network in NETWORKS.items() if network.hidden}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("network", sorted(ROW_NETWORKS))
def test_what_is_exported_is_found_again(network, head, tmp_path):
    path, sidecar = with_sidecar(tmp_path, network, head)
    check(path)
    for n_params in (sidecar.n_params - 1, sidecar.n_params + 1, 1):
        with pytest.raises(InputError, match=f"n_params is {n_params}, of the file it is"):
            check(path, n_params=n_params)
    others = {*NETWORKS, "nu-svr"} - {network}
    if network == "mlp":  # of the layers that the sidecar lists
        others -= {"mlp"}
    for other in others:
        with pytest.raises(InputError, match=r"model\.json: arch"):
            check(path, arch=sidecar.arch.model_copy(update={"network": other, "hidden": None}))
    other = next(name for name in HEADS if name != head)
    with pytest.raises(InputError, match="whose products are"):
        check(path, arch=sidecar.arch.model_copy(update={"head": other}))
    for damaged in ({"network": "resnet"}, {"head": "none"}):
        with pytest.raises(InputError, match="expected one of mlp"):
            check(path, arch=sidecar.arch.model_copy(update=damaged))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_is_told_from_every_other(activation, tmp_path):
    path, sidecar = with_sidecar(tmp_path, "mlp", activation=activation, hidden=(8, 5, 4))
    files = [path]
    for mode in ("dynamic", "static"):
        files.append(quantize(path, tmp_path / f"{mode}.onnx", mode=mode, calibration=rows()))
        write_sidecar(files[-1], sidecar)
    for file in files:
        check(file)
        for other in {*ACTIVATIONS, "magic"} - {activation}:
            with pytest.raises(InputError, match=r"arch\.activation"):
                check(file, arch=sidecar.arch.model_copy(update={"activation": other}))
        for hidden in ((8, 4, 5), (8, 5), (5, 8, 4), (8, 5, 4, 4)):
            with pytest.raises(InputError, match="whose products are"):
                check(file, arch=sidecar.arch.model_copy(update={"hidden": hidden}))


def test_attention_and_vmafs_own_models_are_found(tmp_path):
    student = Student("attention", teacher="vmaf_4k_v0.6.1")
    variables = jax.tree.map(np.asarray, student.init(jax.random.key(0)))
    path = tmp_path / "clips.onnx"
    export_onnx(deploy(student, variables), path, identity(student))
    write_sidecar(path, identity(student).origin)
    check(path)
    with pytest.raises(InputError, match="n_params is 10, of the file it is 9"):
        check(path, n_params=10)
    teacher, own = load_teacher("vmaf_v0.6.1"), tmp_path / "own.onnx"
    teacher_onnx(teacher, own)
    write_sidecar(own, teacher_origin(teacher))
    check(own)
    arch = read_sidecar(sidecar_path(path)).arch
    for file, changes in ((own, {"n_params": 1476}), (own, {"arch": arch})):
        with pytest.raises(InputError, match=r"own\.json: "):
            check(file, **changes)


def test_members_of_an_ensemble_are_counted_together(tmp_path):
    path = tmp_path / "both.onnx"
    export_ensemble(["nano", "rbf"], path)
    check(path)
    sidecar = read_sidecar(sidecar_path(path))
    nano, rbf = sidecar.members
    assert sidecar.n_params == 4673 + 231
    for changes, message in (
        ({"n_params": 4673}, "n_params is 4673, of the file it is 4904"),
        ({"members": None}, "whose products are"),
        ({"members": (nano, nano)}, "whose products are"),
        ({"members": (rbf, nano)}, "is not that of the first of its members"),
    ):
        with pytest.raises(InputError, match=message):
            check(path, **changes)


def test_the_gain_of_viewing_distance_is_a_parameter_that_is_in_no_graph():
    path = Path("checkpoints/opinions/model.onnx")
    sidecar = read_sidecar(sidecar_path(path))
    model = onnx.load(path)
    check_architecture(sidecar, model, Path("model.json"))
    for changes in ({"n_params": 231}, {"distance": None}, {"n_params": 233}):
        with pytest.raises(InputError, match="n_params is"):
            check_architecture(sidecar.model_copy(update=changes), model, Path("model.json"))


def test_a_sidecar_of_another_training_is_found(tmp_path):
    path, sidecar = with_sidecar(tmp_path)
    for changes in ({"config_sha256": "1" * 64}, {"corpora": {"demo": "0" * 64}}):
        with pytest.raises(InputError, match="is of another training"):
            check(path, training=sidecar.training.model_copy(update=changes))
