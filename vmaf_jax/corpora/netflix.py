"""Netflix's public dataset, and its dataset files.

The dataset has 9 references and 70 distorted clips in `ref/` and `dis/`:

    ref/<Source>_<fps>fps.yuv  (also <Source>_0_<height>_0.yuv)
    dis/<Source>_<quality>_<height>_<kbps>.yuv

All files are stored at 1920x1080, yuv420p, 8 bits, whatever the height token says: it names the
ladder rung before upscaling.

Dataset files (`.py`) list clips of any corpus; they are parsed to a syntax tree and never executed:

    ref_videos = [{"content_id": 0, "content_name": "park", "path": "ref/park.yuv"}, ...]
    dis_videos = [{"content_id": 0, "asset_id": 1, "path": "dis/park_1.yuv", "mos": 3.1}, ...]

A distorted video has `mos`, `dmos` (higher is better, as VMAF's), `groundtruth` (as sureal writes
recovered scores) or `os`, its votes: a list, or a dictionary by subject. Votes of paired
comparisons (`{("ann", 3): 1}`) say which of two videos is better and are refused. Values are
literals, names given before, numbers as NumPy 2 prints them (`np.float64(3.1)`), and strings put
together with `+`.
"""

import ast
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vmaf_jax.corpora.logs import ListedClip, check_names
from vmaf_jax.corpora.records import check_size, decode, read_number, read_whole, show
from vmaf_jax.corpora.votes import OpinionColumns, Votes, check_votes
from vmaf_jax.errors import InputError
from vmaf_jax.video.inputs import Clip, Video, check_video

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


_MAX_BYTES = 16 * 2**20
_MAX_TEXT = 4096
_NUMPY_NUMBERS = ("float64", "float32", "int64", "int32")
_Video = Mapping[str, object]  # an entry of ref_videos or dis_videos


def read_dataset_file(path: Path) -> list[ListedClip]:
    """Reads the distorted videos of a dataset file.

    A clip's name is its file's without the ending; the source is the reference's `content_name`, or
    else its `content_id`.

    Raises:
        InputError: missing, too large, no Python, anything but assignments of literals (names the
            line), a video without its keys, a content without reference, or names that recur.
    """
    clips = []
    for reference, distorted, where in _pairs(_values(path), path):
        opinion, votes = _opinion(distorted, where)
        name = Path(_path(distorted, where)).stem
        clips.append(ListedClip(name, _source(reference, path), opinion, votes=votes))
    check_names(clips, path)
    return clips


def read_dataset_records(path: Path) -> Iterator[dict[str, object]]:
    """Reads the pairs of a dataset file as records of a manifest, to be measured.

    Its `width`, `height` and `yuv_fmt` go with raw files. Votes are left out: they become scores
    by `vmaf-jax import`.

    Raises:
        InputError: as `read_dataset_file`.
    """
    values = _values(path)
    for reference, distorted, where in _pairs(values, path):
        opinion, _ = _opinion(distorted, where)
        file = _path(distorted, where)
        yield {
            "reference": _path(reference, where),
            "distorted": file,
            "clip": Path(file).stem,
            "source": _source(reference, path),
            "width": values.get("width"),
            "height": values.get("height"),
            "pix_fmt": values.get("yuv_fmt"),
            "mos": opinion.mos,
        }


def _values(path: Path) -> dict[str, object]:
    check_size(path, _MAX_BYTES, "dataset file")
    try:
        tree = ast.parse(decode(path.read_bytes()))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{path}: not readable as a dataset file ({error}); check it.") from error
    return _assignments(tree, path)


def _pairs(values: Mapping[str, object], path: Path) -> Iterator[tuple[_Video, _Video, str]]:
    """Yields the reference and the distorted video of each entry, and where it stands."""
    references: dict[int | str, _Video] = {}
    for number, video in enumerate(_videos(values, "ref_videos", path), 1):
        if references.setdefault(content := _id(video, path), video) is not video:
            raise InputError(
                f"{path}: ref_videos, entry {number}: content_id {show(content)} occurs "
                f"twice; each reference has its own."
            )
    for number, video in enumerate(_videos(values, "dis_videos", path), 1):
        where = f"{path}: dis_videos, entry {number}"
        if (content := _id(video, path)) not in references:
            raise InputError(
                f"{where}: content_id {show(content)} has no entry in ref_videos; add it."
            )
        yield references[content], video, where


def _source(reference: _Video, path: Path) -> str:
    """Returns the reference's name: `content_name`, or `content_id` where there is none."""
    name = reference.get("content_name", reference["content_id"])
    try:
        text = name.strip() if isinstance(name, str) else str(read_whole(name))
    except ValueError:
        text = ""
    if not text:
        raise InputError(
            f"{path}: content_name of content_id {show(reference['content_id'])} is {show(name)}, "
            f"expected a name; give it one, or leave the key out."
        )
    return text


