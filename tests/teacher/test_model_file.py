"""Model files of every kind that is around, each held to what libvmaf itself makes of it."""

import copy
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import bare_libvmaf
from vmaf_jax.errors import InputError, OtherFeaturesError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.extraction.request import resolve_teacher
from vmaf_jax.features import FEATURE_SETS, FEATURES, NEG_FEATURES, V1_FEATURES
from vmaf_jax.jobs.evaluate import evaluate
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.score import score
from vmaf_jax.teacher import ScoreTransform, load_teacher, svr_score, transform_score
from vmaf_jax.teacher.model_file import find_model_file, read_model_file
from vmaf_jax.teacher.svr import precise_score

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


NAMES = ("vmaf_v0.6.1", "vmaf_v0.6.1neg", "vmaf_4k_v0.6.1")


def test_equals_libvmaf_on_every_frame_of_the_demo(demo_table):
    scores = load_teacher("vmaf_v0.6.1")(demo_table.features)
    # Features are logged to six decimals, which alone accounts for up to 1.8e-4.
    assert np.abs(scores - demo_table.label("vmaf_v0.6.1")).max() <= 2e-4


def test_float32_form_stays_within_its_limit(demo_table, support_vectors):
    teacher = load_teacher("vmaf_v0.6.1")
    x = np.concatenate([demo_table.features, support_vectors.features])
    single = jnp.asarray(x, jnp.float32)
    for compute, limit in [(svr_score, 3e-3), (precise_score, 3e-4)]:
        scores = jax.jit(functools.partial(compute, teacher.params()))(single)
        assert np.abs(np.asarray(scores) - teacher(x, clip=False)).max() <= limit


def test_equals_libvmaf_on_the_golden_pair_and_for_every_kin(golden):
    from vmaf_jax.extraction.extract import extract_pair

    folder, expected = golden
    raw = {key: expected[key] for key in ("width", "height", "pix_fmt")}
    pair = [folder / expected["pairs"][0][key] for key in ("reference", "distorted")]
    for name in NAMES:
        teacher = load_teacher(name)
        table = extract_pair(*pair, **raw, teachers=(name,), feature_set=teacher.feature_set)
        assert np.abs(teacher(table.features) - table.label(name)).max() <= 2e-4


def test_plain_loop_gives_the_same():
    teacher = load_teacher("vmaf_v0.6.1")
    model = teacher.params()
    x = np.array([0.9, 0.4, 0.8, 0.88, 0.93, 4.0])
    total = 0.0
    for vector, coefficient in zip(model.support_vectors, model.coefficients, strict=True):
        z = model.slope * x + model.intercept
        total += coefficient * np.exp(-model.gamma * np.sum((z - vector) ** 2))
    score = (total - model.rho - model.score_intercept) / model.score_slope
    assert teacher(x[None], clip=False)[0] == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("name", ["vmaf_v0.6.1", "vmaf_4k_v0.6.1", "vmaf_v1.0.16_hfr_3d0h"])
def test_rows_without_jax_are_the_pure_function(name):
    teacher = load_teacher(name)
    low, high = teacher.feature_set.lower, teacher.feature_set.upper
    rows = np.random.default_rng(5).uniform(low, high, (3000, len(low)))  # more than one block
    rows[::7, 1] = 0  # chroma that could not be measured, in VMAF v1
    with jax.enable_x64(True):
        expected = svr_score(teacher.params(), jnp.asarray(rows))
        if teacher.transform is not None:
            expected = transform_score(expected, teacher.transform)
    np.testing.assert_allclose(teacher(rows, clip=False), expected, rtol=0, atol=1e-9)
    assert teacher(rows[:0]).shape == (0,)
    few = np.concatenate([teacher(rows[k : k + 7]) for k in range(0, 70, 7)])
    np.testing.assert_array_equal(few, teacher(rows)[:70])  # a row's score is its own


def test_order_and_sparse_zeros_follow_names():
    model = read_model_file(find_model_file("vmaf_v0.6.1"))
    document = model.document["model_dict"]
    # In the file motion2 is second; in ours it is last.
    assert document["feature_names"][1] == "VMAF_integer_feature_motion2_score"
    assert model.params.slope[5] == document["slopes"][2]
    line = document["model"].split("SV\n")[1].splitlines()
    sparse = next(k for k, text in enumerate(line) if " 2:" not in text and text.strip())
    assert model.params.support_vectors[sparse, 5] == 0


def test_clip_and_phone_transform():
    teacher, phone = load_teacher("vmaf_v0.6.1"), load_teacher("vmaf_v0.6.1", phone=True)
    x = np.array(
        [[1, 1, 1, 1, 1, 20.0], [0.5, 0.1, 0.2, 0.3, 0.4, 1.0], [0.9, 0.4, 0.8, 0.9, 0.9, 4]]
    )
    raw = teacher(x, clip=False)
    assert raw[0] > 100
    assert raw[1] < 0
    np.testing.assert_array_equal(teacher(x), np.clip(raw, 0, 100))
    mapped = 1.70674692 + 1.72643844 * raw - 0.00705305 * raw**2
    np.testing.assert_allclose(phone(x, clip=False), np.maximum(mapped, raw), rtol=1e-12)


