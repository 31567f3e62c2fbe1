import csv
import io
import json

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax.corpora.encodes import Encode
from vmaf_jax.errors import InputError
from vmaf_jax.jobs.ladder import MAX_PANELS, Rung, check_panels, ladder, rungs_csv

SCORES = (41.0, 63.0, 81.0, 94.0)


def rows(contents=6, codecs=(("x264", 1.0), ("av1", 0.6)), **more):
    return [
        {"clip": f"c{k}", "codec": codec, "bitrate": round(rate * share * (1 + k / 20), 3)}
        | {"score": score - k / 10, **more}
        for k in range(contents)
        for codec, share in codecs
        for rate, score in zip((300, 700, 1600, 4000), SCORES, strict=True)
    ]


def write(path, entries):
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(k for e in entries for k in e)))
            writer.writeheader()
            writer.writerows(entries)
    elif path.suffix == ".json":
        path.write_text(json.dumps(entries))
    else:
        path.write_text("\n".join(map(json.dumps, entries)))
    return path


def test_the_command_end_to_end(tmp_path):
    table = write(tmp_path / "encodes.csv", rows())
    out = ["--csv", tmp_path / "hull.csv", "--plot", tmp_path / "curves.png"]
    finished = run_command("ladder", table, "--anchor", "x264", "--json", *out)
    assert finished.code == 0, finished.stderr
    document = json.loads(finished.stdout)
    (entry,) = document["bd_rate"]
    assert (entry["codec"], entry["contents"]) == ("av1", 6)
    assert entry["pchip"] == pytest.approx(-40, abs=1e-3)
    assert entry["akima"] == pytest.approx(-40, abs=1e-3)
    low, high = entry["intervals"]["pchip"]
    assert low <= entry["pchip"] <= high
    points = list(csv.DictReader((tmp_path / "hull.csv").read_text().splitlines()))
    assert len(points) == 48
    assert {p["codec"] for p in points if p["on_hull"] == "1"} == {"av1"}
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    for kind in ("json", "jsonl"):
        same = write(tmp_path / f"encodes.{kind}", rows())
        assert json.loads(run_command("ladder", same, "--anchor", "x264", "--json").stdout) == (
            document
        )
    for_people = run_command("ladder", table)
    assert "-40.00 %" in for_people.stdout
    assert "convex hull: c5" in for_people.stdout


def test_intervals_are_of_the_level_that_was_asked_for(tmp_path):
    """Of six contents a level of 0.5 has intervals of about 0.28 times those of 0.95 (Student)."""
    entries = rows()
    for number, entry in enumerate(entries):
        content = number // 8
        if entry["codec"] == "av1":
            entry["bitrate"] *= 1 + [0.0, 0.1, -0.1, 0.05, 0.2, -0.15][content]
    table = write(tmp_path / "encodes.csv", entries)
    widths = {}
    for level in (0.5, 0.95):
        document = json.loads(run_command("ladder", table, "--level", level, "--json").stdout)
        assert document["level"] == level
        low, high = document["bd_rate"][0]["intervals"]["pchip"]
        widths[level] = high - low
        shown = run_command("ladder", table, "--level", level).stdout
        (line,) = (line for line in shown.splitlines() if f"{100 * level:g} % interval" in line)
        assert f"{low:+.2f} %" in line
    assert 0.15 < widths[0.5] / widths[0.95] < 0.45


def test_several_resolutions_give_curves_through_the_hull(tmp_path):
    small = [e | {"height": 360, "score": e["score"] * 0.7} for e in rows(1)]
    large = [e | {"height": 1080, "bitrate": e["bitrate"] * 1.5} for e in rows(1)]
    result = ladder(write(tmp_path / "e.csv", small + large))
    assert result.hull
    curve = result.curves["c0"]["x264"]
    dearer = [e for e in small if e["codec"] == "x264" and e["bitrate"] > 450]
    assert not set(curve.score) & {e["score"] for e in dearer}  # the larger picture is better
    with pytest.raises(InputError, match="does not rise"):
        ladder(tmp_path / "e.csv", hull=False)


