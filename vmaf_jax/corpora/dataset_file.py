"""Netflix's dataset files (`.py`), read as a syntax tree and never executed.

    ref_videos = [{"content_id": 0, "content_name": "park", "path": "ref/park.yuv"}, ...]
    dis_videos = [{"content_id": 0, "asset_id": 1, "path": "dis/park_1.yuv", "mos": 3.1}, ...]

A distorted video has `mos`, `dmos` (higher is better, as VMAF's) or `os`, its votes: a list, or a
dictionary by subject. Values are literals, names given before, and strings put together with `+`.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vmaf_jax.corpora.listed import ListedClip, check_names
from vmaf_jax.corpora.opinions import OpinionColumns
from vmaf_jax.corpora.ratings import Votes, check_votes
from vmaf_jax.corpora.records import check_size
from vmaf_jax.errors import InputError

_MAX_BYTES = 16 * 2**20
_MAX_TEXT = 4096
_Video = Mapping[str, Any]  # an entry of ref_videos or dis_videos


def read_dataset_file(path: Path) -> list[ListedClip]:
    """The distorted videos of a dataset file; a clip's name is its file's without the ending.

    The source is the reference's `content_name`, or else its `content_id`.

    Raises:
        InputError: missing, too large, no Python, anything but assignments of literals (names the
            line), a video without its keys, a content without reference, or names that recur.
    """
    clips = []
    for reference, distorted, where in _pairs(_values(path), path):
        opinion, votes = _opinion(distorted, where)
        name = Path(_path(distorted, where)).stem
        clips.append(ListedClip(name, _source(reference), opinion, votes=votes))
    check_names(clips, path)
    return clips


def dataset_records(path: Path) -> Iterator[dict[str, Any]]:
    """The pairs of a dataset file as the records of a manifest, to be measured.

    Its `width`, `height` and `yuv_fmt` go with raw files. Votes are left out: they become scores
    by `vmaf-jax import`.

    Raises:
        InputError: as `read_dataset_file`.
    """
    values = _values(path)
    raw = {"width": "width", "height": "height", "pix_fmt": "yuv_fmt"}
    for reference, distorted, where in _pairs(values, path):
        names = {"reference": _path(reference, where), "distorted": _path(distorted, where)}
        opinion, _ = _opinion(distorted, where)
        yield {
            **names,
            "clip": Path(names["distorted"]).stem,
            "source": _source(reference),
            **{key: values.get(name) for key, name in raw.items()},
            "mos": opinion.mos,
        }


def _values(path: Path) -> dict[str, Any]:
    check_size(path, _MAX_BYTES, "dataset file")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{path}: not readable as a dataset file ({error}); check it.") from error
    return _assignments(tree, path)


def _pairs(values: Mapping[str, Any], path: Path) -> Iterator[tuple[_Video, _Video, str]]:
    """Reference and distorted video of each entry, and where it stands."""
    references = {_id(video, path): video for video in _videos(values, "ref_videos", path)}
    for number, video in enumerate(_videos(values, "dis_videos", path), 1):
        where = f"{path}: dis_videos, entry {number}"
        if (content := _id(video, path)) not in references:
            raise InputError(f"{where}: content_id {content!r} has no entry in ref_videos; add it.")
        yield references[content], video, where


def _source(reference: _Video) -> str:
    return str(reference.get("content_name", reference["content_id"]))


def _path(video: _Video, where: str) -> str:
    name = video.get("path")
    if not isinstance(name, str) or not Path(name).stem:
        raise InputError(f"{where}: has no 'path'; name its file.")
    return name


def _opinion(video: Mapping[str, Any], where: str) -> tuple[OpinionColumns, Votes | None]:
    """MOS (`mos`, else `dmos`), or else the votes of `os`."""
    for key in ("mos", "dmos"):
        if key in video:
            value = video[key]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise InputError(f"{where}: {key} is {str(value)[:20]}, expected a number.")
            return OpinionColumns(mos=value), None
    scores = video.get("os")
    if scores is None:
        return OpinionColumns(), None
    if isinstance(scores, list):
        scores = dict(enumerate(scores, 1))
    if not isinstance(scores, dict):
        raise InputError(f"{where}: os is no list of votes, nor a dictionary by subject.")
    return OpinionColumns(), check_votes(scores, where)


def _videos(values: Mapping[str, Any], name: str, path: Path) -> Iterator[Mapping[str, Any]]:
    videos = values.get(name)
    if not isinstance(videos, list) or not videos:
        raise InputError(f"{path}: has no list {name}; a dataset file has ref_videos, dis_videos.")
    for number, video in enumerate(videos, 1):
        if not isinstance(video, dict) or "content_id" not in video:
            raise InputError(f"{path}: {name}, entry {number}: no dictionary with a content_id.")
        yield video


def _id(video: Mapping[str, Any], path: Path) -> int | str:
    content = video["content_id"]
    if not isinstance(content, (int, str)):
        raise InputError(f"{path}: content_id {str(content)[:20]} is no number and no text.")
    return content


def _assignments(tree: ast.Module, path: Path) -> dict[str, Any]:
    """What the names of a file are given, in its order; docstrings are left alone."""
    values: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(target, ast.Name) or len(statement.targets) != 1:  # type: ignore[attr-defined]
            raise _code(statement, path)
        try:
            values[target.id] = _literal(statement.value, values, path)  # type: ignore[attr-defined]
        except RecursionError as error:
            raise InputError(
                f"{path}: line {statement.lineno}: nested too deeply; write plain lists."
            ) from error
    return values


def _literal(node: ast.expr, names: Mapping[str, Any], path: Path) -> Any:
    """The value of a literal, of a name given before, or of strings put together."""
    match node:
        case ast.Constant(value=value) if not isinstance(value, (bytes, complex)):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item, names, path) for item in items]
        case ast.Dict(keys=keys, values=items) if all(isinstance(k, ast.Constant) for k in keys):
            return {
                key.value: _literal(item, names, path)  # type: ignore[union-attr]
                for key, item in zip(keys, items, strict=True)
            }
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name(id=name) if isinstance(names.get(name), (str, int, float)):
            return names[name]
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            parts = [_literal(part, names, path) for part in (left, right)]
            text = "".join(parts) if all(isinstance(part, str) for part in parts) else None
            if text is not None and len(text) <= _MAX_TEXT:
                return text
    raise _code(node, path)


def _code(node: ast.stmt | ast.expr, path: Path) -> InputError:
    return InputError(
        f"{path}: line {node.lineno}: {type(node).__name__} is code, which is not run; a dataset "
        f"file is read where it gives names literal values, write the value there."
    )
