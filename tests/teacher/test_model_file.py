"""Model files of every kind that is around, each held to what libvmaf itself makes of it."""

import copy
import json

import numpy as np
import pytest

from tests.support import bare_libvmaf
from vmaf_jax.errors import InputError, OtherFeaturesError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.extraction.teachers import resolve_teacher
from vmaf_jax.features import FEATURE_SETS
from vmaf_jax.jobs.evaluate import evaluate
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.score import score
from vmaf_jax.teacher import load_teacher
from vmaf_jax.teacher.model_file import find_model_file

ADM, VIF = {"adm_enhn_gain_limit": 1.0}, {"vif_enhn_gain_limit": 1.0}
NEG = [ADM, {}, VIF, VIF, VIF, VIF]  # in the order of the files
PLAIN: list[dict] = [{}, {}, {}, {}, {}, {}]


@pytest.fixture
def write(tmp_path):
    def write(base="vmaf_v0.6.1", *, floats=False, options=None, name="own", **entries):
        document = copy.deepcopy(json.loads(find_model_file(base).read_text()))
        model = document["model_dict"]
        if floats:
            model["feature_names"] = [n.replace("integer_", "") for n in model["feature_names"]]
        if options is not None:
            model["feature_opts_dicts"] = options
        model.update(entries)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(document))
        return path

    return write


@pytest.mark.parametrize("base", ["vmaf_v0.6.1", "vmaf_4k_v0.6.1"])
@pytest.mark.parametrize("options", [None, NEG], ids=["plain", "neg"])
def test_float_models_are_fed_float_features(write, encodes, ffmpeg, base, options):
    path = write(base, floats=True, options=options)
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    truth = bare_libvmaf(ffmpeg, *pair, f"path={path}")["vmaf"]
    found = score(*pair, model=path, teachers=(str(path),))
    # Features are logged to six decimals; the slopes make up to 1e-4 points of that.
    np.testing.assert_allclose(found.per_frame, truth, atol=3e-4)
    np.testing.assert_allclose(found.table.label("own"), truth, atol=1e-6)
    assert found.table.feature_set.name == ("vmaf_float" if options is None else "vmaf_float_neg")
    in_jax = score(*pair, model=path, teachers=(str(path),), backend="jax")
    np.testing.assert_allclose(in_jax.per_frame, truth, atol=1e-3)
    by_integers = bare_libvmaf(ffmpeg, *pair, f"path={write(base, options=options)}")["vmaf"]
    assert np.abs(by_integers - truth).max() > 5e-3  # so the features are told apart


def test_a_float_model_is_evaluated_on_its_own_features_alone(write, encodes, tmp_path):
    path = write(floats=True)
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    for name in ("vmaf_float", "vmaf"):
        table = extract_pair(*pair, teachers=(str(path),), feature_set=FEATURE_SETS[name])
        table.write(tmp_path / f"{name}.parquet")
    held = evaluate(path, features=tmp_path / "vmaf_float.parquet", label="own")
    assert held.overall.max_abs < 3e-4
    with pytest.raises(InputError, match="takes the feature set vmaf_float, the table holds vmaf;"):
        evaluate(path, features=tmp_path / "vmaf.parquet", label="own")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ([{}, {}, VIF, {}, {}, {}], "vif_scale0"),
        ([ADM, {}, VIF, {}, {}, {}], "vif_scale0"),
        ([ADM, {}, {}, {}, {}, {}], "adm2"),
        ([{}, {}, VIF, VIF, VIF, VIF], "vif_scale3"),
        ([{"adm_norm_view_dist": 5.0}, {}, {}, {}, {}, {}], "adm_norm_view_dist"),
        ([{"adm_ref_display_height": 2160}, {}, {}, {}, {}, {}], "adm_ref_display_height"),
        ([{}, {"motion_five_frame_window": True}, {}, {}, {}, {}], "motion_five_frame_window"),
        ([{}, {"motion_force_zero": True}, {}, {}, {}, {}], "motion_force_zero"),
        ([{**ADM, "debug": True}, {}, VIF, VIF, VIF, VIF], "option debug"),
        ([VIF, {}, {}, {}, {}, {}], "adm2 the option vif_enhn_gain_limit"),
    ],
)
@pytest.mark.parametrize("floats", [False, True], ids=["integer", "float"])
def test_options_of_one_feature_are_never_taken_for_those_of_another(write, options, name, floats):
    with pytest.raises(InputError, match=f"own.*{name}"):
        load_teacher(write(options=options, floats=floats))


