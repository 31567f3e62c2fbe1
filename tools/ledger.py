"""Writes down what users see of vmaf-jax, so that a change of the code says which of it changed.

    python tools/ledger.py            # prints what differs from tools/ledger.json, code 1 for any
    python tools/ledger.py --write    # writes tools/ledger.json

Entries are digests of long texts and the texts themselves where they are short. Digests of feature
tables and of ONNX files hold on one kind of processor and one set of pinned packages.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
LEDGER = ROOT / "tools" / "ledger.json"
COMMANDS = (
    *("train", "extract", "import", "evaluate", "select", "export", "score", "ladder", "check"),
    *("compare-backends", "bench", "report", "registry verify", "doctor", "mcp"),
)
PROGRAM = (sys.executable, "-m", "vmaf_jax")
ENVIRONMENT = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}
# Each is run in a folder that holds nothing else than what `make_bad_inputs` writes.
BAD_LINES = (
    "train --config missing.yaml",
    "train --config unknown_key.yaml",
    "train --config bombs.yaml",
    "evaluate --model tiny --features missing.parquet",
    "evaluate --model tiny --features text.parquet",
    "evaluate --model missing --features text.parquet",
    "score missing.y4m missing.y4m",
    "score empty.y4m empty.y4m",
    "score text.y4m text.y4m",
    "score raw.yuv raw.yuv",
    "score raw.yuv raw.yuv --width 17 --height 17 --pix-fmt yuv420p",
    "score clip.y4m clip.y4m --model text.onnx",
    "score clip.y4m clip.y4m --model missing",
    "score clip.y4m clip.y4m --interval 2",
    "score clip.y4m short.y4m",
    "score clip.y4m small.y4m",
    "export --model missing --format onnx --out out.onnx",
    "export --model tiny --format pixels --out out.onnx",
    "export --model tiny --format onnx --out out.txt",
    "import --logs missing.csv --out out.parquet",
    "import --logs text.csv --out out.parquet",
    "extract --corpus manifest --manifest text.csv --out out.parquet",
    "extract --corpus manifest --manifest missing.csv --out out.txt",
    "ladder missing.csv",
    "ladder text.csv",
    "report missing",
    "select --config missing.yaml",
    "compare-backends --corpus missing",
)


def main() -> int:
    """Compares today's behaviour with the ledger, or writes it; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write tools/ledger.json")
    write = parser.parse_args().write
    entries = collect()
    if write:
        LEDGER.write_text(json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return 0
    known = json.loads(LEDGER.read_text())
    changed = sorted(
        key for key in entries.keys() | known.keys() if entries.get(key) != known.get(key)
    )
    for key in changed:
        print(f"{key}: {known.get(key)!r} -> {entries.get(key)!r}")
    return int(bool(changed))


def collect() -> dict[str, Any]:
    """Returns every entry of the ledger, by a key such as `help/train`."""
    entries: dict[str, Any] = {}
    entries |= {f"help/{name}": digest(run(*name.split(), "--help")) for name in COMMANDS}
    entries["reference"] = digest((ROOT / "docs" / "reference.md").read_bytes())
    entries |= schemas()
    entries |= shipped_files()
    entries |= public_names()
    with tempfile.TemporaryDirectory() as folder:
        entries |= demo_tables(Path(folder))
        entries |= pages(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        make_bad_inputs(Path(folder))
        entries |= {f"line/{line}": refusal(line, Path(folder)) for line in BAD_LINES}
        entries |= loaded_modules(Path(folder))
    return entries


def digest(content: bytes | str) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 of a text or of bytes."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[
        :16
    ]


def run(*arguments: str, cwd: Path = ROOT) -> str:
    """Returns the standard output of `vmaf-jax ARGUMENTS`, which must end with 0."""
    line = [*PROGRAM, *arguments]
    return subprocess.run(
        line, capture_output=True, text=True, check=True, cwd=cwd, env=ENVIRONMENT
    ).stdout


def schemas() -> dict[str, str]:
    """Digests of the JSON schemas of configurations, sidecars and MCP tools."""
    from vmaf_jax.runs.config import Config
    from vmaf_jax.serving.requests import TOOLS
    from vmaf_jax.serving.tools import output_schemas

    written = {"config": Config.model_json_schema()}
    written |= {f"mcp/{name}/request": tool.input_schema for name, tool in TOOLS.items()}
    written |= {f"mcp/{name}/result": schema for name, schema in output_schemas().items()}
    entries = {
        f"schema/{name}": digest(json.dumps(schema, sort_keys=True))
        for name, schema in written.items()
    }
    for path in sorted((ROOT / "checkpoints").glob("*/model.json")):
        entries[f"schema/sidecar/{path.parent.name}"] = digest(
            " ".join(json.loads(path.read_text()))
        )
    return entries


def shipped_files() -> dict[str, str]:
    """Digests of the cards, ONNX files and libvmaf JSON of the shipped models."""
    names = ("card.md", "model.onnx", "model.int8.onnx", "model.libvmaf.json")
    return {
        f"shipped/{path.parent.name}/{path.name}": digest(path.read_bytes())
        for name in names
        for path in sorted((ROOT / "checkpoints").glob(f"*/{name}"))
    }


def public_names() -> dict[str, list[str]]:
    """Names that users import, and the jobs."""
    import vmaf_jax
    import vmaf_jax.features

    jobs = sorted(path.stem for path in (ROOT / "vmaf_jax" / "jobs").glob("[a-z]*.py"))
    return {
        "names/vmaf_jax": sorted(vmaf_jax.__all__),
        "names/vmaf_jax.features": sorted(vmaf_jax.features.__all__),
        "names/vmaf_jax.jobs": jobs,
    }


def demo_tables(folder: Path) -> dict[str, str]:
    """Digests of the demo corpus's features, to 6 decimals, by each backend."""
    import pyarrow.parquet as pq

    entries = {}
    for backend in ("libvmaf", "jax"):
        path = folder / f"{backend}.parquet"
        run("extract", "--corpus", "demo", "--backend", backend, "--out", str(path))
        table = pq.read_table(path)
        columns = [
            np.round(table[name].to_numpy(), 6).tobytes()
            for name in table.column_names
            if str(table.schema.field(name).type) == "double"
        ]
        entries[f"table/demo/{backend}"] = digest(b"".join(columns))
    return entries


def pages(folder: Path) -> dict[str, str]:
    """Digests of the pages of the shipped runs, and of one that compares two."""
    entries = {}
    for runs in (("nano",), ("rbf",), ("nano", "tiny")):
        path = folder / "page.html"
        run("report", *runs, "--out", str(path))
        entries[f"page/{'+'.join(runs)}"] = digest(path.read_bytes())
    return entries


def make_bad_inputs(folder: Path) -> None:
    """Writes files that commands refuse, and a sound clip to set them beside."""
    (folder / "empty.y4m").touch()
    for name in ("text.y4m", "text.onnx", "text.csv", "text.parquet"):
        (folder / name).write_text("not what its name says\n")
    (folder / "raw.yuv").write_bytes(bytes(1000))
    (folder / "unknown_key.yaml").write_text("data: {corpus: support_vectors}\nstudnet: {}\n")
    levels = [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 9)]
    (folder / "bombs.yaml").write_text("\n".join(["a0: &a0 [x]", *levels]) + "\n")
    rng = np.random.default_rng(0)
    for name, width, height, n in (("clip", 64, 48, 3), ("short", 64, 48, 2), ("small", 48, 64, 3)):
        size = width * height * 3 // 2
        frames = rng.integers(16, 235, (n, size), dtype=np.uint8)
        head = f"YUV4MPEG2 W{width} H{height} F24:1 Ip A1:1 C420jpeg\n".encode()
        content = b"".join(b"FRAME\n" + frame.tobytes() for frame in frames)
        (folder / f"{name}.y4m").write_bytes(head + content)