def test_units_and_score_documents(tmp_path):
    plain = ladder(write(tmp_path / "a.csv", rows()))
    in_mbps = [e | {"bitrate": f"{e['bitrate'] / 1000} Mbps"} for e in rows()]
    other = ladder(write(tmp_path / "b.csv", in_mbps))
    assert [r.encode.kbps for r in other.rungs] == pytest.approx(
        [r.encode.kbps for r in plain.rungs]
    )
    documents = [
        {k: v for k, v in e.items() if k != "clip"}
        | {"reference": f"refs/{e['clip']}.y4m", "model": "tiny", "statistics": {"frames": 48}}
        for e in rows()
    ]
    assert list(ladder(write(tmp_path / "c.jsonl", documents)).curves) == list(plain.curves)


def damaged(**change):
    entries = rows(2)
    entries[5] |= change
    return entries


def crossing():
    entries = rows(1)
    for entry in entries[4:]:
        entry["bitrate"] = entry["bitrate"] ** 1.4 / 12
    return entries


def apart():
    """Every codec has curves, but no score that the other reaches."""
    return [e | {"score": e["score"] / 3 - 9} if e["codec"] == "av1" else e for e in rows(2)]


@pytest.mark.parametrize(
    ("entries", "flags", "message"),
    [
        (
            rows()[:2],
            [],
            "no curve can be made; left out: 'c0' by x264 has 2 points; a curve needs 3",
        ),
        (
            rows(1) + [e | {"codec": "vp9"} for e in rows(1)[:1]],
            ["--anchor", "vp9"],
            "has no curve",
        ),
        (apart(), [], "nothing can be compared with x264; left out: 'c1' by av1 and x264 reach"),
        (damaged(score=True), [], "row 6, column 'score': expected a number such as 12.5"),
        (damaged(score="7_0"), [], "row 6, column 'score': expected a number such as 12.5"),
        (damaged(score="\u0667\u0660"), [], "row 6, column 'score': expected a number"),
        (damaged(bitrate=True), [], "row 6, column 'bitrate'"),
        (damaged(bitrate="7_0"), [], "row 6, bitrate '7_0'"),
        (damaged(bitrate=1e307), [], "a rate is above 0, from 0.001 to 1e+09 kbit/s"),
        (damaged(bitrate=1e-300), [], "a rate is above 0, from 0.001"),
        (crossing(), [], "curves of av1 and x264 cross at score"),
        (damaged(bitrate=0), [], "row 6, bitrate '0': a rate is above 0"),
        (damaged(bitrate=-3), [], "a rate is above 0"),
        (damaged(bitrate="nan"), [], "expected a number of kbit/s"),
        (damaged(bitrate="1.2 Mbps"), [], "row 1 has its bitrate in kbps, row 6 in mbps"),
        (damaged(bitrate=420_000), [], "as if units were mixed"),
        (damaged(bitrate="fast"), [], "row 6, bitrate 'fast'"),
        (damaged(score=101), [], "row 6, column 'score'"),
        (damaged(score="nan"), [], "row 6, column 'score'"),
        (damaged(score=20), [], "better score, or pass --hull (docs/traps.md)."),
        (damaged(bitrate=rows(2)[4]["bitrate"]), [], "rows 5 and 6 are both of 'c0'"),
        (damaged(model="nano"), [], "scores of different models"),
        (damaged(height=1080), [], "has no height, others have one"),
        (damaged(height="tall"), [], "resolution 'tall'"),
        (rows(), ["--level", "1"], "--level 1: expected more than 0"),
        (rows(), ["--level", "nan"], "--level nan"),
        (rows(), ["--anchor", "vp9"], "--anchor vp9"),
        (rows(), ["--content", "x"], "--content x"),
        ([e | {"clip": e["codec"]} for e in rows(1)], [], "no content in common"),
        (rows(30), ["--plot", "many.png"], "30 contents, at most 24"),
        ([], [], "lists no encode"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, entries, flags, message):
    monkeypatch.chdir(tmp_path)
    finished = run_command("ladder", write(tmp_path / "e.jsonl", entries), *flags)
    assert finished.code == 2
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert finished.stdout == ""
    assert not (tmp_path / "many.png").exists()


def test_crossing_curves_can_be_allowed(tmp_path):
    result = ladder(write(tmp_path / "e.csv", crossing()), allow_crossing=True)
    (entry,) = result.bd_rates
    assert np.isfinite(entry.mean["akima"])
    assert entry.contents["c0"].crossings
    assert entry.intervals == {"pchip": None, "akima": None}  # one content


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"ranked": rows(1), "failed": []}, "is a ranking of `score --json`"),
        (rows(1)[0], "expected a list of encodes; put [ and ] around them"),
        (3, "expected a list of encodes"),
    ],
    ids=["ranking", "one score", "number"],
)
def test_a_document_that_is_no_list_is_told_how_to_be_one(tmp_path, document, words):
    (tmp_path / "e.json").write_text(json.dumps(document))
    finished = run_command("ladder", tmp_path / "e.json")
    assert (finished.code, finished.stderr.count("\n")) == (2, 1)
    assert words in finished.stderr


