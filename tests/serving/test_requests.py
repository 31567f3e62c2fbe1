"""Every file that a request names, and every file in its lists, is checked."""

import pyarrow
import pyarrow.parquet
import pydantic
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.serving.requests import (
    TOOLS,
    CompareRequest,
    EvaluateRequest,
    ExportRequest,
    ExtractRequest,
    ImportRequest,
    LadderRequest,
    RankRequest,
    ScoreRequest,
    TrainRequest,
    WorstFramesRequest,
    parse_request,
)


def test_every_path_of_every_request_is_checked(places):
    for kind, arguments in (
        (ScoreRequest, {"reference": "../secret.y4m", "distorted": "a.y4m"}),
        (ScoreRequest, {"reference": "a.y4m", "distorted": "../secret.y4m"}),
        (ScoreRequest, {"reference": "a.y4m", "distorted": "a.y4m", "model": "../m.onnx"}),
        (EvaluateRequest, {"model": "tiny", "features": "../t.parquet"}),
        (EvaluateRequest, {"model": "../m.json", "features": "a.y4m"}),
        (CompareRequest, {"models": ["tiny", "../m.json"], "features": "a.y4m"}),
        (TrainRequest, {"name": "x", "features": "../t.parquet"}),
        (TrainRequest, {"name": "../x"}),
        (TrainRequest, {"name": "x", "teacher": "../t.json"}),
        (TrainRequest, {"name": "x", "teacher": str(places.out.parent / "secret.json")}),
        (WorstFramesRequest, {"reference": "a.y4m", "distorted": "../secret.y4m"}),
        (RankRequest, {"reference": "..", "distorted": ["a.y4m"]}),
        (RankRequest, {"reference": "a.y4m", "distorted": ["a.y4m", "../allowed-not"]}),
        (RankRequest, {"reference": "a.y4m", "distorted": ["a.y4m"], "out": "../r.json"}),
        (ExtractRequest, {"corpus": "netflix", "data_root": "..", "out": "t.parquet"}),
        (ExtractRequest, {"manifest": "../list.csv", "out": "t.parquet"}),
        (ExtractRequest, {"corpus": "demo", "out": "../t.parquet"}),
        (ExtractRequest, {"corpus": "demo", "teacher": ["../t.json"], "out": "t.parquet"}),
        (ImportRequest, {"logs": "../list.csv", "out": "t.parquet"}),
        (ImportRequest, {"frames": "../f.csv", "clips": "a.y4m", "out": "t.parquet"}),
        (ImportRequest, {"frames": "a.y4m", "clips": "../c.csv", "out": "t.parquet"}),
        (ImportRequest, {"logs": "a.y4m", "ratings": "../r.csv", "out": "t.parquet"}),
        (ImportRequest, {"corpus": "avt_vqdb_uhd_1", "data_root": "../x", "out": "t.parquet"}),
        (
            ImportRequest,
            {"logs": "a.y4m", "teacher": ["vmaf_v0.6.1", "../t.json"], "out": "t.parquet"},
        ),
        (LadderRequest, {"table": "../t.csv"}),
        (LadderRequest, {"table": "a.y4m", "out": "../l.json"}),
        (ExportRequest, {"model": "../run", "out": "m.onnx"}),
        (ExportRequest, {"model": "tiny", "out": "../m.onnx"}),
    ):
        with pytest.raises(InputError, match=r"no such file below|not a name to write"):
            parse_request(kind, arguments, places)


