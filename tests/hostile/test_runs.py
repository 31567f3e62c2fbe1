"""Run folders of strangers in `report`, absurd settings of the machine, and runs that are kept."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile.support import refused
from tests.reporting.support import shipped
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.files import parse_yaml
from vmaf_jax.jobs.compare_backends import compare_backends

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    shipped(tmp_path / "run", "nano")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "text",
    [BOMB, "[" * 300, "a: [" + "x, " * 200_000 + "x]", "a: !!python/object/apply:os.getcwd []"],
    ids=["aliases", "depth", "values", "a program"],
)
def test_yaml_that_grows_is_told_in_a_line_and_left_out_of_a_page(text, run):
    (run / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"aliases|deeper|values|constructor"):
        parse_yaml(text)
    refused(run, "config.yaml: not valid YAML", "export", "--model", run, "--out", "o.onnx")
    assert run_command("report", run).code == 0
    assert "config.yaml is damaged" in (run / "report.html").read_text()


def test_a_configuration_of_megabytes_is_not_read(run):
    (run / "config.yaml").write_text("a: 1\n" * 800_000)
    assert run_command("report", run).code == 0
    assert "config.yaml is missing" in (run / "report.html").read_text()


def test_rows_without_end_are_counted_before_they_are_read(run):
    table = pq.read_table(run / "folds.parquet").slice(0, 1)
    n = 21_000_000
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int8()), n), column)
        if pa.types.is_string(column.type)
        else pa.repeat(column[0], n)
        for name, column in zip(table.column_names, map(_whole, table.columns), strict=True)
    }
    pq.write_table(pa.table(columns), run / "folds.parquet", compression="zstd")
    refused(run, "folds.parquet: 21000000 rows, at most 20000000", "report", run)


def _whole(column):
    return column.combine_chunks()


@pytest.mark.parametrize("value", [1e308, -1e300, 1e10, float("inf"), float("nan")])
def test_predictions_that_are_no_scores_are_named(value, run):
    table = pq.read_table(run / "folds.parquet")
    k = table.column_names.index("predicted")
    predicted = table.column("predicted").to_numpy().copy()
    predicted[3] = value
    pq.write_table(table.set_column(k, "predicted", pa.array(predicted)), run / "folds.parquet")
    refused(run, "predicted of row 3 is (no score|not a number)", "report", run)


ABSURD = ("1e300", "-1e300", "1e999", "9" * 500, "null", '"x"', "[]", "{}")


@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize("name", ["metrics.json", "parity.json", "model.json"])
def test_absurd_numbers_in_a_run_make_a_page_all_the_same(name, value, run):
    document = json.loads((run / name).read_text())
    text = json.dumps(_replaced(document)).replace('"@"', value)
    (run / name).write_text(text)
    result = run_command("report", run)
    assert (result.code, result.stderr) == (0, "")


def _replaced(document):
    """Every number of a document replaced by a mark."""
    if isinstance(document, dict):
        return {key: _replaced(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_replaced(value) for value in document]
    return "@" if type(document) in (int, float) else document


@pytest.mark.parametrize(
    "line", ['{"step": 1, "loss": {"a": 1e300}}', '{"step": 1e300, "loss": {}}']
)
def test_absurd_losses_make_a_page_all_the_same(line, run):
    (run / "log.jsonl").write_text('{"step": 0, "loss": {"a": 1.0}}\n' + line + "\n")
    assert run_command("report", run).code == 0


@pytest.fixture
def fresh(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("seconds", ["9" * 18, "3000000", "9" * 5000, "0", "-1", "1e3"])
def test_an_absurd_limit_of_seconds_is_told(seconds, encodes, tmp_path, fresh, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_MAX_SECONDS", seconds)
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    monkeypatch.setenv("VMAF_JAX_CACHE", str(fresh))  # which ffmpeg there is may be noted there
    if seconds.isdecimal() and 0 < len(seconds) <= 18 and seconds != "0":
        assert run_command("score", *pair, "--model", "nano", "--quiet").code == 0
    else:
        refused(tmp_path, "VMAF_JAX_MAX_SECONDS=.*whole number above 0", "score", *pair)


def test_an_earlier_run_is_replaced_only_where_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("name: x\nstudent: {network: nano}\ntraining: {steps: 2}\n")
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "metrics.json").write_text("{}")
    refused(
        tmp_path, "runs/x: holds an earlier result; .*--overwrite", "train", "--config", "c.yaml"
    )
    assert run_command("train", "--config", "c.yaml", "--overwrite").code in (0, 1)  # or parity
    assert "loso" in json.loads((tmp_path / "runs" / "x" / "metrics.json").read_text())
    for command, mark in (("select", "selection.json"), ("compare", "backends.json")):
        (tmp_path / command).mkdir()
        (tmp_path / command / mark).write_text("{}")
    line = "select: holds an earlier result"
    refused(tmp_path, line, "select", "--config", "selection", "--out", "select")
    with pytest.raises(InputError, match="compare: holds an earlier result"):
        compare_backends([], tmp_path / "compare")