def test_a_model_with_options_of_its_own_is_run_by_libvmaf(write, encodes, ffmpeg):
    path = write(options=[ADM, {}, VIF, {}, {}, {}])
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    with pytest.raises(OtherFeaturesError, match=rf"Let libvmaf run it, .*--teacher {path}"):
        score(*pair, model=path)
    truth = bare_libvmaf(ffmpeg, *pair, f"path={path}")["vmaf"]
    found = score(*pair, model="vmaf_v0.6.1neg", teachers=(str(path),))
    np.testing.assert_allclose(found.table.label("own"), truth, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ([{"adm_enhn_gain_limit": "1.0"}, {}, *[{"vif_enhn_gain_limit": "1"}] * 4], "vmaf_neg"),
        ([{"adm_enhn_gain_limit": 1}, {}, *[{"vif_enhn_gain_limit": 1}] * 4], "vmaf_neg"),
        ([{"adm_norm_view_dist": 3.0, "adm_enhn_gain_limit": 100}], "vmaf"),
        ([{}, {"motion_five_frame_window": "false", "motion_force_zero": False}], "vmaf"),
        (PLAIN, "vmaf"),
    ],
)
def test_options_count_by_their_value(write, encodes, ffmpeg, options, name):
    path = write(options=options)
    assert load_teacher(path).feature_set.name == name
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    truth = bare_libvmaf(ffmpeg, *pair, f"path={path}")["vmaf"]
    np.testing.assert_allclose(score(*pair, model=path).per_frame, truth, atol=3e-4)


def test_a_model_without_a_rescale_is_scored_as_libvmaf_does(write, encodes, ffmpeg):
    path = write(norm_type="none", score_clip=[-100.0, 100.0])
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    truth = bare_libvmaf(ffmpeg, *pair, f"path={path}")["vmaf"]
    np.testing.assert_allclose(score(*pair, model=path).per_frame, truth, atol=1e-5)


TRANSFORM = {"p0": 1.7, "p1": 1.7, "p2": -0.007}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {"score_transform": {**TRANSFORM, "out_gte_in": True}},
            r'out_gte_in true, and no libvmaf loads that .*; write it as text, "true"',
        ),
        ({"score_transform": {**TRANSFORM, "out_lte_in": False}}, "out_lte_in false, and no"),
        ({"score_transform": {**TRANSFORM, "enabled": "true"}}, 'enabled "true", and no .* quotes'),
        ({"score_transform": {**TRANSFORM, "enabled": 1}}, "enabled 1, and no libvmaf"),
        ({"score_transform": {"p0": None, "p1": 1.0}}, "p0 in score_transform is null"),
        ({"score_transform": {"p0": "5"}}, "expected numbers"),
        ({"score_transform": None}, "score_transform in model_dict is null"),
        ({"score_clip": None}, "score_clip in model_dict is null"),
        ({"feature_opts_dicts": None}, "feature_opts_dicts in model_dict is null"),
    ],
)
def test_what_no_libvmaf_loads_is_refused_for_what_it_is(write, encodes, ffmpeg, entries, message):
    path = write(**entries)
    with pytest.raises(InputError, match=message):
        load_teacher(path)
    with pytest.raises(InputError, match=message):
        resolve_teacher(str(path))
    assert bare_libvmaf(ffmpeg, encodes / "ref.y4m", encodes / "dis.mp4", f"path={path}") is None


def test_models_of_old_kinds_are_named_as_such(tmp_path, write):
    whole = json.loads(write().read_text())
    collection = tmp_path / "several.json"
    collection.write_text(json.dumps({str(k): whole for k in range(3)}))
    for ask in (load_model, load_teacher, lambda model: resolve_teacher(str(model))):
        with pytest.raises(InputError, match=r"several.json: a bootstrap collection"):
            ask(collection)
        with pytest.raises(InputError, match=r"vmaf_float_b_v0.6.3: a bootstrap collection"):
            ask("vmaf_float_b_v0.6.3")
        for name in ("vmaf_v0.6.1.pkl", "vmaf_v0.6.1.pkl.model", "vmaf_rb_v0.6.2.pkl.0001"):
            with pytest.raises(InputError, match=f"{name}: a pickled model .* take the JSON file"):
                ask(tmp_path / name)


def test_features_of_the_first_vmaf_have_no_hint_that_fails(write):
    names = [f"VMAF_feature_{name}_score" for name in ("adm", "ansnr", "motion", "vif")]
    path = write(feature_names=[*names, "VMAF_feature_adm2_score", "VMAF_feature_motion2_score"])
    for ask in (load_teacher, lambda model: resolve_teacher(str(model))):
        with pytest.raises(InputError, match=r"asks for adm, ansnr, vif, .* take vmaf_v0.6.1.$"):
            ask(path)


def test_a_key_that_stands_twice_is_refused(tmp_path, write):
    text = write().read_text()
    path = tmp_path / "twice.json"
    path.write_text(text.replace('"score_clip"', '"score_clip": [0.0, 50.0], "score_clip"', 1))
    with pytest.raises(InputError, match="key 'score_clip' occurs twice"):
        load_teacher(path)