@pytest.mark.parametrize("name", ["offset", "frames", "interval", "start", "width"])
def test_a_truth_value_is_no_number(places, name):
    pair = {"reference": "a.y4m", "distorted": "a.y4m"}
    with pytest.raises(InputError, match=f"argument '{name}': a truth value is none"):
        parse_request(ScoreRequest, {**pair, name: True}, places)
    assert parse_request(ScoreRequest, {**pair, "align": True}, places).comparison.align


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize(
    ("kind", "field", "name", "text"),
    [
        (ExtractRequest, "manifest", "list.csv", "reference,distorted,source\na.y4m,{},s\n"),
        (ExtractRequest, "manifest", "list.csv", "reference;distorted;source\n{};a.y4m;s\n"),
        (ExtractRequest, "manifest", "list.jsonl", '{{"distorted": "{}", "reference": "a.y4m"}}\n'),
        (
            *(ExtractRequest, "manifest", "list.py"),
            "ref_videos = [{{'content_id': 0, 'path': 'a.y4m'}}]\n"
            "dis_videos = [{{'content_id': 0, 'path': '{}', 'mos': 3}}]\n",
        ),
        (ImportRequest, "logs", "list.csv", "log,source\n{},s\n"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_files_that_a_list_names_are_checked_before_any_is_looked_at(
    places, tmp_path, kind, field, name, text, absent
):
    outside = tmp_path / ("absent.y4m" if absent else "secret.y4m")
    for place in (f"../{outside.name}", str(outside)):
        (places.allow[0] / name).write_text(text.format(place))
        request = parse_request(kind, {field: name, "out": "t.parquet"}, places)
        with pytest.raises(InputError, match="no such file below"):
            request.check_lists(places)
    (places.allow[0] / name).write_text(text.format("a.y4m"))
    parse_request(kind, {field: name, "out": "t.parquet"}, places).check_lists(places)


def test_data_of_a_run_is_checked_where_an_export_reads_it(places, tmp_path):
    run = places.allow[0] / "run"
    run.mkdir()
    (run / "table.parquet").write_text("rows")
    listed = run / "list.csv"
    listed.write_text("reference,distorted,source\n../a.y4m,../../secret.y4m,s\n")

    def check(data, quantize="static"):
        (run / "config.yaml").write_text(f"name: run\ndata: {data}\n")
        arguments = {"model": "./run", "out": "m.onnx", "quantize": quantize}
        parse_request(ExportRequest, arguments, places).check_lists(places)

    outside = tmp_path / "secret.parquet"
    for data in (
        f"{{features: {outside}}}",
        "{features: ../secret.y4m}",
        f"{{data_root: {tmp_path}}}",
        f"{{manifest: {tmp_path / 'list.csv'}}}",
        f"{{manifest: {listed}}}",
    ):
        with pytest.raises(InputError, match="no such file below"):
            check(data)
        check(data, None)  # which reads none of it
    with pytest.raises(InputError, match="addresses and protocols are not read"):
        check("{features: 's3://bucket/folder'}")
    check(f"{{features: {run / 'table.parquet'}}}")


def test_a_name_in_bytes_is_refused(places, tmp_path):
    outside = str(tmp_path / "secret.y4m").encode()
    columns = {"reference": ["a.y4m"], "distorted": [outside], "source": ["s"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), places.allow[0] / "list.parquet")
    arguments = {"manifest": "list.parquet", "out": "t.parquet"}
    request = parse_request(ExtractRequest, arguments, places)
    with pytest.raises(InputError, match="holds bytes"):
        request.check_lists(places)


WORDS = {  # are looked up, and never opened
    *("split", "label", "pix_fmt", "start", "stream", "anchor", "content", "preset"),
    *("title", "display", "region"),
    *("features of extract", "features of import", "name of import", "source of import"),
}


def accepts(kind, name, value, settings):
    """Whether a request takes a value for one of its fields, whatever the others are."""
    try:
        kind.model_validate({name: value}, context=settings)
    except pydantic.ValidationError as error:
        return name not in [entry["loc"][0] for entry in error.errors()]
    return True


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_a_text_of_a_request_is_a_path_that_is_checked_or_one_of_known_words(places, tool):
    """A field that somebody adds is in this list, or is checked, or takes no text."""
    for name in tool.input_schema["properties"]:
        known = bool({name, f"{name} of {tool.name}"} & WORDS)
        assert known or not accepts(tool.request, name, "../secret.y4m", places), name
        in_list = known and name == "source"
        assert in_list or not accepts(tool.request, name, ["../secret.y4m"], places), name