def refusal(line: str, folder: Path) -> list[int | str]:
    """Returns the exit code of a bad command line and the line that says why."""
    ended = subprocess.run(
        [*PROGRAM, *line.split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=ENVIRONMENT,
    )
    said = [text for text in ended.stderr.splitlines() if text.startswith("vmaf-jax: ")]
    return [ended.returncode, " | ".join(said or ended.stderr.splitlines()[-1:])]


def loaded_modules(folder: Path) -> dict[str, list[str]]:
    """Heavy packages that `--help` and the score of a cached pair load."""
    heavy = (
        *("jax", "flax", "optax", "orbax", "onnx", "onnxruntime", "scipy", "pyarrow", "pandas"),
        *("matplotlib", "mcp", "ray", "numpy", "pydantic", "typer", "rich"),
    )
    script = (
        "import sys\n"
        "from vmaf_jax.cli import main\n"
        "try: main(sys.argv[1:], leave=False)\n"
        "except SystemExit: pass\n"
        f"print('LOADED', *[name for name in {heavy} if name in sys.modules])\n"
    )
    entries = {}
    for name, line in (("help", ["--help"]), ("score", ["score", "clip.y4m", "clip.y4m"])):
        for _ in range(2):  # the second time from the cache
            ended = subprocess.run(
                [sys.executable, "-c", script, *line],
                capture_output=True,
                text=True,
                check=True,
                cwd=folder,
                env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            )
        last = next(text for text in ended.stdout.splitlines() if text.startswith("LOADED"))
        entries[f"loads/{name}"] = last.split()[1:]
    return entries


if __name__ == "__main__":
    sys.exit(main())
