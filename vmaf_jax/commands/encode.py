"""Commands on encodes: `encode`, to a target score, and `ladder`, which compares codecs."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vmaf_jax.commands import options
from vmaf_jax.errors import GateError, InputError

if TYPE_CHECKING:
    from vmaf_jax.jobs.encode import EncodeSettings
    from vmaf_jax.jobs.ladder import Ladder


@dataclasses.dataclass(frozen=True)
class LadderOptions:
    """Options of `encode` that ask for the rungs of a ladder in place of a file."""

    ladder: Annotated[
        str | None,
        typer.Option(help="Heights, as 1080,720,540: find rungs for --targets, encode no file."),
    ] = None
    targets: Annotated[
        str | None, typer.Option(help="Of the ladder's rungs, points, as 93,85,70.")
    ] = None
    hls: Annotated[
        Path | None, typer.Option(help="Write the ladder as a playlist of HLS, .m3u8.")
    ] = None

    def read_targets(self, *, one_file: bool, refused: bool) -> list[float]:
        """Returns the targets of the rungs, points; none without a ladder.

        Args:
            one_file: whether both --target and --out are named.
            refused: whether an option is named that goes with one file alone.
        """
        if (self.ladder is None) != (self.targets is None):
            raise InputError("--ladder and --targets go together; name both.")
        targets = [] if self.targets is None else _split_numbers("--targets", self.targets)
        if self.ladder is None and (not one_file or self.hls is not None):
            raise InputError("--target and --out are needed (--hls is of --ladder); name both.")
        if self.ladder is not None and refused:
            raise InputError(
                "--ladder writes no video: drop --target, --out, --html and --dry-run."
            )
        return targets


NO_LADDER = LadderOptions()


@options.expand_settings
def encode(
    reference: Annotated[Path, typer.Argument(help="The video to encode.")],
    encoder_args: Annotated[
        list[str] | None,
        typer.Argument(help="After --: further options of the encoder, as -g 240."),
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="Score, as 93, that the finished file must have.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The finished file: .mp4, .mkv, .mov, .webm.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="Shipped name, run folder, .onnx, libvmaf .json; auto: VMAF.")
    ] = "auto",
    votes: Annotated[
        bool, typer.Option("--votes", help="The target is a vote, as 4.2, of a model of votes.")
    ] = False,
    encoder: Annotated[
        str, typer.Option(help="libx264, libx265, libsvtav1, libvpx-vp9 or libaom-av1.")
    ] = "libx264",
    preset: Annotated[str | None, typer.Option(help="The encoder's speed, in its words.")] = None,
    pix_fmt: Annotated[str | None, typer.Option(help="Of the encode, such as yuv420p10le.")] = None,
    height: Annotated[
        int | None, typer.Option(help="Lines of the encode, scaled back for scoring.")
    ] = None,
    confidence: Annotated[
        float, typer.Option(help="Probability, at least, that the finished file meets the target.")
    ] = 0.95,
    pool: Annotated[
        str | None,
        typer.Option(help="mean, harmonic, p1, p5, p10, median, worst-second, worst-shot."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Points above the target beyond which it is encoded again.")
    ] = 1.5,
    max_kbps: Annotated[float | None, typer.Option(help="Most kbit/s of the video.")] = None,
    min_saving: Annotated[
        float | None, typer.Option(help="Least percent of the source's bytes to save.")
    ] = None,
    per_shot: Annotated[
        bool, typer.Option("--per-shot", help="Give each shot the setting that suits it.")
    ] = False,
    rungs: LadderOptions = NO_LADDER,
    html: Annotated[
        Path | None, typer.Option(help="A page: the curve, the probes, the finished file.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the source and stop at the plan.")
    ] = False,
    json_: options.Json = False,
) -> None:
    """Encode a video as cheaply as a target score allows."""
    from vmaf_jax.files import check_output
    from vmaf_jax.jobs.encode import EncodeSettings
    from vmaf_jax.jobs.encode import encode as encode_to_target
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines

    targets = rungs.read_targets(
        one_file=target is not None and out is not None,
        refused=target is not None or out is not None or dry_run or html is not None,
    )
    settings = EncodeSettings(
        target=targets[0] if target is None else target,
        votes=votes,
        model=model,
        encoder=encoder,
        preset=preset,
        pix_fmt=pix_fmt,
        height=height,
        encoder_args=tuple(encoder_args or ()),
        confidence=confidence,
        pool=pool,
        tolerance=tolerance,
        max_kbps=max_kbps,
        min_saving=min_saving,
        per_shot=per_shot,
    )
    if rungs.ladder is not None:
        _make_ladder(reference, rungs.ladder, targets, settings, rungs.hls, json=json_)
        return
    assert out is not None, "checked above"  # noqa: S101
    if html is not None:
        check_output(html, ".html", [reference])
    with Terminal() as terminal:
        result = encode_to_target(reference, out, settings, dry_run=dry_run, progress=terminal)
    if html is not None:
        from vmaf_jax.jobs.encode_page import write_encode_page

        write_encode_page(html, result)
    if json_:
        show_json(result)
    else:
        show_lines(result.lines())
    result.check()


def _make_ladder(
    reference: Path,
    heights: str,
    targets: list[float],
    settings: "EncodeSettings",
    hls: Path | None,
    *,
    json: bool,
) -> None:
    """Finds the rungs of a ladder, shows them, and writes the playlist."""
    from vmaf_jax.files import check_output, write_text
    from vmaf_jax.jobs.encode_ladder import encode_ladder
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_rows

    if settings.height or settings.max_kbps or settings.min_saving or settings.per_shot:
        raise InputError(
            "--ladder: takes no --height, --max-kbps, --min-saving and --per-shot; drop them."
        )
    if hls is not None:
        check_output(hls, ".m3u8", [reference])
    lines = [int(height) for height in _split_numbers("--ladder", heights)]
    with Terminal() as terminal:
        made = encode_ladder(reference, lines, targets, settings, progress=terminal)
    if hls is not None:
        write_text(hls, made.to_hls())
    if json:
        show_json(made)
    else:
        rows = [
            [
                f"{rung.target:g}",
                f"{rung.width}x{rung.height}",
                f"{rung.setting:g}",
                f"{rung.score:.2f}",
                f"{rung.kbps:.0f}",
            ]
            for rung in made.rungs
        ]
        names = ("target", "size", "setting", "score", "kbit/s")
        show_rows(names, rows, title=f"ladder: {made.model}, {made.encoder}")
    if made.unreached:
        missed = ", ".join(f"{target:g}" for target in made.unreached)
        raise GateError(f"--targets: no height reaches {missed}.")


def _split_numbers(flag: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"{flag} {text}: expected numbers with commas between them.") from error


def ladder(
    table: Annotated[Path, typer.Argument(help="Scored encodes: .csv, .json, .jsonl, .parquet.")],
    anchor: Annotated[str | None, typer.Option(help="Codec to compare others with.")] = None,
    level: Annotated[float, typer.Option(help="Of BD-rate's intervals, in (0, 1).")] = 0.95,
    hull: Annotated[
        bool | None, typer.Option(help="Curves through each codec's hull, or all encodes.")
    ] = None,
    allow_crossing: Annotated[
        bool, typer.Option("--allow-crossing", help="Compare curves that cross.")
    ] = False,
    content: Annotated[str | None, typer.Option(help="Only this content.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write encodes and hulls here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curves, a .png file.")] = None,
    json_: options.Json = False,
) -> None:
    """Compare codecs by rate and quality: curves, BD-rate, convex hull."""
    from vmaf_jax.files import check_output, write_bytes
    from vmaf_jax.jobs.ladder import check_panels, rungs_csv
    from vmaf_jax.jobs.ladder import ladder as make_ladder
    from vmaf_jax.reporting.terminal import show_json, show_lines

    for path, suffix in ((csv, ".csv"), (plot, ".png")):
        if path is not None:
            check_output(path, suffix, [table])
    result = make_ladder(
        table, anchor=anchor, level=level, hull=hull, allow_crossing=allow_crossing, content=content
    )
    show_lines(map(str, result.left_out), on_error=True)
    hulls = result.hulls()
    if plot is not None:
        check_panels(hulls)
    if csv is not None:
        write_bytes(csv, rungs_csv(result.rungs))
    if plot is not None:
        from vmaf_jax.reporting.plots import plot_curves

        write_bytes(plot, plot_curves(result.curves, hulls))
    if json_:
        show_json(result.to_dict())
    else:
        _show_ladder(result)


def _show_ladder(ladder: "Ladder") -> None:
    """Shows the BD-rate of each codec on each content and over all, then each content's hull."""
    from vmaf_jax.evaluation.rate_quality import METHODS
    from vmaf_jax.jobs.ladder import MIN_OVERLAP
    from vmaf_jax.printable import format_change
    from vmaf_jax.reporting.terminal import show_rows

    for rate in ladder.bd_rates:
        by_content = [
            [
                name,
                *(format_change(entry.bd_rate[method]) for method in METHODS),
                f"{entry.low:.1f} to {entry.high:.1f}",
                f"{100 * entry.overlap:.0f} %{'' if entry.overlap >= MIN_OVERLAP else ' (little)'}",
            ]
            for name, entry in rate.contents.items()
        ]
        ends = [rate.intervals[method] for method in METHODS]
        intervals = [" to ".join(map(format_change, e)) if e else "too few contents" for e in ends]
        over_all = [
            ["mean", *(format_change(rate.mean[method]) for method in METHODS)],
            [f"{100 * ladder.level:g} % interval", *intervals],
        ]
        columns = ("content", *METHODS, "scores", "overlap")
        show_rows(columns, by_content, over_all, title=f"{rate.codec} to {ladder.anchor}")
    for content, encodes in ladder.hulls().items():
        rows = [
            [f"{e.kbps:.1f}", e.codec, "" if e.height is None else str(e.height), f"{e.score:.2f}"]
            for e in encodes
        ]
        show_rows(("kbit/s", "codec", "lines", "score"), rows, title=f"convex hull: {content}")
