"""Damaged VMAF model files: refused as a teacher and as a model, by one validation."""

import copy
import json

import pytest

from tests.hostile.support import refused
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.request import resolve_teacher
from vmaf_jax.scoring.model import feature_set_of
from vmaf_jax.teacher.model_file import known_teachers

NAN, INF = float("nan"), float("inf")


def sound():
    return json.loads(known_teachers()["vmaf_v0.6.1"].read_text())


def with_value(*keys_and_value):
    *keys, last, value = keys_and_value

    def change(document):
        place = document
        for key in keys:
            place = place[key]
        place[last] = value

    return change


def without(*keys):
    def change(document):
        place = document
        for key in keys[:-1]:
            place = place[key]
        del place[keys[-1]]

    return change


def in_svm(old, new, count=1):
    def change(document):
        text = document["model_dict"]["model"]
        assert old in text
        document["model_dict"]["model"] = text.replace(old, new, count)

    return change


SVM = sound()["model_dict"]["model"]
GAMMA = next(line for line in SVM.splitlines() if line.startswith("gamma"))
RHO = next(line for line in SVM.splitlines() if line.startswith("rho"))
FIRST = SVM.split("SV\n")[1].splitlines()[0]
COEFFICIENT = FIRST.split()[0]
SLOPES = sound()["model_dict"]["slopes"]
NAMES = sound()["model_dict"]["feature_names"]

