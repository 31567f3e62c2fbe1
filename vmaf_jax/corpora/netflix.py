"""The Netflix public dataset: 9 references and 70 distorted clips in `ref/` and `dis/`.

    ref/<Source>_<fps>fps.yuv  (also <Source>_0_<height>_0.yuv)
    dis/<Source>_<quality>_<height>_<kbps>.yuv

All files are stored at 1920x1080, yuv420p, 8 bits, whatever the height token says: it names the
ladder rung before upscaling.
"""

import logging
import os
import re
from pathlib import Path

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.video.inputs import Video, check_video

ENVIRONMENT_VARIABLE = "VMAF_DATA_ROOT"
WIDTH, HEIGHT, PIX_FMT = 1920, 1080, "yuv420p"

_REFERENCE = re.compile(r"(?P<source>\w+?)_(?:(?P<fps>\d+)fps|0_\d+_0)\.yuv")
_DISTORTED = re.compile(r"(?P<source>\w+?)_(?P<quality>\d+)_(?P<height>\d+)_(?P<kbps>\d+)\.yuv")

log = logging.getLogger("vmaf_jax")


def load_clips(data_root: Path | None = None) -> list[Clip]:
    """Lists the clips under `data_root`, by default `VMAF_DATA_ROOT`.

    Raises:
        InputError: no root is named, a folder is missing, a name does not fit the scheme or leads
            outside the root, a length does not fit 1920x1080, or a reference is missing.
    """
    chosen = data_root or os.environ.get(ENVIRONMENT_VARIABLE)
    if not chosen:
        raise InputError(
            f"the netflix corpus needs its folder: pass --data-root or set {ENVIRONMENT_VARIABLE}."
        )
    root = Path(chosen)
    references: dict[str, Video] = {}
    for path, match in _files(root, "ref", _REFERENCE):
        if (source := match["source"]) in references:
            raise InputError(
                f"{path}: source {source!r} has another reference, "
                f"{references[source].path.name}; keep one."
            )
        references[source] = _open_video(path)
    distorted = _files(root, "dis", _DISTORTED)
    orphans = [path.name for path, match in distorted if match["source"] not in references]
    if orphans:
        raise InputError(
            f"{root / 'dis'}: no reference for {', '.join(orphans)}; add it to {root / 'ref'} or "
            f"move these clips away."
        )
    clips = [
        Clip("netflix", match["source"], path.stem, references[match["source"]], _open_video(path))
        for path, match in distorted
    ]
    if not clips:
        raise InputError(f"{root / 'dis'}: holds no clip; expected <Source>_<q>_<h>_<kbps>.yuv.")
    used = {clip.source for clip in clips}
    for source in references:
        if source not in used:
            log.warning("%s: no distorted clip uses it", references[source].path)
    return clips


def _files(root: Path, folder: str, scheme: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    """Lists the files of one folder with their parsed names, sorted."""
    place = root / folder
    if not place.is_dir():
        raise InputError(f"{place}: no such folder; the corpus has ref/ and dis/ under its root.")
    inside = root.resolve()  # a link out of the corpus would measure a file that nobody named
    files = []
    for path in sorted(place.iterdir()):
        if not path.resolve().is_relative_to(inside):
            raise InputError(f"{path}: leads outside {root}; copy the file into the corpus.")
        if path.suffix != ".yuv":
            log.warning("%s: not a .yuv file, left out", path)
            continue
        match = scheme.fullmatch(path.name)
        if not match:
            raise InputError(
                f"{path}: the name does not fit the corpus's scheme for {folder}/; rename it or "
                f"move it away."
            )
        files.append((path, match))
    return files


def _open_video(path: Path) -> Video:
    """Returns a raw file as a video, whose length must be that of whole frames."""
    video = Video(path, WIDTH, HEIGHT, PIX_FMT)
    check_video(video)
    return video