def _path(video: _Video, where: str) -> str:
    name = video.get("path")
    if not isinstance(name, str) or not Path(name).stem:
        raise InputError(f"{where}: has no 'path'; name its file.")
    return name


def _opinion(video: Mapping[str, object], where: str) -> tuple[OpinionColumns, Votes | None]:
    """Returns the MOS (`mos`, else `dmos`, else `groundtruth`), or else the votes of `os`."""
    for key in ("mos", "dmos", "groundtruth"):
        if key in video:
            try:
                return OpinionColumns(mos=read_number(video[key])), None
            except ValueError as error:
                raise InputError(f"{where}: {key}: {error}; correct it.") from error
    scores = video.get("os")
    if scores is None:
        return OpinionColumns(), None
    if isinstance(scores, list):
        scores = dict(enumerate(scores, 1))
    if isinstance(scores, dict) and any(isinstance(subject, tuple) for subject in scores):
        raise InputError(
            f"{where}: os holds paired comparisons (a subject and another video), not ratings; "
            f"recover scores from them first, with sureal for example, and give those as mos."
        )
    if not isinstance(scores, dict):
        raise InputError(f"{where}: os is no list of votes, nor a dictionary by subject.")
    return OpinionColumns(), check_votes({str(name): cell for name, cell in scores.items()}, where)


def _videos(values: Mapping[str, object], name: str, path: Path) -> Iterator[Mapping[str, object]]:
    videos = values.get(name)
    if not isinstance(videos, list) or not videos:
        raise InputError(f"{path}: has no list {name}; a dataset file has ref_videos, dis_videos.")
    for number, video in enumerate(videos, 1):
        if not isinstance(video, dict) or "content_id" not in video:
            raise InputError(f"{path}: {name}, entry {number}: no dictionary with a content_id.")
        yield video


def _id(video: Mapping[str, object], path: Path) -> int | str:
    """Returns the `content_id`; sureal writes whole numbers as floats."""
    content = video["content_id"]
    if isinstance(content, str) and content.strip():
        return content
    try:
        return read_whole(content if isinstance(content, (int, float)) else None)
    except ValueError as error:
        raise InputError(
            f"{path}: content_id is {show(content)}, expected a whole number or text."
        ) from error


def _assignments(tree: ast.Module, path: Path) -> dict[str, object]:
    """Returns the values of a file's names; docstrings and `__future__` are left alone."""
    values: dict[str, object] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            continue
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(target, ast.Name) or len(statement.targets) != 1:  # type: ignore[attr-defined]
            raise _refuse_code(statement, path)
        try:
            values[target.id] = _literal(statement.value, values, path)  # type: ignore[attr-defined]
        except RecursionError as error:
            raise InputError(
                f"{path}: line {statement.lineno}: nested too deeply; write plain lists."
            ) from error
    return values


def _literal(node: ast.expr, names: Mapping[str, object], path: Path) -> object:
    """Returns the value of a literal, of a name given before, or of strings put together."""
    match node:
        case ast.Constant(value=value) if not isinstance(value, (bytes, complex)):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item, names, path) for item in items]
        case ast.Dict(keys=keys, values=items) if all(_is_key(key) for key in keys):
            values = {
                _key(key): _literal(item, names, path)
                for key, item in zip(keys, items, strict=True)
            }
            if len(values) < len(keys):
                raise InputError(
                    f"{path}: line {node.lineno}: a dictionary has a key twice; remove one."
                )
            return values
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="np" | "numpy"), attr=kind),
            args=[ast.Constant() | ast.UnaryOp() as number],
            keywords=[],
        ) if kind in _NUMPY_NUMBERS:  # as NumPy 2 shows them to sureal
            return _literal(number, names, path)
        case ast.Name(id=name) if isinstance(names.get(name), (str, int, float)):
            return names[name]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            first, second = (_literal(part, names, path) for part in (left, right))
            texts = isinstance(first, str) and isinstance(second, str)
            if texts and len(text := f"{first}{second}") <= _MAX_TEXT:
                return text
    raise _refuse_code(node, path)


def _is_key(node: ast.expr | None) -> bool:
    """Returns whether a dictionary's key is a literal, or a tuple of such."""
    if isinstance(node, ast.Tuple):
        return all(isinstance(part, ast.Constant) for part in node.elts)
    return isinstance(node, ast.Constant)


def _key(node: ast.expr | None) -> object:
    if isinstance(node, ast.Tuple):
        return tuple(_key(part) for part in node.elts)
    return node.value if isinstance(node, ast.Constant) else None


def _refuse_code(node: ast.stmt | ast.expr, path: Path) -> InputError:
    return InputError(
        f"{path}: line {node.lineno}: {type(node).__name__} is code, which is not run; a dataset "
        f"file is read where it gives names literal values, write the value there."
    )
