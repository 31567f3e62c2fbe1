"""The command `vmaf-jax score`: one pair, or several distorted videos as a ranking."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vmaf_jax.commands import options
from vmaf_jax.commands.program import HELP_ALL
from vmaf_jax.environment import prepare_extraction
from vmaf_jax.errors import GateError, InputError
from vmaf_jax.files import check_output, is_folder
from vmaf_jax.printable import format_count, printable
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.inputs import Video, check_video
from vmaf_jax.video.pixel_format import RAW_FORMATS

if TYPE_CHECKING:
    from vmaf_jax.scoring.gate import Check, Gate
    from vmaf_jax.scoring.rank import Failure, Ranking
    from vmaf_jax.scoring.score import ScoreSettings
    from vmaf_jax.scoring.scores import Scores


_FILES = "Files and output"
_GATE = "Limits (exit code 1)"


def _complete_metrics(incomplete: str) -> list[str]:
    """Returns lists of extra metrics that go on as `incomplete`, a list, does."""
    from vmaf_jax.extraction.request import METRICS

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in options.complete(*METRICS)(last)]


def _complete_pool(incomplete: str) -> list[str]:
    """Returns poolings that go on as `incomplete` does."""
    from vmaf_jax.evaluation.clip_pooling import POOLS  # loads NumPy, which help does without

    return options.complete(*POOLS)(incomplete)


def _show_all_help(ctx: Any, asked: bool) -> bool:
    """Shows the help of every option, and ends, where `--help-all` asks for it."""
    if asked:
        ctx.meta[HELP_ALL] = True
        typer.echo(ctx.get_help())
        raise typer.Exit
    return asked


@dataclasses.dataclass(frozen=True)
class Output:
    """Files that `score` writes beside its result, and how much of the result it prints."""

    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the score and no more.")] = (
        False
    )
    json: options.Json = False
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page: quality over time, pictures.", rich_help_panel=_FILES),
    ] = None
    maps: Annotated[
        Path | None,
        typer.Option(
            help="Folder for pictures of where the worst frames lose quality.",
            rich_help_panel=_FILES,
        ),
    ] = None
    plot: Annotated[
        Path | None, typer.Option(help="Draw the scores, a .png file.", rich_help_panel=_FILES)
    ] = None
    csv: Annotated[
        Path | None, typer.Option(help="Write scores and features here.", rich_help_panel=_FILES)
    ] = None
    log: Annotated[
        Path | None,
        typer.Option(help="Write a log as libvmaf's, .json or .xml.", rich_help_panel=_FILES),
    ] = None
    per_frame: Annotated[
        bool, typer.Option("--per-frame", help="Print every frame's score.", rich_help_panel=_FILES)
    ] = False

    def check(self, inputs: Sequence[Path]) -> None:
        """Checks that the files of one pair can be written."""
        log_suffix = "" if self.log is None else self.log.suffix
        if self.log is not None and log_suffix not in (".json", ".xml"):
            raise InputError(f"{self.log}: the name must end in .json or .xml.")
        for path, suffix in (
            (self.csv, ".csv"),
            (self.plot, ".png"),
            (self.log, log_suffix),
            (self.html, ".html"),
        ):
            if path is not None:
                check_output(path, suffix, inputs)
        if self.maps is not None:
            from vmaf_jax.scoring.quality_map import check_map_folder  # names a missing extra

            check_map_folder(self.maps)

    def check_for_ranking(
        self,
        inputs: Sequence[Path],
        provider: str | None,
        within: float | None,
    ) -> None:
        """Refuses what is of one pair alone; checks that the page can be written."""
        flags = {"--csv": self.csv, "--plot": self.plot, "--log": self.log, "--maps": self.maps}
        others = {"--provider": provider, "--within": within}
        for flag, value in (flags | others).items():
            if value is not None:
                raise InputError(f"{flag} is of one pair; name one distorted video, or drop it.")
        if self.per_frame and not self.json:
            raise InputError("--per-frame of several videos needs --json.")
        if self.html is not None:
            check_output(self.html, ".html", inputs)


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of the scores, and the file that says whether they were kept."""

    fail_below: Annotated[
        str | None,
        typer.Option(help="Least score, as 90, or p5=75,worst-second=60.", rich_help_panel=_GATE),
    ] = None
    baseline: Annotated[
        Path | None,
        typer.Option(
            help="An earlier result of --json, best with --per-frame.", rich_help_panel=_GATE
        ),
    ] = None
    max_drop: Annotated[
        str | None,
        typer.Option(help="Largest drop from it, as 0.5, or mean=0.5,p5=1.", rich_help_panel=_GATE),
    ] = None
    junit: Annotated[
        Path | None,
        typer.Option(help="Write the limits as JUnit XML, .xml.", rich_help_panel=_GATE),
    ] = None

    @functools.cached_property
    def gate(self) -> "Gate | None":
        """The limits, read; None, and their module is not loaded, where there are none."""
        if self.fail_below is None and self.baseline is None and self.max_drop is None:
            return None
        from vmaf_jax.scoring.gate import Gate

        return Gate(self.fail_below, self.baseline, self.max_drop)

    def check_flags(self, within: float | None) -> None:
        """Raises InputError where the limits cannot be read, or do not fit the other flags."""
        if self.gate is None and self.junit is not None:
            raise InputError("--junit: states limits; give --fail-below or --baseline.")
        pools = [] if self.gate is None else [p for p in self.gate.pools if p not in (None, "mean")]
        if within is not None and pools:
            raise InputError(f"--within estimates the mean; drop it, or the limit of {pools[0]}.")

    def check_output(self, inputs: Sequence[Path], log: Path | None) -> None:
        """Checks that the file can be written, and is another than the log."""
        if self.junit is not None:
            if log is not None and log.absolute() == self.junit.absolute():
                raise InputError(f"{log}: is --log and --junit both; name two files.")
            others = [] if self.baseline is None else [self.baseline]
            check_output(self.junit, ".xml", [*inputs, *others])

    @contextlib.contextmanager
    def report_failure(self, reference: Path, distorted: Path) -> Iterator[None]:
        """Writes the file where the pair has no score, with the reason, and lets the error pass."""
        try:
            yield
        except InputError as error:
            if self.junit is not None:
                from vmaf_jax.scoring.gate import write_junit
                from vmaf_jax.scoring.rank import Failure

                write_junit(self.junit, [], [Failure(str(reference), str(distorted), str(error))])
            raise

    def check(self, scores: "Scores") -> "list[Check]":
        """Checks the scores of a pair; writes the file too where they cannot be checked."""
        if (gate := self.gate) is None:
            return []
        with self.report_failure(*scores.paths):
            return gate.check(scores)

    def check_each(self, ranking: "Ranking") -> "tuple[list[Check], list[Failure]]":
        """Checks the scores of all videos; returns those too that cannot be checked, and why."""
        return ([], []) if self.gate is None else self.gate.check_each(ranking)

    def add_to(
        self,
        document: dict[str, object],
        checks: "Sequence[Check]",
        unchecked: "Sequence[Failure]" = (),
    ) -> dict[str, object]:
        """Returns the document of a result with its checks."""
        if self.gate is None:
            return document
        from vmaf_jax.scoring.gate import gate_document

        return {**document, "gate": gate_document(checks, unchecked)}

    def finish(
        self, checks: "Sequence[Check]", failed: "Sequence[Failure]" = (), *, quiet: bool
    ) -> None:
        """Writes the file, names limits that were missed, and raises GateError where one was."""
        if self.gate is None:
            return
        from vmaf_jax.reporting.terminal import show_lines
        from vmaf_jax.scoring.gate import check_gate, write_junit

        if self.junit is not None:
            write_junit(self.junit, checks, failed)
        if not quiet:
            show_lines((f"{c.distorted}: {c}" for c in checks), on_error=True)
        check_gate(checks)