def test_what_tells_nothing_is_left_out_and_named(tmp_path):
    """A codec of one point and a pair without overlap leave the other figures as they are."""
    odd = [{"clip": "c0", "codec": "vp9", "bitrate": 500, "score": 50.0, "height": ""}]
    few = [e for e in rows(1) if e["codec"] == "x264"][:2]
    low = [e | {"clip": "low", "score": e["score"] / 9} for e in rows(1) if e["codec"] == "av1"]
    high = [
        e | {"clip": "low", "score": 40 + e["score"] / 2} for e in rows(1) if e["codec"] == "x264"
    ]
    entries = odd + rows() + [e | {"clip": "few"} for e in few] + high + low
    for entry in entries:
        entry["height"] = 1080.0
    table = write(tmp_path / "e.jsonl", entries)
    finished = run_command("ladder", table, "--json", "--plot", tmp_path / "p.png")
    assert finished.code == 0, finished.stderr
    assert finished.stderr.splitlines() == [
        "left out: 'c0' by vp9 has 1 point; a curve needs 3, add encodes",
        "left out: 'few' by x264 has 2 points; a curve needs 3, add encodes",
        "left out: 'low' by av1 and x264 reach 4.55556 to 10.4444 and 60.5 to 87, no score in "
        "common; add encodes",
    ]
    document = json.loads(finished.stdout)
    assert document["anchor"] == "x264"
    assert [(o["content"], o["codec"]) for o in document["left_out"]] == [
        ("c0", "vp9"),
        ("few", "x264"),
        ("low", "av1 and x264"),
    ]
    (entry,) = document["bd_rate"]
    plain = ladder(write(tmp_path / "plain.jsonl", rows()))
    assert entry["contents"] == 6
    assert entry["pchip"] == pytest.approx(100 * plain.bd_rates[0].mean["pchip"])
    assert len(document["rungs"]) == len(entries)


@pytest.mark.parametrize(("delimiter", "decimal"), [(";", ","), ("\t", "."), (",", ".")])
def test_tables_as_spreadsheets_save_them(tmp_path, delimiter, decimal):
    header = delimiter.join(["\ufeffclip", " codec", '"bitrate"', "score"])
    lines = [
        delimiter.join(
            [
                e["clip"],
                e["codec"],
                *(str(e[k]).replace(".", decimal) for k in ("bitrate", "score")),
            ]
        )
        for e in rows()
    ]
    (tmp_path / "e.csv").write_text("\r\n".join([header, *lines, ""]))
    plain = ladder(write(tmp_path / "plain.csv", rows()))
    assert ladder(tmp_path / "e.csv").bd_rates == plain.bd_rates


