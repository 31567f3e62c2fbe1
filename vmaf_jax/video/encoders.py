"""Encoders with a scale of constant quality, and the one way to run them by ffmpeg."""

import contextlib
import dataclasses
import functools
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.files import work_folder
from vmaf_jax.video.ffmpeg import Ffmpeg, report_frames, run_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.pixel_format import (
    RAW_FORMATS,
    SUBSAMPLING,
    chroma_layout,
    is_luma_alone,
)

# Containers of finished files, by suffix: ffmpeg's muxer.
CONTAINERS = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov", ".webm": "webm"}
_INSPECTION_SECONDS = 60
# Options of every encoder beside its own; all others could change pictures or write files.
_COMMON_OPTIONS = frozenset(
    """
    -g -keyint_min -bf -refs -threads -slices -profile:v -level -flags -maxrate -bufsize
    -sc_threshold -colorspace -color_primaries -color_trc -color_range -tag:v
    """.split()  # noqa: SIM905
)
# Options that are set already, and those that decide the rate or write files.
_OWN_OPTIONS = frozenset(
    "-crf -qp -preset -cpu-used -deadline -stats -passlogfile -forced-idr".split()  # noqa: SIM905
)
# Options that hold an encoder's own parameters, and those of them that decide the rate or write
# files. x264 loses `crf` to the search's, the other encoders take it in its place.
_PARAMETERS = frozenset(
    ["-x264-params", "-x264opts", "-x265-params", "-svtav1-params", "-aom-params", "-vvenc-params"]
)
_OWN_PARAMETERS = frozenset(
    """
    crf crf-max crf-min qp qp-constant bitrate tbr rc lossless cq-level end-usage target-bitrate
    pass stats csv recon dump-yuv analysis-save
    """.split()  # noqa: SIM905 (a list of 18 strings reads worse)
)


@dataclasses.dataclass(frozen=True)
class SettingRange:
    """Quality settings of an encoder (CRF), and what is known of them before anything is encoded.

    Attributes:
        best, worst: The ends: the highest quality has the lowest setting.
        step: Between two settings.
        typical: The setting that usually scores 93 by VMAF.
        slope: Usual change of t for a rise by 1, below 0; t as in `evaluation.target_search`.
        drift: Standard deviation, in settings, of a whole file from its segments.
    """

    best: float
    worst: float
    step: float
    typical: float
    slope: float
    drift: float

    def grid(self) -> npt.NDArray[np.float64]:
        """Returns all settings, rising."""
        return np.arange(self.best, self.worst + self.step / 2, self.step)


@dataclasses.dataclass(frozen=True)
class Encoder:
    """An encoder of ffmpeg.

    Attributes:
        name: ffmpeg's.
        settings: Its quality scale.
        preset_option, preset: The option that `--preset` sets, and its default.
        containers: Suffixes of files that hold its streams.
        fixed: Options that it always has.
        parameters: The option whose value may say `crf=`, with fractions that `-crf` has not; None
            where `-crf` is used.
        takes_odd_sizes: Whether a picture's size may be no multiple of its chroma's subsampling.
        pix_fmts: Planar YUV formats that this ffmpeg's build of it takes (`find_encoder`).
    """

    name: str
    settings: SettingRange
    preset_option: str
    preset: str
    containers: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    parameters: str | None = None
    takes_odd_sizes: bool = True
    pix_fmts: tuple[str, ...] = ()


_FILM, _WEB = (".mkv", ".mp4", ".mov"), (".mkv", ".mp4", ".webm")
_CLOSED = ("-forced-idr", "1")  # no frame refers across a key frame that is asked for
_QUIET_X265 = ("-x265-params", "log-level=error")
_BY_QUALITY = ("-b:v", "0", "-row-mt", "1")
_X264 = SettingRange(best=1.0, worst=51.0, step=0.25, typical=24.0, slope=-0.17, drift=0.3)
_AV1 = SettingRange(best=1.0, worst=63.0, step=1.0, typical=32.0, slope=-0.08, drift=0.5)
# SVT-AV1 has these by its own parameter: 3.1 knows no fractions, 4.2 does.
_SVT_PARAMETERS, _FINE_AV1 = "-svtav1-params", dataclasses.replace(_AV1, worst=70.0, step=0.25)
ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder("libx264", _X264, "-preset", "medium", _FILM, _CLOSED, takes_odd_sizes=False),
        Encoder(
            "libx265",
            _X264,
            "-preset",
            "medium",
            _FILM,
            (*_CLOSED, *_QUIET_X265),
            takes_odd_sizes=False,
        ),
        Encoder("libsvtav1", _AV1, "-preset", "8", _WEB),
        Encoder("libvpx-vp9", _AV1, "-cpu-used", "4", _WEB, (*_BY_QUALITY, "-deadline", "good")),
        Encoder("libaom-av1", _AV1, "-cpu-used", "6", _WEB, _BY_QUALITY),
    )
}


