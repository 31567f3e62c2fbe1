"""The folder that pages take for granted: videos, lists, tables, runs, under the names they use."""

import json
import shutil
import subprocess
from pathlib import Path

from pyarrow import csv

from tests.reporting.support import shipped
from tests.support import run_command
from vmaf_jax.extraction.corpus import CorpusSource
from vmaf_jax.extraction.extract import extract_clips

SOURCE = "testsrc2=size=352x288:rate=24:duration=1,noise=alls=8:all_seed=1"
ENCODES = {"dis.mp4": 30, "small.mp4": 40}


def write_story(folder: Path, ffmpeg: str) -> Path:
    """Writes all of it into `folder`, which is made."""
    (folder / "encodes").mkdir(parents=True)
    _videos(folder, ffmpeg)
    clips = [("ref", "dis", 4.2), ("ref2", "small", 2.1)]
    lines = [
        f"{reference}.y4m,encodes/{clip}.mp4,{reference},{clip},{mos},1 5"
        for reference, clip, mos in clips
    ]
    header = "reference,distorted,source,clip,mos,label_scale"
    (folder / "clips.csv").write_text("\n".join([header, *lines]) + "\n")
    dataset = [
        {"content_id": k, "asset_id": k, "path": f"encodes/{clip}.mp4", "mos": mos}
        for k, (_, clip, mos) in enumerate(clips)
    ]
    references = [{"content_id": k, "path": f"{name}.y4m"} for k, (name, *_) in enumerate(clips)]
    (folder / "dataset.py").write_text(f"ref_videos = {references}\ndis_videos = {dataset}\n")
    _tables(folder, [clip for _, clip, _ in clips])
    _encodes(folder)
    for name, model in {"mine": "rbf", "tiny": "tiny", "a": "nano", "b": "tiny"}.items():
        shipped(folder / "runs" / name, model)
    for name, model in {"mine": "rbf", "tiny": "tiny"}.items():
        onnx = shutil.copy(f"checkpoints/{model}/model.onnx", folder / f"{name}.onnx")
        sidecar = json.loads(Path(f"checkpoints/{model}/model.json").read_text())
        onnx.with_suffix(".json").write_text(json.dumps(sidecar | {"onnx": onnx.name}))
    return folder


def _videos(folder: Path, ffmpeg: str) -> None:
    def make(*arguments: object) -> None:
        line = [ffmpeg, "-v", "error", "-y", *map(str, arguments)]
        subprocess.run(line, check=True, cwd=folder)

    make("-f", "lavfi", "-i", SOURCE, "-pix_fmt", "yuv420p", "ref.y4m")
    for name, crf in ENCODES.items():
        make("-i", "ref.y4m", "-c:v", "libx264", "-crf", crf, f"encodes/{name}")
    pattern = "testsrc=size=352x288:rate=24:duration=2"
    make("-f", "lavfi", "-i", pattern, "-pix_fmt", "yuv420p", "pattern.y4m")
    make("-i", "pattern.y4m", "-threads", 1, "-c:v", "libx264", "-crf", 30, "pattern.mp4")
    for name in ("reference.y4m", "ref2.y4m"):
        shutil.copy(folder / "ref.y4m", folder / name)
    for name in ("distorted.mp4", "phone.mp4", "late.mp4"):
        shutil.copy(folder / "encodes" / "dis.mp4", folder / name)


def _tables(folder: Path, clips: list[str]) -> None:
    """Feature tables of the clips, their logs, and votes for them."""
    table = extract_clips(CorpusSource("manifest", manifest=folder / "clips.csv").clips())
    for name in ("mine", "demo", "frames"):
        table.write(folder / f"{name}.parquet")
    csv.write_csv(table.to_arrow(), folder / "frames.csv")
    (folder / "rated.csv").write_text(f"clip,mos,mos_ci95\n{table.clip[0]},4,0.3\n")
    rated = ("--votes", folder / "rated.csv", "--label-scale", 1, 5, "--out", folder / "calibrated")
    assert run_command("calibrate", "--features", folder / "mine.parquet", *rated).code == 0
    for clip, reference in zip(clips, ("ref", "ref2"), strict=True):
        pair = (folder / f"{reference}.y4m", folder / "encodes" / f"{clip}.mp4")
        assert run_command("score", *pair, "--log", folder / f"{clip}.json").code == 0
    pair = (folder / "reference.y4m", folder / "distorted.mp4")
    result = run_command("score", *pair, "--json", "--per-frame").stdout
    (folder / "baseline.json").write_text(result)
    result = run_command("score", pair[0], folder / "encodes", "--json", "--per-frame").stdout
    (folder / "encodes.json").write_text(result)
    rows = [f"{clip}.json,{source}" for clip, source in zip(clips, "ab", strict=True)]
    (folder / "unscored.csv").write_text("\n".join(["log,source", *rows]) + "\n")
    scored = [f"{row},{mos}" for row, mos in zip(rows, (4, 2), strict=True)]
    (folder / "logs.csv").write_text("\n".join(["log,source,mos", *scored]) + "\n")
    votes = [
        f"{clip},{subject},{5 - k - (k + subject) % 4}"
        for k, clip in enumerate(clips)
        for subject in range(8)
    ]
    (folder / "votes.csv").write_text("\n".join(["clip,subject,score", *votes]) + "\n")


def _encodes(folder: Path) -> None:
    """Scored encodes of a few contents by two codecs, as `ladder` reads them."""
    rows = [
        {"source": source, "codec": codec, "bitrate": rate * share, "score": score - k}
        for k, source in enumerate(("park", "lake", "town", "road", "hall"))
        for codec, share in (("x264", 1.0), ("av1", 0.6))
        for rate, score in ((300, 41.0), (700, 63.0), (1600, 81.0), (4000, 94.0))
    ]
    lines = [",".join(map(str, row.values())) for row in rows]
    (folder / "encodes.csv").write_text("\n".join(["source,codec,bitrate,score", *lines]) + "\n")
    (folder / "encodes.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