@pytest.mark.parametrize("rise", [5e-324, 1e-300, 1e-7])
def test_scores_that_hardly_rise_are_no_curve(tmp_path, rise):
    entries = [e | {"score": k * rise} for k, e in enumerate(rows(1)[:4])]
    with pytest.raises(InputError, match="does not rise"):
        ladder(write(tmp_path / "e.jsonl", entries))


@pytest.mark.parametrize(
    "unit", ["{} kb/s", "{}kbits/s", "{}k", "{} KBPS", "{}K", "{} kbit/s", "{:.3f}"]
)
def test_rates_as_ffmpeg_and_people_write_them(tmp_path, unit):
    entries = [e | {"bitrate": unit.format(e["bitrate"])} for e in rows(1)]
    assert ladder(write(tmp_path / "e.jsonl", entries)).rungs[0].encode.kbps == 180


@pytest.mark.parametrize("unit", ["kBps", "kB/s", "MBps", "Bps"])
def test_bytes_are_not_taken_for_bits(tmp_path, unit):
    entries = rows(1)
    entries[3]["bitrate"] = f"100 {unit}"
    with pytest.raises(InputError, match=f"row 4, bitrate '100 {unit}': {unit} is bytes"):
        ladder(write(tmp_path / "e.jsonl", entries))


def test_a_lossless_encode_is_no_mixture_of_units(tmp_path):
    lossless = {"clip": "c0", "bitrate": 500_000.0, "score": 99.5}
    alone = ladder(write(tmp_path / "e.jsonl", [*rows(1), lossless | {"codec": "ffv1"}]))
    assert alone.bd_rates[0].mean["pchip"] == pytest.approx(-0.4, abs=1e-5)
    top = ladder(write(tmp_path / "e.jsonl", [*rows(1), lossless | {"codec": "x264"}]))
    assert top.curves["c0"]["x264"].score[-1] == 99.5
    mixed = [*rows(1), lossless | {"codec": "x264", "bitrate": 8e6}]
    with pytest.raises(InputError, match=r"4000 kbit/s by x264 and 8e\+06 by x264"):
        ladder(write(tmp_path / "e.jsonl", mixed))


def test_a_table_in_utf_16_is_read(tmp_path):
    for name in ("e.json", "e.jsonl", "e.csv"):
        path = write(tmp_path / name, rows(1))
        path.write_text(path.read_text(), encoding="utf-16")
        assert len(ladder(path).rungs) == 8


def test_a_column_that_has_a_use_is_not_proposed_for_another(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("source,codec,bitrate,vmaf\na,x264,1,2\n")
    with pytest.raises(InputError, match="no column 'score'; it has source, codec, bitrate, vmaf"):
        ladder(path)


def test_rungs_read_back_as_the_same_numbers():
    rate, score = 0.1 + 0.2, 100 / 3
    encodes = [Encode("a, b", "x264", rate, score, 720), Encode('"c"', "av1", 1e-3, 0.0)]
    content = rungs_csv([Rung(encodes[0], True, False), Rung(encodes[1], False, True)])
    first, second = csv.DictReader(io.StringIO(content.decode()))
    assert (float(first["kbps"]), float(first["score"])) == (rate, score)
    assert (first["content"], first["on_hull"], first["on_codec_hull"]) == ("a, b", "1", "0")
    assert (second["content"], second["height"], second["on_codec_hull"]) == ('"c"', "", "1")


def test_a_plot_has_a_panel_for_every_content():
    check_panels(range(MAX_PANELS))
    with pytest.raises(InputError, match="--content"):
        check_panels(range(MAX_PANELS + 1))