@dataclasses.dataclass(frozen=True)
class EncodeRecipe:
    """All that an encode depends on beside its source and its quality setting.

    Attributes:
        encoder: What encodes.
        preset: Its speed, in its own words.
        pix_fmt: Of the encode.
        height: Lines of the encode; None for those of the source.
        arguments: Further options of the encoder, names and values alternating.
    """

    encoder: Encoder
    preset: str
    pix_fmt: str
    height: int | None = None
    arguments: tuple[str, ...] = ()


def find_encoder(ffmpeg: Ffmpeg, name: str) -> Encoder:
    """Returns an encoder by ffmpeg's name.

    Raises:
        InputError: It is unknown, or this ffmpeg is built without it.
    """
    present = [known for known in ENCODERS if known in _list_encoders(ffmpeg.path)]
    if name not in ENCODERS:
        known = f"expected one of {', '.join(ENCODERS)}.{did_you_mean(name, ENCODERS)}"
        raise InputError(f"--encoder {name}: {known}")
    if name not in present:
        raise InputError(
            f"--encoder {name}: {ffmpeg.path} is built without it; it has "
            f"{', '.join(present) or 'none of those known here'}."
        )
    listed = re.search(r"Supported pixel formats:(.*)", _describe(ffmpeg.path, name))
    formats = listed[1].split() if listed else []
    # Of another format ffmpeg's encoders take the nearest that they have, without an error.
    planar = tuple(f for f in formats if f in RAW_FORMATS and not is_luma_alone(f))
    encoder = dataclasses.replace(ENCODERS[name], pix_fmts=planar)
    if name == "libsvtav1" and _takes_fractions(ffmpeg):
        return dataclasses.replace(encoder, settings=_FINE_AV1, parameters=_SVT_PARAMETERS)
    return encoder


def check_arguments(ffmpeg: Ffmpeg, encoder: Encoder, arguments: Sequence[str]) -> None:
    """Checks that further arguments are options of the encoder, names and values alternating.

    Raises:
        InputError: An argument is no option of it, is set already, or has no value.
    """
    listed = re.findall(r"^  -(\S+) +<", _describe(ffmpeg.path, encoder.name), re.M)
    own = {f"-{name}" for name in listed}
    allowed = (own | _COMMON_OPTIONS) - _OWN_OPTIONS
    for name in arguments[::2]:
        if name in _OWN_OPTIONS:
            raise InputError(f"{name}: is set by the search or by an option of vmaf-jax; drop it.")
        if name not in allowed:
            raise InputError(
                f"{name}: no option of {encoder.name} that can be passed on."
                f"{did_you_mean(name, sorted(allowed))}"
            )
    if len(arguments) % 2:
        raise InputError(f"{arguments[-1]}: has no value; write the option and its value.")
    for name, value in zip(arguments[::2], arguments[1::2], strict=True):
        # x265 drops dashes in front of a key, ffmpeg the blanks, quotes and backslashes around it.
        keys = [
            re.sub(r"[\s'\\]", "", entry.partition("=")[0]).lstrip("-").replace("_", "-")
            for entry in value.split(":")
        ]
        if name in _PARAMETERS and (own_keys := _OWN_PARAMETERS.intersection(keys)):
            raise InputError(
                f"{name} {min(own_keys)}: is set by the search or by an option of vmaf-jax; drop "
                f"it (docs/traps.md)."
            )


def check_format(encoder: Encoder, pix_fmt: str) -> None:
    """Raises InputError unless an encoder of `find_encoder` takes a pixel format."""
    if pix_fmt not in encoder.pix_fmts:
        raise InputError(
            f"--pix-fmt {pix_fmt}: {encoder.name} takes {', '.join(encoder.pix_fmts)}; name one."
        )