@dataclasses.dataclass(frozen=True)
class Measuring:
    """The format of raw files, and what measures where."""

    width: Annotated[
        int | None, typer.Option(help="Width of a picture, pixels.", rich_help_panel=options.RAW)
    ] = None
    height: Annotated[
        int | None, typer.Option(help="Height of a picture, pixels.", rich_help_panel=options.RAW)
    ] = None
    pix_fmt: Annotated[
        str | None,
        typer.Option(
            help="Pixel format, such as yuv420p.",
            rich_help_panel=options.RAW,
            autocompletion=options.complete(*RAW_FORMATS),
        ),
    ] = None
    backend: Annotated[
        str,
        typer.Option(
            help="What measures: libvmaf, jax or onnx.",
            rich_help_panel=options.MEASURING,
            autocompletion=options.complete("libvmaf", "jax", "onnx"),
        ),
    ] = "libvmaf"
    provider: options.Provider = None
    engine: options.Engine = "local"
    address: options.Address = None

    def check_engine(self, videos: Sequence[Path]) -> None:
        """Raises InputError where the engine is unknown, or cannot read the videos."""
        from vmaf_jax.extraction.request import check_engine

        check_engine(self.engine, self.address)
        if self.engine == "ray" and Path("-") in videos:
            raise InputError("-: a cluster cannot read a pipe; name a file, or drop --engine ray.")

    def check_pair(self, videos: Sequence[Path]) -> None:
        """Raises InputError where a video is missing, or a raw one's format is."""
        for path in videos:
            raw = Video(path, self.width, self.height, self.pix_fmt)
            check_video(raw if raw.is_raw else Video(path))


