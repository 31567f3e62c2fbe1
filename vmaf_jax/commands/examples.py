"""Examples that `--help` shows below a command's flags; a test holds them to the flags."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "train": (
        "vmaf-jax train --config configs/tiny.yaml",
        "vmaf-jax train --config opinions --set data.features=mine.parquet",
        "vmaf-jax train --config configs/nano.yaml --set data.features=mine.parquet",
        "vmaf-jax train --config configs/nano.yaml --set 'sweep={student.dropout: [0, 0.1]}'",
        "vmaf-jax train --config c.yaml --distributed --processes 2 --process 0",
    ),
    "extract": (
        "vmaf-jax extract --corpus manifest --manifest clips.csv --out mine.parquet",
        "vmaf-jax extract --corpus demo --out demo.parquet --teacher vmaf_v0.6.1 --mean-pool",
    ),
    "import": (
        "vmaf-jax import --logs logs.csv --label-scale 1 5 --out mine.parquet",
        "vmaf-jax import --frames frames.csv --clips clips.csv --out mine.parquet",
    ),
    "init": ("vmaf-jax init mine", "vmaf-jax init rated --for opinions"),
    "evaluate": (
        "vmaf-jax evaluate --model tiny --features mine.parquet",
        "vmaf-jax evaluate --model runs/a --features mine.parquet --label mos --json",
        "vmaf-jax evaluate --model runs/a --against tiny --features mine.parquet --label mos",
    ),
    "score": (
        "vmaf-jax score reference.y4m distorted.mp4",
        "vmaf-jax score reference.y4m encodes/*.mp4 --html page.html",
        "vmaf-jax score reference.y4m distorted.mp4 --fail-below p5=75 --junit limits.xml",
        "vmaf-jax score reference.yuv distorted.yuv --width 1920 --height 1080 --pix-fmt yuv420p",
    ),
    "encode": (
        "vmaf-jax encode source.mp4 --target 93 --out finished.mp4",
        "vmaf-jax encode source.mp4 --target 93 --out finished.mkv --encoder libsvtav1 -- -g 240",
        "vmaf-jax encode source.mp4 --ladder 1080,720,540 --targets 93,85,70 --hls ladder.m3u8",
    ),
    "export": (
        "vmaf-jax export --model tiny --out tiny.onnx",
        "vmaf-jax export --model rbf --format libvmaf --out rbf.json",
    ),
    "select": ("vmaf-jax select --config selection",),
    "ladder": (
        "vmaf-jax ladder encodes.csv --anchor x264 --csv hull.csv --plot curves.png",
        "vmaf-jax ladder encodes.jsonl --json",
    ),
    "calibrate": (
        "vmaf-jax calibrate --features mine.parquet --suggest 3",
        "vmaf-jax calibrate --features mine.parquet --votes rated.csv --out calibrated",
    ),
    "check": (
        "vmaf-jax check mine.parquet",
        "vmaf-jax check mine.parquet --ratings votes.csv --json",
    ),
    "report": ("vmaf-jax report runs/tiny", "vmaf-jax report runs/a runs/b --out compared.html"),
    "compare-backends": ("vmaf-jax compare-backends --corpus demo",),
    "bench": ("vmaf-jax bench inference", "vmaf-jax bench features --repeats 3 --json"),
    "doctor": ("vmaf-jax doctor",),
    "mcp": ("vmaf-jax mcp --allow videos --out results",),
}


def epilog(command: str) -> str | None:
    """The examples of a command, a line each."""
    lines = EXAMPLES.get(command)
    return (
        None if lines is None else "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
    )