def check_recipe(recipe: EncodeRecipe, path: Path, width: int, height: int) -> None:
    """Checks that pictures of a source can be encoded by a recipe.

    Raises:
        InputError: The encode is to have more lines, or a format or size that the encoder does not
            take.
    """
    encoder, pix_fmt = recipe.encoder, recipe.pix_fmt
    if recipe.height is not None and recipe.height > height:
        raise InputError(
            f"--height {recipe.height}: is above the source's {height} lines; lower or drop it."
        )
    check_format(encoder, pix_fmt)
    across, down = SUBSAMPLING[f"yuv{chroma_layout(pix_fmt)}p"]
    is_odd = recipe.height is None and (width % across or height % down)
    if is_odd and not encoder.takes_odd_sizes:
        raise InputError(
            f"{path}: {encoder.name} takes no {pix_fmt} of {width}x{height}; give --pix-fmt "
            f"yuv444p, or --encoder libsvtav1, or crop the source to even sizes."
        )


def encode_video(
    ffmpeg: Ffmpeg,
    video: Video,
    recipe: EncodeRecipe,
    setting: float,
    out: Path,
    *,
    with_sound: bool = False,
    key_frames: Sequence[float] = (),
    split_at: Sequence[int] = (),
    on_frames: Callable[[int], None] | None = None,
    beside: Sequence[str] = (),
    folder: Path | None = None,
) -> None:
    """Encodes a video into `out`, whose suffix is one of `CONTAINERS`.

    Args:
        setting: The quality setting.
        with_sound: Whether the source's sound is copied.
        key_frames: Times, seconds, at which frames are coded on their own.
        split_at: Those frames by number, where a file each is written for the parts between them;
            `out` then has `%d` for the part, from 0.
        on_frames: Receives the number of further frames encoded.
        beside: ffmpeg's arguments for what else is made by the same run, in `folder`.

    Raises:
        InputError: ffmpeg fails.
    """
    encoder = recipe.encoder
    scale = [] if recipe.height is None else ["-vf", f"scale=-2:{recipe.height}:flags=bicubic"]
    forced = ["-force_key_frames", ",".join(f"{t:.6f}" for t in key_frames)] if key_frames else []
    muxer = ["-f", CONTAINERS[out.suffix], str(out.absolute())]
    if split_at:
        frames, parent = ",".join(str(frame) for frame in split_at), str(out.parent)
        muxer = ["-f", "segment", "-segment_format", CONTAINERS[out.suffix]]
        muxer += ["-segment_frames", frames, "-reset_timestamps", "1"]
        muxer += [f"{parent.replace('%', '%%')}/{out.name}"]
    line = [*video.arguments(), "-map", f"0:{video.stream_specifier}", *scale]
    line += ["-fps_mode", "passthrough"]
    line += ["-map", "0:a?", "-c:a", "copy"] if with_sound else []
    line += ["-c:v", encoder.name, encoder.preset_option, recipe.preset, *encoder.fixed]
    line += [*_quality_arguments(recipe, setting), "-pix_fmt", recipe.pix_fmt, *forced, *muxer]
    line += beside
    with report_frames(on_frames) as progress:
        start = ["-nostdin", "-nostats", "-y", "-v", "level+warning", *progress]
        run = run_ffmpeg(ffmpeg, [*start, *line], folder=folder)
    if run.code:
        lines = [re.sub(r"^(?:\[[^]]*\] ?)+", "", line) for line in run.report.splitlines()]
        telling = [
            line
            for line in lines
            if re.search(r"no space|unknown|error|invalid|fail|not ", line, re.I)
        ]
        raise InputError(
            f"{video.path}: {encoder.name} cannot encode it "
            f"({' '.join((telling or lines or ['no reason'])[0].split())[:300]}); correct the "
            f"options, or free space."
        )


def _quality_arguments(recipe: EncodeRecipe, setting: float) -> list[str]:
    """Returns a recipe's further options with the quality setting."""
    name, arguments = recipe.encoder.parameters, list(recipe.arguments)
    if name is None:
        return ["-crf", f"{setting:g}", *arguments]
    # Of an option that is named twice ffmpeg takes the last: the setting joins what is given.
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    given[name] = ":".join([*filter(None, [given.get(name)]), f"crf={setting:g}"])
    return [word for pair in given.items() for word in pair]