DEFAULT_OUTPUT, NO_LIMITS, LOCAL_LIBVMAF = Output(), Limits(), Measuring()


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Options of `score` for figures beside the score, its precision and viewing distance."""

    interval: Annotated[
        float | None, typer.Option(help="Interval of a student's score at this level, as 0.9.")
    ] = None
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what each feature takes from the score.")
    ] = False
    worst_region: Annotated[
        bool,
        typer.Option(
            "--worst-region", help="Find the part of a picture that is worst: its box and time."
        ),
    ] = False
    within: Annotated[
        float | None,
        typer.Option(help="Points, as 0.5: measure only the frames that a mean so close takes."),
    ] = None
    distance: Annotated[
        float | None,
        typer.Option(help="Viewing distance in picture heights, as 3.2, for --model opinions."),
    ] = None


SCORE_ALONE = Wanted()


@options.expand_settings
def score(
    reference: Annotated[Path, typer.Argument(help="The pristine video; - for a pipe.")],
    distorted: Annotated[list[Path], typer.Argument(help="The degraded one; several are ranked.")],
    model: Annotated[
        str,
        typer.Option(
            help="auto: VMAF's own by resolution; v1: VMAF v1's; phone; a VMAF model or student by "
            "name (tiny); a run folder, .onnx or .json.",
            autocompletion=options.complete_scored_model,
        ),
    ] = options.AUTO,
    display: Annotated[
        str | None,
        typer.Option(
            help="Screen, for --model auto and v1: 1080p@3H, 1080p@5H, 2160p@1.5H, 2160p@3H.",
            autocompletion=options.complete("1080p@3H", "1080p@5H", "2160p@1.5H", "2160p@3H"),
        ),
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option(
            help="Frames to clip: mean, harmonic, p1, p5, p10, median, worst-second, worst-shot.",
            autocompletion=_complete_pool,
        ),
    ] = None,
    wanted: Wanted = SCORE_ALONE,
    output: Output = DEFAULT_OUTPUT,
    limits: Limits = NO_LIMITS,
    teacher: options.Teachers = None,
    extra_metrics: Annotated[
        str | None,
        typer.Option(
            help="Compute these too, of psnr,ssim,ms_ssim,ciede2000,psnr_hvs,cambi.",
            autocompletion=_complete_metrics,
        ),
    ] = None,
    comparison: Comparison = DEFAULT_COMPARISON,
    measuring: Measuring = LOCAL_LIBVMAF,
    help_all: Annotated[
        bool,
        typer.Option(
            "--help-all", help="Describe every option.", is_eager=True, callback=_show_all_help
        ),
    ] = False,
) -> None:
    """Score a video against its reference."""
    from vmaf_jax.video.arrays import stdin_as_file

    within = wanted.within
    if within is not None and output.per_frame:
        raise InputError("--within measures some frames, --per-frame lists all; drop one of them.")
    if output.quiet and output.per_frame and not output.json:
        raise InputError(
            "--quiet prints the score alone, --per-frame all frames; drop one of them."
        )
    videos = [reference, *distorted]
    measuring.check_engine(videos)
    limits.check_flags(within)
    width, height, pix_fmt = measuring.width, measuring.height, measuring.pix_fmt
    with stdin_as_file(videos, width, height, pix_fmt) as (pristine, *degraded):
        several = len(degraded) > 1 or is_folder(pristine) or is_folder(degraded[0])
        # Before imports that take seconds, so that a mistyped name costs no wait.
        limits.check_output([pristine, *degraded], output.log)
        read = [pristine, *degraded, *([] if limits.baseline is None else [limits.baseline])]
        if several:
            output.check_for_ranking(read, measuring.provider, within)
        elif measuring.engine == "ray":
            raise InputError("--engine ray: spreads several videos; name more, or drop it.")
        else:
            with limits.report_failure(pristine, degraded[0]):
                measuring.check_pair([pristine, degraded[0]])
            output.check([*read, Path(model)])
        prepare_extraction(measuring.backend)
        from vmaf_jax.scoring.score import ScoreSettings

        settings = ScoreSettings(
            backend=measuring.backend,
            width=width,
            height=height,
            pix_fmt=pix_fmt,
            teachers=tuple(teacher or ()),
            extra_metrics=_split_names(extra_metrics),
            provider=measuring.provider,
            interval=wanted.interval,
            distance=wanted.distance,
            within=within,
            pool=pool,
            display=display,
            worst_region=wanted.worst_region,
            explain=wanted.explain
            or (output.html is not None and within is None and measuring.backend != "onnx"),
            comparison=comparison,
        )
        if several:
            _rank(pristine, degraded, model, settings, measuring, output, limits)
        else:
            _score_pair(pristine, degraded[0], model, settings, output, limits)


def _split_names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _score_pair(
    reference: Path,
    distorted: Path,
    model: str,
    settings: "ScoreSettings",
    output: Output,
    limits: Limits,
) -> None:
    """Scores a pair, writes the files and shows the score."""
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines
    from vmaf_jax.scoring.score import score_pair

    with Terminal() as terminal:
        with limits.report_failure(reference, distorted):
            scores = score_pair(reference, distorted, model, settings, progress=terminal)
        if output.html is not None:
            from vmaf_jax.jobs.clip_page import write_clip_page

            terminal.stage("pictures")
            write_clip_page(output.html, [scores])
        if output.maps is not None:
            from vmaf_jax.scoring.quality_map import write_maps

            terminal.stage("maps")
            write_maps(output.maps, scores)
    checks = limits.check(scores)
    if output.csv is not None:
        scores.write_csv(output.csv)
    if output.plot is not None:
        scores.write_plot(output.plot)
    if output.log is not None:
        scores.write_log(output.log)
    if (output.json or output.quiet) and scores.other_title is not None:
        show_lines([scores.other_title], on_error=True)
    if output.json:
        show_json(limits.add_to(scores.to_dict(per_frame=output.per_frame), checks))
    elif output.quiet:
        show_lines([f"{scores.pooled:.6f}"])
    else:
        from vmaf_jax.reporting.terminal import show_extra_metrics, show_scores

        frames = scores.frame_lines() if output.per_frame else []
        show_scores(
            scores.all_statistics(), frames, scores.worst_text(), "\n".join(scores.summary_lines())
        )
        show_extra_metrics(scores.extra_metric_statistics(), on_error=bool(frames))
        if scores.choice is not None:
            show_lines([scores.choice], on_error=True)
    limits.finish(checks, quiet=output.quiet or output.json)


def _rank(
    reference: Path,
    distorted: Sequence[Path],
    model: str,
    settings: "ScoreSettings",
    measuring: Measuring,
    output: Output,
    limits: Limits,
) -> None:
    """Ranks, shows the ranking, and raises InputError where a video has no score."""
    from vmaf_jax.reporting.terminal import Terminal, show_json, show_lines
    from vmaf_jax.scoring.rank import rank

    with Terminal() as terminal:
        with limits.report_failure(reference, distorted[0]):
            ranking = rank(
                reference,
                distorted,
                model,
                settings,
                engine=measuring.engine,
                address=measuring.address,
                progress=terminal,
            )
        failed = [(failure.distorted, failure.reason) for failure in ranking.failed]
        if output.html is not None and ranking.ranked:
            from vmaf_jax.jobs.clip_page import write_clip_page

            terminal.stage("pictures")
            write_clip_page(output.html, ranking.ranked, failed)
    checks, unchecked = limits.check_each(ranking)
    if output.json:
        show_json(limits.add_to(ranking.to_dict(per_frame=output.per_frame), checks, unchecked))
    elif output.quiet:
        named = zip(ranking.ranked, ranking.names(), strict=True)
        show_lines(f"{scores.pooled:.6f}\t{printable(name)}" for scores, (_, name) in named)
    else:
        _show_ranking(ranking)
        lines = [f"not checked: {Path(f.distorted).name}: {f.reason}" for f in unchecked]
        show_lines(lines, on_error=True)
    quiet = output.quiet or output.json
    if failures := [*ranking.failed, *unchecked]:  # bad input comes before a limit that is missed
        with contextlib.suppress(GateError):
            limits.finish(checks, failures, quiet=quiet)
        ranking.check()
        raise InputError(
            f"{len(unchecked)} of {format_count(len(ranking.ranked), 'video')} not checked: "
            f"{unchecked[0].reason}"
        )
    limits.finish(checks, quiet=quiet)


def _show_ranking(ranking: "Ranking") -> None:
    """Shows videos, the best first; those without a score follow on standard error."""
    from vmaf_jax.printable import format_fixed
    from vmaf_jax.reporting.terminal import show_lines, show_rows

    if ranking.ranked:
        names = ranking.names()
        several = len({reference for reference, _ in names}) > 1
        uncertain = [scores.interval_text for scores in ranking.ranked]
        model, *others = ranking.ranked[0].all_statistics()
        columns = ["", "distorted", *(["reference"] if several else []), model]
        columns += [*(["uncertainty"] if any(uncertain) else []), "5 %", "worst second", "min"]
        with_region = any(scores.worst_region is not None for scores in ranking.ranked)
        columns += ["worst region"] if with_region else []
        rows = []
        for rank, (scores, (reference, distorted)) in enumerate(
            zip(ranking.ranked, names, strict=True), 1
        ):
            statistics = scores.all_statistics()
            frames, region = statistics[model], scores.worst_region
            rows.append(
                [
                    str(rank),
                    distorted,
                    *([reference] if several else []),
                    f"{scores.pooled:.3f}",
                    *([scores.interval_text] if any(uncertain) else []),
                    *(format_fixed(frames.get(k), 3) for k in ("p5", "worst_second", "min")),
                    *(["" if region is None else region.cell()] if with_region else []),
                    *(f"{statistics[other]['mean']:.3f}" for other in others),
                    str(frames["frames"]),
                    "" if scores.bitrate is None else f"{scores.bitrate:.0f}",
                    "" if scores.size is None else f"{scores.size / 1e6:.3f}",
                ]
            )
        show_rows([*columns, *others, "frames", "kbit/s", "MB"], rows)
    for failure in ranking.failed:
        name, reason = failure.distorted, failure.reason
        line = reason if name in reason else f"{name}: {reason}"
        show_lines([f"not scored: {line}"], on_error=True)
    if ranking.ranked and ranking.ranked[0].choice is not None:
        show_lines([ranking.ranked[0].choice], on_error=True)
