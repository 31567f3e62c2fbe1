"""Options that several commands share, with their help, panel and the values a shell completes."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from vmaf_jax.video.comparison import DEINTERLACE, FILM_GRAIN, SCALES

DIFFERING, PART, RAW = "Videos that differ", "A part of the videos", "Raw YUV files"  # panels
MEASURING = "How it is measured"
AUTO, PHONE, V1 = "auto", "phone", "v1"  # names of models that `scoring.model` gives a meaning


def complete(*values: str) -> Callable[[str], list[str]]:
    """Returns the completion, in a shell, of an option that takes one of `values`."""

    def completion(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return completion


def complete_teacher(incomplete: str) -> list[str]:
    """Returns the names of VMAF's models that go on as `incomplete` does."""
    from vmaf_jax.teacher.model_file import known_teachers

    return complete(*known_teachers())(incomplete)


def complete_model(incomplete: str) -> list[str]:
    """Returns names of shipped models and of VMAF's own that go on as `incomplete` does."""
    from vmaf_jax.runs.locate import checkpoints

    shipped = sorted(path.parent.name for path in checkpoints().glob("*/model.onnx"))
    return [*complete(*shipped)(incomplete), *complete_teacher(incomplete)]


def complete_scored_model(incomplete: str) -> list[str]:
    """Returns what `score --model` takes that goes on as `incomplete` does."""
    return [*complete(AUTO, PHONE, V1)(incomplete), *complete_model(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
ConfigFile = Annotated[
    Path, typer.Option("--config", help="A YAML file, or a shipped one by name: opinions.")
]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of the netflix corpus.")]
Manifest = Annotated[Path | None, typer.Option(help="The list of pairs: CSV, JSON Lines, Parquet.")]
Backend = Annotated[
    str,
    typer.Option(help="What measures: libvmaf, or jax.", autocompletion=complete("libvmaf", "jax")),
]
ModelName = Annotated[
    str,
    typer.Option(
        help="Shipped name, run folder, .onnx or libvmaf .json.", autocompletion=complete_model
    ),
]
Label = Annotated[str | None, typer.Option(help="Label column, e.g. mos.")]
Labeller = Annotated[
    str | None, typer.Option(help="Label column of this teacher.", autocompletion=complete_teacher)
]
VoteScale = Annotated[
    tuple[float, float] | None,
    typer.Option("--label-scale", metavar="LO HI", help="The worst and best vote, such as 1 5."),
]
SaveEvery = Annotated[
    float | None,
    typer.Option(
        min=0, help="Seconds between saved states; an ended training goes on from the last."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an earlier result in that folder.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: key=value; repeatable.")
]
Pixels = Annotated[int | None, typer.Option(help="Of a picture.", rich_help_panel=RAW)]
Quantize = Annotated[str | None, typer.Option(help="dynamic or static: an 8-bit file beside it.")]
Teachers = Annotated[
    list[str] | None,
    typer.Option(help="Name or JSON file, repeatable.", autocompletion=complete_teacher),
]
Shortest = Annotated[
    bool, typer.Option("--shortest", help="Allow unequal lengths.", rich_help_panel=DIFFERING)
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Measure pairs that do not compare, such as HDR with SDR.",
        rich_help_panel=DIFFERING,
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        help="Other aspect ratio: stretch, pad or crop.",
        rich_help_panel=DIFFERING,
        autocompletion=complete(*SCALES),
    ),
]
Fps = Annotated[
    str | None,
    typer.Option(
        help="match: pair frames by time stamp.",
        rich_help_panel=DIFFERING,
        autocompletion=complete("match"),
    ),
]
Sync = Annotated[
    str | None,
    typer.Option(
        help="auto: find a constant offset by luma.",
        rich_help_panel=DIFFERING,
        autocompletion=complete("auto"),
    ),
]
Align = Annotated[
    bool,
    typer.Option(
        "--align",
        help="Pair frames by their pictures (drops, repeats, cuts).",
        rich_help_panel=DIFFERING,
    ),
]
Offset = Annotated[
    int,
    typer.Option(help="Frames that the distorted video starts late.", rich_help_panel=DIFFERING),
]
Damaged = Annotated[
    bool,
    typer.Option("--allow-damaged", help="Measure damaged streams too.", rich_help_panel=DIFFERING),
]
Start = Annotated[
    str | None,
    typer.Option(
        help="Where to begin: seconds, 1:02:03.5, or a frame as 48f.", rich_help_panel=PART
    ),
]
Frames = Annotated[
    int | None, typer.Option(help="Measure at most this many frames.", rich_help_panel=PART)
]
PictureRegion = Annotated[
    str | None,
    typer.Option(
        help="Measure a part of the picture alone: x,y,width,height.", rich_help_panel=PART
    ),
]
Deinterlace = Annotated[
    str | None,
    typer.Option(
        help="auto: what says it is interlaced; tff, bff: both.",
        rich_help_panel=DIFFERING,
        autocompletion=complete(*DEINTERLACE),
    ),
]
FilmGrain = Annotated[
    str | None,
    typer.Option(
        help="Grain that decoders add: off, on. [default: as the reference]",
        rich_help_panel=DIFFERING,
        autocompletion=complete(*FILM_GRAIN),
    ),
]
Stream = Annotated[
    str | None,
    typer.Option(
        help="Video stream of the distorted file, from 0; of both files, as 0:1.",
        rich_help_panel=DIFFERING,
    ),
]
PictureSize = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Of --format pixels.")
]
Samples = Annotated[str, typer.Option(help="Of --format pixels: float32 or uint8.")]
Engine = Annotated[
    str,
    typer.Option(
        help="local, or ray: over a cluster.",
        rich_help_panel=MEASURING,
        autocompletion=complete("local", "ray"),
    ),
]
Address = Annotated[
    str | None,
    typer.Option(help="Address of the Ray cluster: HOST:PORT or auto.", rich_help_panel=MEASURING),
]
Provider = Annotated[
    str | None,
    typer.Option(
        help="ONNX Runtime's, of --backend onnx, as CPU or CUDA.",
        rich_help_panel=MEASURING,
        autocompletion=complete("CPU", "CUDA"),
    ),
]
