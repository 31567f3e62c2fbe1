"""`doctor` and results say which libvmaf measures; registries are held against their files."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT, run_command
from vmaf_jax.errors import InputError
from vmaf_jax.extraction import libvmaf
from vmaf_jax.jobs.doctor import doctor, verify_registry
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.score import score
from vmaf_jax.video.ffmpeg import find_ffmpeg


def test_the_build_of_the_documented_figures_is_named():
    assert libvmaf.libvmaf_version(find_ffmpeg()) == libvmaf.LIBVMAF
    parts = doctor().parts
    assert f"with libvmaf {libvmaf.LIBVMAF}, at {find_ffmpeg().path}" in parts["ffmpeg"]
    assert parts["libvmaf"] == f"{libvmaf.LIBVMAF}, the build of the documented figures"
    assert find_ffmpeg().path in run_command("doctor").stdout  # not cut


def test_another_build_is_told_in_results(encodes, tmp_path, monkeypatch, caplog):
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    assert score(*pair, cache=tmp_path / "a").to_dict()["comparison"]["warnings"] == []
    monkeypatch.setattr(libvmaf, "LIBVMAF", "another")  # as seen from that build
    (note,) = score(*pair, cache=tmp_path / "b").to_dict()["comparison"]["warnings"]
    assert "86da14d is not another, which the documented figures are of" in note
    assert note == doctor().parts["libvmaf"]
    longer = [tmp_path / "ref.mkv", tmp_path / "dis.mkv"]
    for path, own in zip(pair, longer, strict=True):
        loop = ["-vf", "loop=loop=1:size=12:start=0", "-c:v", "ffv1", own]
        subprocess.run([find_ffmpeg().path, "-v", "error", "-i", path, *loop], check=True)
    caplog.clear()
    assert score(*longer, within=20.0).to_dict()["comparison"]["warnings"] == [note]
    assert caplog.messages == [f"{longer[1]}: {note}"]


def test_no_older_ffmpeg_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "imageio-ffmpeg>=0.8.1" in project["dependencies"]


def test_the_command_takes_the_shipped_registry_unless_it_is_given_one(tmp_path):
    result = run_command("registry", "verify", "--json")
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout) == json.loads(Path("checkpoints/registry.json").read_text())
    result = run_command("registry", "verify", tmp_path / "none.json")
    assert result.code == 2
    assert f"{tmp_path / 'none.json'}: cannot read" in result.stderr


def test_a_folder_stands_for_its_registry(folder):
    assert verify_registry(folder) == verify_registry(folder / "registry.json")
    (folder / "registry.json").unlink()
    with pytest.raises(InputError, match=f"{folder}: holds no registry.json, .* name a folder"):
        verify_registry(folder)


def test_a_key_that_occurs_twice_is_refused(folder):
    """Pydantic would take the last."""
    for name, key in (("registry.json", "id"), ("nano/model.json", "opset")):
        path = folder / name
        text = path.read_text()
        path.write_text(text.replace(entry := re.search(f'"{key}": [^,]*,', text)[0], entry * 2, 1))
        with pytest.raises(InputError, match=f"{path}: the key '{key}' occurs twice; "):
            verify_registry(folder)
        path.write_text(text)


@pytest.fixture
def folder(tmp_path):
    """A copy of what is shipped, to break."""
    shutil.copytree("checkpoints", tmp_path / "models")
    return tmp_path / "models"


def change(folder, **values):
    path = folder / "registry.json"
    document = json.loads(path.read_text())
    document["models"][0] |= values
    path.write_text(json.dumps(document))
    return path


def test_what_is_shipped_is_sound(folder):
    registry = verify_registry(folder / "registry.json")
    assert registry.schema_version == 1
    modes = {entry.onnx: entry.quant_mode for entry in registry.models}
    assert {mode for name, mode in modes.items() if ".int8." not in name} == {"fp32"}
    assert {mode for name, mode in modes.items() if ".int8." in name} <= {"static", "qat"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": "Nano"}, r"models.0.id is 'Nano': String should match"),
        ({"kind": "nr"}, r"models.0.kind"),
        ({"sha256": "0" * 64}, r"is not the file that registry.json names"),
        ({"int8_sha256": "0" * 64}, r"models.0.int8_sha256 is .* Extra inputs"),
        ({"onnx": "../../nano/model.onnx"}, r"leads out of the folder"),
        ({"onnx": "/etc/passwd.onnx"}, r"leads out of the folder"),
        ({"onnx": "none/model.onnx"}, r"no such model"),
        ({"opset": 13}, r"opset is 13, its sidecar says 17"),
        ({"quant_mode": "static"}, r"quant_mode is 'static', its sidecar says 'fp32'"),
        ({"quant_mode": "int4"}, r"models.0.quant_mode"),
        ({"license": "see file"}, r"models.0.license"),
        ({"description": "x" * 257}, r"models.0.description"),
        ({"notes": "x" * 513}, r"models.0.notes"),
        ({"extra": 1}, r"models.0.extra is 1: Extra inputs are not permitted"),
        ({"id": "tiny"}, r"two models have one id"),
    ],
)
def test_what_is_wrong_is_named(folder, values, message):
    with pytest.raises(InputError, match=message):
        verify_registry(change(folder, **values))


def test_what_hosts_add_is_admitted(folder):
    path = change(
        folder,
        license_url="https://opensource.org/license/BSDplusPatent",
        sigstore_bundle="nano/model.onnx.bundle",
    )
    path.write_text(json.dumps({"$schema": "registry.schema.json", **json.loads(path.read_text())}))
    assert verify_registry(path).models[0].sigstore_bundle == "nano/model.onnx.bundle"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema_version": 2, "models": []}'])
def test_damaged_registries_are_refused(tmp_path, content):
    path = tmp_path / "registry.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"registry.json: "):
        verify_registry(path)
    with pytest.raises(InputError, match="cannot read"):
        verify_registry(Path(tmp_path / "none.json"))


def test_a_changed_sidecar_is_found(folder):
    path = folder / "nano" / "model.json"
    sidecar = json.loads(path.read_text())
    path.write_text(json.dumps(sidecar | {"features": sorted(sidecar["features"], reverse=True)}))
    with pytest.raises(InputError, match=r"features is .*, of model.onnx it is "):
        verify_registry(folder / "registry.json")
    path.write_text(json.dumps(sidecar | {"input_mean": [0.0] * 6}))
    with pytest.raises(InputError, match="standardises a second time"):
        verify_registry(folder / "registry.json")


DAMAGE = {
    "kind": ("nr", "kind is 'nr', of model.onnx it is 'fr'"),
    "onnx": ("other.onnx", "onnx is 'other.onnx'"),
    "opset": (13, "opset is 13"),
    "input_name": ("x", "input_name is 'x'"),
    "output_name": ("y", "output_name is 'y'"),
    "input_names": (["features", "mask"], "input_names is"),
    "output_names": (["vmaf", "vmaf_std"], "output_names is"),
    "expected_output_range": ([0.0, 10.0], "expected_output_range is"),
    "quant_mode": ("static", "quant_mode is 'static'"),
    "name": ("", "name is ''"),
    "pooling": ("magic", "magic"),
    "label": ({"name": "vmaf", "scale": [5, 1, 2]}, "scale"),
    "arch": ("nano", "arch is 'nano'"),
    "n_params": (-1, "n_params is -1"),
    "license": (7, "license is 7"),
    "training": ("much", "training is 'much'"),
    "calibration": ({"n_clips": 3}, "has no calibration.n_sources"),
}


@pytest.mark.parametrize("key", DAMAGE)
def test_every_entry_of_a_sidecar_is_checked(folder, key):
    path = folder / "nano" / "model.json"
    sidecar = json.loads(path.read_text())
    value, message = DAMAGE[key]
    path.write_text(json.dumps(sidecar | {key: value}))
    with pytest.raises(InputError, match=message) as refusal:
        verify_registry(folder / "registry.json")
    assert "\n" not in str(refusal.value)
    with pytest.raises(InputError, match=message):  # and where a model is loaded
        load_model(folder / "nano" / "model.onnx")
    if key not in ("calibration", "training"):
        path.write_text(json.dumps({k: v for k, v in sidecar.items() if k != key}))
        with pytest.raises(InputError, match=f"has no {key}"):
            verify_registry(folder / "registry.json")


def test_an_8_bit_sidecar_has_no_calibration(folder):
    floats, bytes_ = folder / "nano/model.json", folder / "nano/model.int8.json"
    calibration = json.loads(floats.read_text())["calibration"]
    bytes_.write_text(json.dumps({**json.loads(bytes_.read_text()), "calibration": calibration}))
    with pytest.raises(InputError, match="is of the float32 file's errors"):
        verify_registry(folder / "registry.json")


def test_a_sidecar_is_a_file_of_the_folder(folder, tmp_path):
    path = folder / "nano" / "model.json"
    path.rename(tmp_path / "outside.json")
    path.symlink_to(tmp_path / "outside.json")
    with pytest.raises(InputError, match=r"model\.json is a link to another file"):
        verify_registry(folder / "registry.json")
    path.unlink()
    with pytest.raises(InputError, match=r"model\.json is missing"):
        verify_registry(folder / "registry.json")