def stream_bytes(ffmpeg: Ffmpeg, path: Path) -> int:
    """Returns the bytes of the first video stream of a file, without its container's.

    Raises:
        InputError: ffmpeg cannot read it.
    """
    return sum(packet_sizes(ffmpeg, path))


def packet_sizes(ffmpeg: Ffmpeg, path: Path, stream: int | None = None) -> list[int]:
    """Returns the bytes of each packet of a video stream of a file, in coded order.

    Args:
        stream: As that of a `Video`.

    Raises:
        InputError: ffmpeg cannot read it.
    """
    with _packet_log(ffmpeg, Video(path, stream=stream)) as log:
        return [int(size) for size in _SIZE.findall(log.read_text())]


def start_time(ffmpeg: Ffmpeg, path: Path) -> float:
    """Returns when the first video stream of a file starts, seconds after the file.

    Raises:
        InputError: ffmpeg cannot read it.
    """
    with _packet_log(ffmpeg, Video(path)) as log:
        text = log.read_text()
    base = re.search(r"^#tb 0: (\d+)/(\d+)", text, re.M)
    times = [int(time) for time in re.findall(r"^0, *\S+ *(-?\d+),", text, re.M)]
    if base is None or not times:
        raise InputError(f"{path}: cannot be read again; free space.")
    return min(times) * int(base[1]) / int(base[2])


@contextlib.contextmanager
def _packet_log(ffmpeg: Ffmpeg, video: Video) -> Iterator[Path]:
    """Writes a log of ffmpeg's `framecrc` of a video stream, and removes it."""
    with work_folder() as work:
        source = ["-nostdin", "-v", "error", *video.arguments()]
        source += ["-map", f"0:{video.stream_specifier}"]
        line = [*source, "-c", "copy", "-fps_mode", "passthrough", "-f", "framecrc", "packets.txt"]
        if run_ffmpeg(ffmpeg, line, folder=work).code:
            raise InputError(f"{video.path}: cannot be read again; free space.")
        yield work / "packets.txt"


_ONE_PICTURE = ["-nostdin", "-v", "warning", "-f", "lavfi", "-i", "color=size=64x64"]
_ONE_PICTURE += ["-frames:v", "1"]
_SIZE = re.compile(r"^0, *\S+ *\S+ *\S+ *(\d+),", re.M)


@functools.lru_cache
def _list_encoders(path: str) -> frozenset[str]:
    """Returns the names of all encoders of an ffmpeg."""
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", _ask(path, "-encoders"), re.M))


@functools.lru_cache
def decodes_beside(ffmpeg: Ffmpeg, encoder: str) -> bool:
    """Returns whether an ffmpeg decodes what an encoder writes in the run that encodes.

    Versions before 7.0 do not: 7.0.2, 8.0 and 9.0.2 do, 6.0 does not.
    """
    tried = ["-c:v", encoder, "-f", "null", "-", "-dec", "0:0"]
    tried += ["-filter_complex", "[dec:0]null[o]", "-map", "[o]", "-f", "null", "-"]
    return run_ffmpeg(ffmpeg, [*_ONE_PICTURE, *tried]).code == 0


@functools.lru_cache
def _takes_fractions(ffmpeg: Ffmpeg) -> bool:
    """Returns whether the SVT-AV1 of an ffmpeg takes the settings of `_FINE_AV1`.

    Others warn of the fraction, and encode at their default all the same.
    """
    tried = ["-c:v", "libsvtav1", _SVT_PARAMETERS, f"crf={_FINE_AV1.worst - _FINE_AV1.step:g}"]
    run = run_ffmpeg(ffmpeg, [*_ONE_PICTURE, *tried, "-f", "null", "-"])
    return run.code == 0 and "parsing option" not in run.report


@functools.cache
def _describe(path: str, encoder: str) -> str:
    """Returns ffmpeg's help on an encoder: its options, and the formats that it takes."""
    return _ask(path, "-v", "error", "-h", f"encoder={encoder}")


def _ask(path: str, *words: str) -> str:
    """Returns what ffmpeg answers to a question about itself."""
    try:
        run = subprocess.run(
            [path, "-hide_banner", *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=_INSPECTION_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{path}: does not answer ({error}); reinstall ffmpeg.") from error
    return run.stdout