DAMAGE = {
    "gamma negative": in_svm(GAMMA, "gamma -0.05"),
    "gamma zero": in_svm(GAMMA, "gamma 0"),
    "gamma missing": in_svm(GAMMA + "\n", ""),
    "gamma nan": in_svm(GAMMA, "gamma nan"),
    "gamma inf": in_svm(GAMMA, "gamma inf"),
    "gamma a word": in_svm(GAMMA, "gamma much"),
    "gamma empty": in_svm(GAMMA, "gamma"),
    "rho missing": in_svm(RHO + "\n", ""),
    "rho nan": in_svm(RHO, "rho nan"),
    "rho a word": in_svm(RHO, "rho x"),
    "linear kernel": in_svm("kernel_type rbf", "kernel_type linear"),
    "polynomial kernel": in_svm("kernel_type rbf", "kernel_type polynomial"),
    "no kernel": in_svm("kernel_type rbf\n", ""),
    "classifier": in_svm("svm_type nu_svr", "svm_type c_svc"),
    "no svm type": in_svm("svm_type nu_svr\n", ""),
    "no vectors": in_svm("SV\n" + SVM.split("SV\n")[1], "SV\n"),
    "no SV line": in_svm("\nSV\n", "\n"),
    "one vector less": in_svm(FIRST + "\n", ""),
    "one vector more": in_svm(FIRST, FIRST + "\n" + FIRST),
    "index 0": in_svm(FIRST, FIRST.replace(" 1:", " 0:")),
    "index 7": in_svm(FIRST, FIRST.replace(" 6:", " 7:")),
    "index -1": in_svm(FIRST, FIRST.replace(" 1:", " -1:")),
    "index huge": in_svm(FIRST, FIRST.replace(" 6:", " 4294967297:")),
    "index twice": in_svm(FIRST, FIRST.replace(" 2:", " 1:")),
    "indices backwards": in_svm(FIRST, " ".join([COEFFICIENT, "2:0.1", "1:0.1"])),
    "index a word": in_svm(FIRST, FIRST.replace(" 1:", " one:")),
    "no index": in_svm(FIRST, f"{COEFFICIENT} 0.5 0.5"),
    "coefficient nan": in_svm(COEFFICIENT, "nan"),
    "coefficient inf": in_svm(COEFFICIENT, "-inf"),
    "coefficient a word": in_svm(COEFFICIENT, "alpha"),
    "vector nan": in_svm(FIRST, f"{COEFFICIENT} 1:nan"),
    "total_sv wrong": in_svm("total_sv ", "total_sv 1"),
    "total_sv a word": in_svm("total_sv ", "total_sv x"),
    "slope nan": with_value("model_dict", "slopes", [NAN, *SLOPES[1:]]),
    "slope inf": with_value("model_dict", "slopes", [*SLOPES[:-1], INF]),
    "slope zero": with_value("model_dict", "slopes", [*SLOPES[:-1], 0]),
    "slope a word": with_value("model_dict", "slopes", [*SLOPES[:-1], "steep"]),
    "six slopes": with_value("model_dict", "slopes", SLOPES[:-1]),
    "eight slopes": with_value("model_dict", "slopes", [*SLOPES, 1.0]),
    "no slopes": without("model_dict", "slopes"),
    "slopes a number": with_value("model_dict", "slopes", 3),
    "slopes nested": with_value("model_dict", "slopes", [SLOPES]),
    "intercept nan": with_value("model_dict", "intercepts", [NAN] * 7),
    "six intercepts": with_value("model_dict", "intercepts", [0.0] * 6),
    "no intercepts": without("model_dict", "intercepts"),
    "intercepts null": with_value("model_dict", "intercepts", None),
    "clip backwards": with_value("model_dict", "score_clip", [100, 0]),
    "clip empty": with_value("model_dict", "score_clip", []),
    "clip nan": with_value("model_dict", "score_clip", [NAN, 100]),
    "clip a word": with_value("model_dict", "score_clip", "all"),
    "no features": with_value("model_dict", "feature_names", []),
    "a feature twice": with_value("model_dict", "feature_names", [NAMES[0], *NAMES[:-1]]),
    "a feature unknown": with_value("model_dict", "feature_names", [*NAMES[:-1], "Sharpness"]),
    "features a number": with_value("model_dict", "feature_names", 6),
    "features missing": without("model_dict", "feature_names"),
    "an option list": with_value("model_dict", "feature_opts_dicts", [[]] * 6),
    "an option nan": with_value("model_dict", "feature_opts_dicts", [{"a": NAN}] + [{}] * 5),
    "another model type": with_value("model_dict", "model_type", "RANDOMFOREST"),
    "no model type": without("model_dict", "model_type"),
    "another norm": with_value("model_dict", "norm_type", "standardise"),
    "no norm": without("model_dict", "norm_type"),
    "no model": without("model_dict", "model"),
    "model a list": with_value("model_dict", "model", [SVM]),
    "model empty": with_value("model_dict", "model", ""),
    "no model_dict": without("model_dict"),
    "model_dict a list": with_value("model_dict", [1]),
}
TEXTS = {
    "empty": b"",
    "no JSON": b"not json",
    "a number": b"5",
    "null": b"null",
    "a list": b"[]",
    "not UTF-8": b"\xff\xfe{",
    "NUL bytes": b"\0" * 64,
    "cut": json.dumps(sound()).encode()[:4000],
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
}


def contents_of(case):
    if case in TEXTS:
        return TEXTS[case]
    document = copy.deepcopy(sound())
    DAMAGE[case](document)
    return json.dumps(document).encode()


@pytest.mark.parametrize("opens", [resolve_teacher, feature_set_of], ids=["teacher", "model"])
@pytest.mark.parametrize("case", [*DAMAGE, *TEXTS])
def test_a_damaged_model_file_is_refused(case, opens, tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(contents_of(case))
    with pytest.raises(InputError) as refusal:
        opens(str(path))
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("case", ["gamma negative", "index 7", "deep", "six slopes"])
@pytest.mark.parametrize("flag", ["--teacher", "--model"])
def test_the_command_says_so_in_one_line(case, flag, encodes, tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(contents_of(case))
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    refused(tmp_path, r"mine\.json: ", "score", *pair, flag, path)


@pytest.mark.parametrize("name", sorted(known_teachers()))
def test_sound_ones_of_every_family_pass(name, tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(known_teachers()[name].read_bytes())
    assert resolve_teacher(str(path)).path == path
