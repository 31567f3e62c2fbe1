"""Every tool gives what its job gives, and says in words what it cannot do."""

import base64
import dataclasses
import json
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow.parquet
import pytest
from mcp.shared.exceptions import MCPError

import vmaf_jax
from tests.serving.support import command
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.evaluate import rank_models, select_split
from vmaf_jax.serving import resources
from vmaf_jax.serving.requests import TOOLS
from vmaf_jax.serving.server import _name_arguments, get_prompt
from vmaf_jax.serving.tools import WORK
from vmaf_jax.serving.worker import MAX_PICTURES
from vmaf_jax.tables.dataset import read_table

pytestmark = pytest.mark.optimised  # scores of workers are held to this process's, bit for bit

PNG = b"\x89PNG\r\n"
PAIR = {"reference": "ref.y4m", "distorted": "dis.mp4"}
SIZE = {"width": 352, "height": 288}
RANKED = {"reference": "ref.y4m", "distorted": ["dis.mp4", "small.mp4"]}
RAW = {"reference": "ref.yuv", "distorted": "dis.yuv", **SIZE}


def pictures(result):
    images = [base64.b64decode(c.data) for c in result.content if c.type == "image"]
    assert all(image.startswith(PNG) for image in images)
    return images


def test_lines_that_are_no_messages_are_answered_too(tmp_path):
    """By hand, since the SDK's client sends none: a lone surrogate, broken JSON, no request."""
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    start = {"protocolVersion": "2025-06-18", "capabilities": {}}
    start["clientInfo"] = {"name": "a test", "version": "1"}
    surrogate = {
        **ask,
        "id": 2,
        "params": {"name": "vmaf_score", "arguments": {"reference": "\ud800/x", "distorted": "y"}},
    }
    lines = [
        json.dumps({**ask, "method": "initialize", "params": start}),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json.dumps(surrogate),  # escaped, as any client would
        "no JSON",
        json.dumps({"jsonrpc": "2.0", "id": 3, "method": 7}),
        "[" * 100_000,
    ]
    with subprocess.Popen(
        command(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        process.stdin.flush()
        answers = [json.loads(process.stdout.readline()) for _ in range(5)]
        process.stdin.close()
    by_id = {answer["id"]: answer for answer in answers if answer["id"] is not None}
    assert "no such file below" in by_id[2]["result"]["content"][0]["text"]
    assert by_id[3]["error"]["code"] == -32600
    assert [a["error"]["code"] for a in answers if a["id"] is None] == [-32700, -32700]


def test_every_tool_has_its_function_and_its_schemas(server):
    assert {tool.request for tool in TOOLS.values()} == WORK.keys()
    for tool in server.portal.call(server.client.list_tools).tools:
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
        assert tool.input_schema["additionalProperties"] is False
        properties = tool.input_schema["properties"].values()
        assert all(field.get("description") for field in properties), tool.name


@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_a_score_is_the_score_of_the_library(server, backend):
    answer = server.answer("vmaf_score", **PAIR, model="tiny", backend=backend, per_frame=True)
    pair = (server.folder / "ref.y4m", server.folder / "dis.mp4")
    expected = vmaf_jax.score(*pair, model="tiny", backend=backend)
    np.testing.assert_array_equal([f["score"] for f in answer["frames"]], expected.per_frame)
    features = [list(frame["features"].values()) for frame in answer["frames"]]
    np.testing.assert_array_equal(features, expected.table.features)
    assert answer["score"] == expected.mean
    assert (answer["backend"], answer["next"]) == (backend, None)
    assert answer["inside_training_region"] == expected.inside_training_region
    assert answer["interval"] is None


def test_a_score_is_a_summary_unless_frames_are_asked_for(server):
    answer = server.answer("vmaf_score", **PAIR)
    assert (answer["frames"], answer["statistics"]["frames"]) == ([], 12)


def test_what_differs_is_allowed_as_on_the_command_line(server):
    pair = (server.folder / "ref.y4m", server.folder / "dis.mp4")
    answer = server.answer("vmaf_score", **PAIR, start="3f", frames=5)
    expected = vmaf_jax.score(*pair, model="vmaf_v0.6.1", start="3f", frames=5)
    assert answer["statistics"]["frames"] == 5
    assert answer["score"] == expected.mean
    answer = server.answer("vmaf_score", **PAIR, offset=2, force=True)
    assert answer["score"] == vmaf_jax.score(*pair, model="vmaf_v0.6.1", offset=2, force=True).mean
    assert "expected seconds" in server.refusal("vmaf_score", **PAIR, start="soon")


def test_an_error_is_in_the_unit_of_its_label(server):
    models = {model["name"]: model for model in server.answer("list_models")["models"]}
    held = json.loads(Path("checkpoints/opinions/metrics.json").read_text())["loso"]["pooled"]
    assert models["opinions"]["unit"] == "votes on 1-5"
    assert models["opinions"]["rmse"] == pytest.approx(held["rmse"] * 4 / 100)
    assert models["tiny"]["unit"] == "VMAF points"


def test_a_score_has_its_interval(server):
    interval = server.answer("vmaf_score", **PAIR, model="tiny", interval=0.9)["interval"]
    pair = (server.folder / "ref.y4m", server.folder / "dis.mp4")
    expected = vmaf_jax.score(*pair, model="tiny", interval=0.9).interval
    assert interval == dataclasses.asdict(expected)


def test_raw_files_take_their_format(server):
    answer = server.answer("vmaf_score", **RAW, pix_fmt="yuv420p")
    named = server.answer("vmaf_score", **PAIR)
    assert answer["score"] == pytest.approx(named["score"], abs=1e-6)
    assert answer["model"] == "vmaf_v0.6.1"


def test_a_plot_and_the_worst_frames_are_pictures(server):
    result = server.call("vmaf_score", **PAIR, plot=True)
    assert len(pictures(result)) == 1
    result = server.call("describe_worst_frames", **PAIR, count=3, apart=3)
    worst = result.structured_content["worst"]
    scores = [
        frame["score"] for frame in server.answer("vmaf_score", **PAIR, per_frame=True)["frames"]
    ]
    assert worst[0]["frame"] == int(np.argmin(scores))
    assert [frame["score"] for frame in worst] == sorted(scores[f["frame"]] for f in worst)
    assert len(pictures(result)) == len(worst) == 3
    result = server.call("describe_worst_frames", **PAIR, count=2, pictures=False)
    assert pictures(result) == []


def test_pictures_of_an_answer_fit_an_event_of_the_client(server):
    """The SDK's client refuses events above 1 MiB; the server's own pictures would have more."""
    result = server.call("describe_worst_frames", **PAIR, count=12)
    shown = pictures(result)
    assert len(shown) == 12
    assert len(result.model_dump_json()) < 1 << 20
    assert sum(map(len, shown)) > MAX_PICTURES / 3


def test_answers_say_what_was_left_out(server, ffmpeg):
    """Of frames that the encode lacks, and of the grain that its decoder adds."""
    line = [ffmpeg, "-v", "error", "-y", "-i", server.folder / "ref.y4m"]
    short = ["-frames:v", "9", "-c:v", "libx264", "-crf", "20", server.folder / "cut.mp4"]
    subprocess.run([*line, *short], check=True)
    grain = ["-c:v", "libsvtav1", "-svtav1-params", "film-grain=20", server.folder / "grain.mp4"]
    subprocess.run([*line, *grain], check=True, stderr=subprocess.DEVNULL)
    cut = {"reference": "ref.y4m", "distorted": "cut.mp4", "align": True}
    (warning,) = server.answer("vmaf_score", **cut)["warnings"]
    assert "3 frames" in warning
    assert server.answer("describe_worst_frames", **cut, pictures=False)["warnings"] == [warning]
    assert server.answer("quality_maps", **cut, out="maps/cut")["warnings"] == [warning]
    several = {"reference": "ref.y4m", "distorted": ["dis.mp4", "grain.mp4"]}
    ranked = server.answer("rank", **several)["ranked"]
    warnings = {entry["distorted"]: entry["warnings"] for entry in ranked}
    assert warnings["dis.mp4"] == []
    assert "'film_grain' on keeps it" in warnings["grain.mp4"][0]


def test_maps_are_written_below_the_output_folder_alone(server):
    answer = server.answer("quality_maps", **PAIR, model="nano", out="maps/dis", worst_region=True)
    files = [Path(name) for name in answer["files"]]
    assert {path.name.partition("-")[2] for path in files} == {"vif.png", "adm.png"}
    assert all(path.read_bytes().startswith(PNG) for path in files)
    assert {path.parent.parts[-2:] for path in files} == {("maps", "dis")}
    assert f"frame{answer['worst_region']['frame']:06d}-vif.png" in {path.name for path in files}
    ranked = server.answer("rank", **RANKED, model="nano", worst_region=True)["ranked"]
    regions = {entry["distorted"]: entry["worst_region"] for entry in ranked}
    assert regions["dis.mp4"] == answer["worst_region"]
    for outside in ("../maps", str(server.folder)):
        assert "not a name to write below" in server.refusal("quality_maps", **PAIR, out=outside)
    taken = f"maps/dis/{files[0].name}"
    assert ": a file; name a folder" in server.refusal("quality_maps", **PAIR, out=taken)


def test_the_worst_frames_are_told_of_a_comparison_as_scores_are(server):
    whole = server.answer("vmaf_score", **PAIR, per_frame=True)["frames"]
    part = server.call("describe_worst_frames", **PAIR, start="6f", frames=4, count=1)
    scores = server.answer("vmaf_score", **PAIR, start="6f", frames=4, per_frame=True)["frames"]
    (worst,) = part.structured_content["worst"]
    assert part.structured_content["frames_in_clip"] == 4
    assert worst["score"] == min(frame["score"] for frame in scores)
    # But for motion, features of a frame do not depend on where a measurement begins.
    assert worst["features"]["adm2"] == whole[6 + worst["frame"]]["features"]["adm2"]
    assert len(pictures(part)) == 1


def test_videos_are_ranked_as_they_score_alone(server):
    answer = server.answer("rank", **RANKED, model="tiny", interval=0.9, out="ranking.json")
    pairs = [(server.folder / "ref.y4m", server.folder / name) for name in RANKED["distorted"]]
    scores = [vmaf_jax.score(*pair, model="tiny", interval=0.9) for pair in pairs]
    best = sorted(zip(RANKED["distorted"], scores, strict=True), key=lambda e: -e[1].pooled)
    assert [entry["distorted"] for entry in answer["ranked"]] == [name for name, _ in best]
    for entry, (name, expected) in zip(answer["ranked"], best, strict=True):
        assert entry["score"] == pytest.approx(expected.pooled, abs=1e-6)  # batches differ
        assert entry["bytes"] == (server.folder / name).stat().st_size
        assert entry["interval"]["level"] == 0.9
        assert entry["statistics"]["frames"] == 12
    assert answer["out"] == str(server.out / "ranking.json")
    written = json.loads((server.out / "ranking.json").read_text())["ranked"]
    assert [len(entry["frames"]) for entry in written] == [12, 12]


def test_a_video_that_cannot_be_ranked_is_named(server):
    answer = server.answer("rank", reference="ref.y4m", distorted=["dis.mp4", "short.mp4"])
    assert (answer["n_ranked"], answer["n_failed"], answer["out"]) == (1, 1, None)
    assert "9 frames" in answer["failed"][0]["reason"]


def test_a_folder_stands_for_its_videos(server):
    folder = server.folder / "two"
    folder.mkdir()
    for name in ("dis.mp4", "small.mp4"):
        (folder / name).write_bytes((server.folder / name).read_bytes())
    answer = server.answer("rank", reference="ref.y4m", distorted=["two"], frames=3)
    assert {entry["distorted"] for entry in answer["ranked"]} == {"dis.mp4", "small.mp4"}


def test_a_folder_with_a_text_among_its_videos_names_it_and_the_way_out(server):
    folder = server.folder / "mixed"
    folder.mkdir()
    (folder / "dis.mp4").write_bytes((server.folder / "dis.mp4").read_bytes())
    (folder / "list.mp4").write_text("#EXTM3U\n")
    text = server.refusal("rank", reference="ref.y4m", distorted=["mixed"])
    assert "mixed/list.mp4: a playlist" in text
    assert "name the folder's other videos one by one" in text


def test_messages_name_arguments_in_place_of_options(server):
    (server.folder / "rated.csv").write_text(
        "reference,distorted,source,mos\nref.y4m,dis.mp4,b,4\n"
    )
    text = server.refusal("extract", manifest="rated.csv", out="rated.parquet")
    assert "pass 'label_scale' 1 5 " in text
    text = server.refusal("extract", corpus="demo", manifest="rated.csv", out="rated.parquet")
    assert "'manifest' is of corpus manifest, not of 'demo'" in text
    answer = server.answer("rank", reference="ref.y4m", distorted=["short.mp4"])
    assert "or 'shortest' to measure" in answer["failed"][0]["reason"]
    assert "--hull" in _name_arguments("--hull", TOOLS["rank"])
    assert _name_arguments("a--hull", TOOLS["ladder"]) == "a--hull"
    for kept in ("write it with `vmaf-jax extract --corpus demo`.", "b/--out.y4m", "--out.y4m"):
        assert _name_arguments(kept, TOOLS["extract"]) == kept
    assert _name_arguments("drop --out.", TOOLS["extract"]) == "drop 'out'."


def test_a_list_of_videos_becomes_a_table(server):
    rows = "reference,distorted,source,mos\nref.y4m,dis.mp4,bars,4\nref.y4m,small.mp4,bars,2\n"
    (server.folder / "list.csv").write_text(rows)
    arguments = {"manifest": "list.csv", "label_scale": [1, 5], "frames": 5}
    answer = server.answer("extract", **arguments, out="measured.parquet")
    assert (answer["rows"], answer["clips"], answer["sources"]) == (10, 2, ["bars"])
    assert (set(answer["labels"]), answer["label_scale"]) == ({"vmaf_v0.6.1", "mos"}, [1, 5])
    table = read_table(server.out / "measured.parquet")
    pair = (server.folder / "ref.y4m", server.folder / "dis.mp4")
    expected = vmaf_jax.score(*pair, model="vmaf_v0.6.1", frames=5)
    np.testing.assert_array_equal(table.features[:5], expected.table.features)
    assert table.labels["mos"].tolist() == [75.0] * 5 + [25.0] * 5
    for name in (answer["out"], "measured.parquet"):
        alone = server.answer("eval_model_on_split", model="tiny", features=name)
        assert alone["rows"] == 10
    (server.folder / "list.csv").write_text(rows.replace("small.mp4", "../secret.mp4"))
    text = server.refusal("extract", **arguments, out="other.parquet")
    assert "no such file below the allowed folders" in text


def test_features_that_are_there_become_a_table(server):
    pair = (server.folder / "ref.y4m", server.folder / "dis.mp4")
    scores = vmaf_jax.score(*pair, model="vmaf_v0.6.1")
    scores.write_log(server.folder / "own.json")
    (server.folder / "logs.csv").write_text("log,source,mos\nown.json,bars,80\n")
    answer = server.answer("import", logs="logs.csv", out="t/imported.parquet", name="mine")
    assert (answer["rows"], answer["n_sources"], answer["labels"]) == (12, 1, ["mos"])
    table = read_table(Path(answer["out"]))
    np.testing.assert_allclose(table.features, scores.table.features, atol=1e-6)
    assert set(table.corpus) == {"mine"}


def test_codecs_are_compared(server):
    lines = ["source,codec,bitrate,score"]
    for codec, factor in (("old", 1.0), ("new", 0.8)):
        for k, score in enumerate((60, 70, 80, 88)):
            lines.append(f"bars,{codec},{factor * 500 * 2**k},{score}")
    (server.folder / "encodes.csv").write_text("\n".join(lines) + "\n")
    result = server.call("ladder", table="encodes.csv", plot=True, out="ladder.json")
    answer = result.structured_content
    assert (answer["anchor"], answer["n_encodes"], answer["n_left_out"]) == ("old", 8, 0)
    (entry,) = answer["bd_rate"]
    # The same curve at 0.8 times the rate.
    assert list(entry["mean"].values()) == pytest.approx([-20.0] * len(entry["mean"]), abs=1e-9)
    assert {rung["codec"] for rung in answer["hull"]} == {"new"}
    assert len(json.loads((server.out / "ladder.json").read_text())["rungs"]) == 8
    assert len(pictures(result)) == 1


def test_a_table_is_calibrated_by_votes(server, table):
    features = "table.parquet"
    names = read_table(table).clip_groups()[0]
    asked = server.answer("suggest_clips", features=features, count=1, label_scale=[1, 5])
    assert asked["n_titles"] == len({source for _, source, _ in names})
    rated = asked["suggestions"][0]["clips"][0]["clip"]
    (server.folder / "rated.csv").write_text(f"clip,mos,mos_ci95\n{rated},4.2,0.3\n")
    request = {"features": features, "votes": "rated.csv", "out": "title", "label_scale": [1, 5]}
    answer = server.answer("calibrate", **request)
    assert (answer["n_clips"], answer["n_rated"]) == (len(names), 1)
    assert (Path(answer["out"]) / "model.onnx").is_file()
    score = server.answer("vmaf_score", **PAIR, model=answer["out"])
    ranked = server.answer("rank", **RANKED, model=answer["out"])["ranked"]
    for entry in (score, *ranked):  # which are of no title of the table
        assert entry["inside_training_region"] is False
        assert "of no title that title has votes on" in entry["warnings"][-1]


def test_a_video_is_encoded_to_a_target(server):
    answer = server.answer("encode", reference="ref.y4m", target=80, out="finished.mp4")
    assert answer["finished"]["holds"]
    assert answer["finished"]["score"] >= 80
    assert answer["bytes"] == (server.out / "finished.mp4").stat().st_size


def test_a_table_is_checked(server, table):
    answer = server.answer("check_table", table=str(table), out="findings.json")
    assert (answer["n_clips"], answer["n_findings"], answer["findings"]) == (211, 0, [])
    assert "frames alone" in answer["skipped"][0]
    assert json.loads((server.out / "findings.json").read_text())["findings"] == []


@pytest.mark.parametrize("split", ["all", "test", "val", "train"])
def test_models_are_ranked_on_a_split(server, table, split):
    models = ["nano", "tiny", "vmaf_v0.6.1"]
    arguments = {"features": table.name, "split": split}
    answer = server.answer("compare_models", models=models, **arguments)
    expected = rank_models(models, table, split=split)
    assert [e["model"] for e in answer["ranked"]] == [e.model for e in expected.ranked]
    assert [e["rmse"] for e in answer["ranked"]] == [e.overall.rmse for e in expected.ranked]
    assert answer["rows"] == len(select_split(read_table(table), split))
    alone = server.answer("eval_model_on_split", model="tiny", **arguments)
    (ranked,) = [entry for entry in answer["ranked"] if entry["model"] == "tiny"]
    assert {name: alone[name] for name in ranked} == ranked


def test_models_are_compared_with_their_intervals(server, table):
    arguments = {"features": table.name, "split": "train", "interval": 0.8}
    models = ["nano", "tiny", "vmaf_v0.6.1"]
    answer = server.answer("compare_models", models=models, **arguments)
    expected = rank_models(models, table, split="train", interval=0.8)
    for entry, truth in zip(answer["ranked"], expected.ranked, strict=True):
        if truth.intervals is None:
            assert (entry["model"], entry["intervals"]) == ("vmaf_v0.6.1", None)
            continue
        clips = [dataclasses.asdict(clip) for clip in truth.intervals.clips]
        figures = {name: getattr(truth.intervals, name) for name in ("level", "held", "mean_width")}
        most = resources.PART // len(models)
        assert entry["intervals"] == figures | {"n_clips": len(clips), "clips": clips[:most]}
        assert len(clips) > most
    alone = server.answer("eval_model_on_split", model="tiny", **arguments)["intervals"]
    assert len(alone["clips"]) == alone["n_clips"] > resources.PART // len(models)


def test_a_student_is_trained_evaluated_and_exported(server, table):
    heard = []

    async def train():
        async def follow(progress, total, message):
            heard.append((progress, message))

        arguments = {"name": "mine", "features": table.name, "network": "nano", "steps": 20}
        return await server.client.call_tool("train_model", arguments, progress_callback=follow)

    result = server.portal.call(train)
    assert not result.is_error, result.content
    answer = result.structured_content
    held_out = pyarrow.parquet.read_table(server.out / "mine" / "folds.parquet").to_pydict()
    error = np.subtract(held_out["predicted"], held_out["label"])
    assert answer["run_dir"] == str(server.out / "mine")
    assert answer["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert answer["sources"] == 23
    assert [step for step, _ in heard] == sorted(step for step, _ in heard)
    assert any("training" in message for _, message in heard)
    alone = server.answer("eval_model_on_split", model=answer["run_dir"], features=table.name)
    assert alone["model"] == "mine"
    assert 0 < alone["rmse"] < 50
    answer = server.answer("export_model", model="mine", out="m/mine.onnx")
    assert {Path(file).name for file in answer["files"]} == {"mine.onnx", "mine.json"}
    assert all(Path(file).is_file() for file in answer["files"])
    scored = server.answer("vmaf_score", **PAIR, model=answer["files"][0])
    assert scored["kind"] == "onnx"


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("none_such", {}, "no tool"),
        ("vmaf_score", {}, "'reference' is missing"),
        ("vmaf_score", {"reference": "ref.y4m"}, "'distorted' is missing"),
        ("vmaf_score", {**PAIR, "old": "x"}, "unknown argument 'old'"),
        ("list_models", {"x": 1}, "unknown argument 'x'"),
        ("vmaf_score", {**PAIR, "reference": 7}, "'reference'"),
        ("vmaf_score", {**PAIR, "width": 10**30}, "'width'"),
        ("vmaf_score", {**PAIR, "width": 0}, "'width'"),
        ("vmaf_score", {**PAIR, "interval": 1.0}, "'interval'"),
        ("vmaf_score", {**PAIR, "interval": 0.9, "model": "vmaf_v0.6.1"}, "there is no interval"),
        ("vmaf_score", {**PAIR, "backend": "abacus"}, "'backend'"),
        ("vmaf_score", {**PAIR, "reference": "x" * 100_000}, "'reference'"),
        ("vmaf_score", {**PAIR, "y" * 100_000: 1}, "unknown argument"),
        ("vmaf_score", {**PAIR, "width": 352}, "raw .yuv files"),
        ("vmaf_score", {**PAIR, "reference": "/etc/passwd"}, "no such file below"),
        ("vmaf_score", {**PAIR, "model": "none_such"}, "no run folder"),
        ("vmaf_score", {**PAIR, "distorted": "short.mp4"}, "9 frames"),
        ("vmaf_score", {**PAIR, "distorted": "audio.wav"}, "no video stream"),
        ("vmaf_score", RAW, "a raw file does not say"),
        ("vmaf_score", {**RAW, "pix_fmt": "420p"}, "'420p' is unknown"),
        ("vmaf_score", {**RAW, "pix_fmt": "yuv420p", "width": 350}, "bytes over"),
        ("describe_worst_frames", {**PAIR, "stream": "7"}, "stream"),
        ("rank", {"reference": "ref.y4m", "distorted": []}, "'distorted'"),
        ("rank", {"reference": "ref.y4m", "distorted": ["../dis.mp4"]}, "no such file below"),
        ("rank", {**RANKED, "out": "ranking.txt"}, "must end in .json"),
        ("rank", {**RANKED, "interval": 0.9, "model": "vmaf_v0.6.1"}, "there is no interval"),
        ("extract", {"out": "t.parquet"}, "needs its file"),
        ("extract", {"corpus": "everything", "out": "t.parquet"}, "'corpus'"),
        ("extract", {"corpus": "demo", "out": "t.csv"}, "must end in .parquet"),
        ("import", {"out": "t.parquet"}, "import needs"),
        ("import", {"out": "../t.parquet", "logs": "ref.y4m"}, "not a name to write"),
        ("import", {"out": "t.parquet", "logs": "ref.y4m"}, "unknown kind"),
        ("ladder", {"table": "table.parquet", "level": 1.0}, "'level'"),
        ("ladder", {"table": "table.parquet"}, "codec"),
        ("compare_models", {"models": [], "features": "ref.y4m"}, "'models'"),
        (
            "compare_models",
            {"models": ["tiny"], "features": "table.parquet", "interval": 1},
            "'interval'",
        ),
        (
            "eval_model_on_split",
            {"model": "vmaf_v0.6.1", "features": "table.parquet", "interval": 0.9},
            "there is no interval",
        ),
        ("compare_models", {"models": ["tiny"] * 999, "features": "ref.y4m"}, "'models'"),
        ("compare_models", {"models": ["tiny"], "features": "ref.y4m"}, "ref.y4m"),
        ("eval_model_on_split", {"model": "tiny", "features": "none.parquet"}, "no such file"),
        ("describe_worst_frames", {**PAIR, "count": 10_000}, "'count'"),
        ("run_benchmark", {"what": "everything"}, "'what'"),
        ("train_model", {"name": "Not a Name"}, "not a name to write"),
        ("train_model", {"name": "x", "steps": 10**9}, "'steps'"),
        ("export_model", {"model": "tiny", "out": "m.txt"}, "must end in .onnx"),
        ("export_model", {"model": "tiny", "out": "m.json", "format": "libvmaf"}, "libvmaf"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_done_is_a_tool_error(server, table, tool, arguments, words):
    text = server.refusal(tool, **arguments)
    assert words in text
    assert len(text) < 2000


def test_a_bad_split_or_label_names_those_there_are(server, table):
    inputs = {"model": "tiny", "features": table.name}
    assert "expected all, train, val" in server.refusal("eval_model_on_split", **inputs, split="x")
    assert "it has: vmaf_v0.6.1" in server.refusal("eval_model_on_split", **inputs, label="mos")


def test_cards_and_pages_are_resources(server):
    listed = server.portal.call(server.client.list_resources).resources
    uris = {str(resource.uri) for resource in listed}
    pages = {"vmaf-jax://docs/architecture", "vmaf-jax://docs/experiments/claims"}
    assert {"vmaf-jax://models/tiny", *pages} <= uris
    for resource in listed:
        (content,) = server.portal.call(server.client.read_resource, str(resource.uri)).contents
        assert resource.title in content.text
        assert "\n::: " not in content.text  # what the site fills in
    for uri in ("vmaf-jax://docs/../README", "file:///etc/passwd", "vmaf-jax://results/0/500"):
        with pytest.raises(MCPError, match=r"no such resource|is gone"):
            server.portal.call(server.client.read_resource, uri)


def test_prompts_take_their_arguments(server):
    names = {p.name for p in server.portal.call(server.client.list_prompts).prompts}
    assert names == {"explain_score", "compare_encodes"}
    arguments = {"reference": "a{distorted}.y4m", "distorted": "b.mp4"}
    prompt = server.portal.call(server.client.get_prompt, "explain_score", arguments)
    text = prompt.messages[0].content.text
    assert "'b.mp4'" in text
    assert "describe_worst_frames" in text
    for name, given in (("explain_score", {"reference": "a"}), ("none", {})):
        with pytest.raises(InputError, match=r"takes exactly|no prompt"):
            get_prompt(name, given)
    with pytest.raises(MCPError, match="no prompt"):
        server.portal.call(server.client.get_prompt, "none", {})


def test_a_long_result_is_read_in_parts(server, encodes, tmp_path):
    frames = 1203
    for name in ("long_ref.yuv", "long_dis.yuv"):
        with (encodes / name).open("wb") as file:
            file.truncate(64 * 64 * 3 // 2 * frames)
    pair = {"reference": "long_ref.yuv", "distorted": "long_dis.yuv", "width": 64, "height": 64}
    pair["pix_fmt"] = "yuv420p"
    result = server.call("vmaf_score", **pair, model="nano", per_frame=True)
    answer = result.structured_content
    assert answer["statistics"]["frames"] == frames
    numbers = [frame["frame"] for frame in answer["frames"]]
    uri = answer["next"]
    links = [str(content.uri) for content in result.content if content.type == "resource_link"]
    assert links == [uri]
    while uri is not None:
        (content,) = server.portal.call(server.client.read_resource, uri).contents
        part = json.loads(content.text)
        numbers += [frame["frame"] for frame in part["frames"]]
        uri = part["next"]
    assert numbers == list(range(frames))


def test_old_long_results_make_room():
    room = resources.LongResults()
    frames = [{"frame": 0, "score": 1.0, "features": {}}] * (resources.PART + 1)
    uris = [room.add(frames) for _ in range(resources.MAX_RESULTS + 2)]
    keys = [uri.split("/")[-2] for uri in uris]
    start = resources.PART
    assert [room.part(key, start) is None for key in keys] == [True] * 2 + [False] * (len(keys) - 2)
    assert json.loads(room.part(keys[-1], start))["next"] is None
    for other in (0, 1, start + 1, 2 * start):
        assert room.part(keys[-1], other) is None
