import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vmaf_jax
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.export.contract import load_onnx
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.models import deploy
from vmaf_jax.models.student import deploy_ensemble
from vmaf_jax.runs.locate import find_run
from vmaf_jax.runs.run_folder import open_run


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    out = tmp_path_factory.mktemp("ensemble") / "three.onnx"
    members = ["--member", "tiny", "--member", "rbf"]
    finished = run_command("export", "--model", "nano", *members, "--out", out, "--json")
    assert finished.code == 0, finished.stderr
    return out, json.loads(finished.stdout)


def members(*names):
    return [deploy(run.student, run.variables) for run in map(open_run, map(find_run, names))]


@pytest.fixture(scope="module")
def of_mlps(tmp_path_factory):
    out = tmp_path_factory.mktemp("mlps") / "two.onnx"
    assert run_command("export", "--model", "nano", "--member", "tiny", "--out", out).code == 0
    return out


@pytest.mark.parametrize("batch", [1, 7, 4096])
def test_mlps_give_the_same_bits_in_jax_and_onnx_runtime(of_mlps, batch):
    rows = parity_rows(FEATURES, [])[: min(4096, 100 * batch)]
    both = deploy_ensemble(members("nano", "tiny"))
    jitted = jax.jit(both.predict)
    model = OnnxModel(of_mlps)
    for k in range(0, len(rows), batch):
        part = rows[k : k + batch]
        ours, theirs = jitted(both.constants, part), model.with_spread(part)
        np.testing.assert_array_equal(np.asarray(ours[0]), theirs[0])
        np.testing.assert_array_equal(np.asarray(ours[1]), theirs[1])


def test_it_is_the_mean_and_the_spread_of_its_members(ensemble):
    rows = parity_rows(FEATURES, [])[::37]
    mean, spread = OnnxModel(ensemble[0]).with_spread(rows)
    scores = np.stack(
        [
            np.asarray(m.predict(m.constants, jnp.asarray(rows)), np.float64)
            for m in members("nano", "tiny", "rbf")
        ]
    )
    np.testing.assert_allclose(mean, scores.mean(axis=0), rtol=0, atol=2e-4)
    np.testing.assert_allclose(spread, scores.std(axis=0, ddof=1), rtol=0, atol=2e-4)
    assert spread.max() > 1  # far from their data they differ


def test_the_file_keeps_the_contract_and_its_sidecar_says_so(ensemble):
    out, document = ensemble
    file = load_onnx(out)
    assert file.has_spread
    assert not file.over_frames
    sidecar = json.loads(out.with_suffix(".json").read_text())
    assert sidecar["output_names"] == ["vmaf", "vmaf_std"]
    assert [member["name"] for member in sidecar["members"]] == ["nano", "tiny", "rbf"]
    assert sidecar["n_params"] == 4673 + 34049 + 231
    assert document["members"] == ["nano", "tiny", "rbf"]
    assert document["vmaf"]["max_abs"] <= 1e-4
    single = json.loads((find_run("nano") / "model.json").read_text())
    rmse = [entry["training"]["metrics"]["loso"]["rmse"] for entry in (sidecar, single)]
    assert rmse[0] < rmse[1]  # of the mean's held-out predictions


def test_it_scores_with_an_interval_of_its_own(ensemble, encodes):
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    together = vmaf_jax.score(*pair, ensemble[0], interval=0.9)
    alone = {name: vmaf_jax.score(*pair, name, interval=0.9) for name in ("nano", "tiny", "rbf")}
    assert together.interval.low < together.pooled < together.interval.high
    assert together.pooled == pytest.approx(alone["nano"].pooled, abs=0.5)
    widths = [scores.interval.high - scores.interval.low for scores in alone.values()]
    assert together.interval.high - together.interval.low < max(widths)


def test_what_is_no_ensemble(tmp_path):
    for extra, message in (
        (["--member", "nano"], "is named twice"),
        (["--member", "rbf_4k"], "label is vmaf_4k_v0.6.1"),
        (["--member", "none"], "no run folder"),
        (["--member", "tiny", "--quantize", "static"], "32-bit floats"),
        (["--member", "tiny"] * 16, "2 to 16 members"),
    ):
        finished = run_command("export", "--model", "nano", *extra, "--out", tmp_path / "e.onnx")
        assert finished.code == 2
        assert message in finished.stderr
        assert not (tmp_path / "e.onnx").exists()
    with pytest.raises(InputError, match="is no ensemble"):
        OnnxModel(find_run("nano") / "model.onnx").with_spread(np.zeros((1, 6)))