@given(st.lists(st.floats(-50, 150), min_size=1, max_size=9), st.booleans(), st.booleans())
def test_rectification(scores, at_least, at_most):
    s = jnp.asarray(scores, jnp.float32)
    out = np.asarray(transform_score(s, ScoreTransform((1.0, 0.9, 0.001), at_least, at_most)))
    assert not at_least or (out >= s).all()
    assert not at_most or at_least or (out <= s).all()


def test_pure_function_differentiates_and_maps():
    teacher = load_teacher("vmaf_v0.6.1")
    with jax.enable_x64(True):
        params = teacher.params()
        x = jnp.array([[0.9, 0.4, 0.8, 0.88, 0.93, 4.0]])
        gradient = jax.grad(lambda v: svr_score(params, v)[0])(x)
        step = 1e-6
        for k in range(6):
            up, down = x.at[0, k].add(step), x.at[0, k].add(-step)
            slope = (svr_score(params, up) - svr_score(params, down))[0] / (2 * step)
            assert float(gradient[0, k]) == pytest.approx(float(slope), rel=1e-5)
        both = jax.vmap(svr_score, in_axes=(None, 0))(params, jnp.stack([x, x]))
        assert both.shape == (2, 1)
    assert jax.numpy.zeros(1).dtype == np.float32


def test_feature_sets():
    assert load_teacher("vmaf_v0.6.1").feature_set is FEATURES
    assert load_teacher("vmaf_v0.6.1neg").feature_set is NEG_FEATURES
    assert load_teacher("vmaf_v1.0.16_3d0h").feature_set is V1_FEATURES
    with pytest.raises(InputError, match=r"'none' is unknown; expected a .json file or one of"):
        load_teacher("none")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((2, 5)), r"shape \(2, 5\); expected \[n, 6\]"),
        (np.zeros(6), r"shape \(6,\)"),
        ([[0, 0, 0, 0, 0, np.nan]], "row 0, motion2 is nan"),
    ],
)
def test_bad_features(features, message):
    with pytest.raises(InputError, match=message):
        load_teacher("vmaf_v0.6.1")(features)


def _set(key, value):
    return lambda d: d["model_dict"].__setitem__(key, value)


def _replace(document, old, new):
    _set("model", document["model_dict"]["model"].replace(old, new))(document)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda d: d.pop("model_dict"), "key 'model_dict' is missing"),
        (lambda d: d["model_dict"].pop("slopes"), "key 'slopes' is missing"),
        (_set("slopes", [1.0]), "slopes has shape"),
        (_set("intercepts", [float("nan")] * 7), "expected 7 finite numbers"),
        (_set("model_type", "RESIDUEBOOTSTRAP_LIBSVMNUSVR"), "expected LIBSVMNUSVR"),
        (_set("model", "svm_type nu_svr"), "not a VMAF JSON model"),
        (
            lambda d: _set("model", d["model_dict"]["model"][:4000])(d),
            "total_sv says 211; it is cut",
        ),
        (
            lambda d: _replace(d, "kernel_type rbf", "kernel_type linear"),
            "expected nu_svr with rbf",
        ),
        (
            lambda d: _replace(d, " 6:", " 7:"),
            "has index 7; it is damaged",
        ),
        (_set("feature_names", ["A"] * 6), "are damaged"),
        (_set("feature_opts_dicts", [{"adm_enhn_gain_limit": 1.2}] + [{}] * 5), "with the options"),
        (_set("score_transform", {"knots": [[k, k] for k in range(11)]}), "no libvmaf loads more"),
        (_set("score_transform", {"enabled": True, "knots": [[0, 0], [0, 1]]}), "rising x"),
        (_set("score_transform", {"knots": "none"}), "not a VMAF JSON model"),
    ],
)  # fmt: skip
def test_damaged_model_files_are_refused(tmp_path, harm, message):
    document = json.loads(find_model_file("vmaf_v0.6.1").read_text())
    harm(document)
    path = tmp_path / "harmed.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        load_teacher(path)


def test_truncated_and_huge_files(tmp_path):
    path = tmp_path / "cut.json"
    path.write_bytes(find_model_file("vmaf_v0.6.1").read_bytes()[:5000])
    with pytest.raises(InputError, match="not a VMAF JSON model"):
        load_teacher(path)
    with path.open("wb") as file:
        file.truncate(100 << 20)
    with pytest.raises(InputError, match="at most 8388608 are read"):
        load_teacher(path)
