"""Options that several commands share, with their help."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
ConfigFile = Annotated[Path, typer.Option("--config", help="YAML file, or a name as opinions.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder of the netflix corpus.")]
Manifest = Annotated[Path | None, typer.Option(help="CSV, JSON Lines or Parquet.")]
Backend = Annotated[str, typer.Option(help="What measures: libvmaf, or jax.")]
ModelName = Annotated[str, typer.Option(help="Shipped name, run folder, .onnx or libvmaf .json.")]
Label = Annotated[str | None, typer.Option(help="Label column, e.g. mos.")]
Labeller = Annotated[str | None, typer.Option(help="Label column of this teacher.")]
VoteScale = Annotated[
    tuple[float, float] | None,
    typer.Option("--label-scale", metavar="LO HI", help="The worst and the best vote, as 1 5."),
]
SaveEvery = Annotated[
    float | None, typer.Option(min=0, help="Seconds between saved states; resumes from one.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an earlier result in that folder.")
]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="key=value, repeatable.")]
Pixels = Annotated[int | None, typer.Option(help="Of raw YUV.")]
Quantize = Annotated[str | None, typer.Option(help="dynamic or static: an 8-bit file beside it.")]
Teachers = Annotated[list[str] | None, typer.Option(help="Name or JSON file, repeatable.")]
Shortest = Annotated[bool, typer.Option("--shortest", help="Allow unequal lengths.")]
Force = Annotated[
    bool, typer.Option("--force", help="Measure pairs that do not compare, such as HDR with SDR.")
]
Scale = Annotated[str | None, typer.Option(help="Other aspect ratio: stretch, pad or crop.")]
Fps = Annotated[str | None, typer.Option(help="match: pair frames by time stamp.")]
Sync = Annotated[str | None, typer.Option(help="auto: find a constant offset by luma.")]
Offset = Annotated[int, typer.Option(help="Frames that the distorted video starts late.")]
Damaged = Annotated[bool, typer.Option("--allow-damaged", help="Measure damaged streams too.")]
Start = Annotated[
    str | None, typer.Option(help="Where to begin: seconds, 1:02:03.5, or a frame as 48f.")
]
Frames = Annotated[int | None, typer.Option(help="Measure so many frames at most.")]
Deinterlace = Annotated[
    str | None, typer.Option(help="auto: what says it is interlaced; tff, bff: both.")
]
Stream = Annotated[
    str | None,
    typer.Option(help="Video stream of the distorted file, from 0; of both files, as 0:1."),
]
PictureSize = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Of --format pixels.")
]
Samples = Annotated[str, typer.Option(help="Of --format pixels: float32 or uint8.")]
Engine = Annotated[str, typer.Option(help="local, or ray: over a cluster.")]
Address = Annotated[str | None, typer.Option(help="Of the Ray cluster: HOST:PORT, auto.")]
Provider = Annotated[
    str | None, typer.Option(help="ONNX Runtime's, of --backend onnx, as CPU or CUDA.")
]
