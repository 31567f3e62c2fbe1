import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmaf_jax.errors import InputError
from vmaf_jax.features import FEATURES, NEG_FEATURES, V1_FEATURES
from vmaf_jax.teacher import ScoreTransform, load_teacher, svr_score, transform_score
from vmaf_jax.teacher.model_file import find_model_file, read_model_file

NAMES = ("vmaf_v0.6.1", "vmaf_v0.6.1neg", "vmaf_4k_v0.6.1")


def test_equals_libvmaf_on_every_frame_of_the_demo(demo_table):
    scores = load_teacher("vmaf_v0.6.1")(demo_table.features)
    # Features are logged to six decimals, which alone accounts for up to 1.8e-4.
    assert np.abs(scores - demo_table.label("vmaf_v0.6.1")).max() <= 2e-4


def test_float32_form_stays_within_its_limit(demo_table, support_vectors):
    teacher = load_teacher("vmaf_v0.6.1")
    x = np.concatenate([demo_table.features, support_vectors.features])
    single = jax.jit(svr_score)(teacher.params(), jnp.asarray(x, jnp.float32))
    assert np.abs(np.asarray(single) - teacher(x, clip=False)).max() <= 3e-3


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
