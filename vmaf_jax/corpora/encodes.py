"""Lists of scored encodes: what was encoded, how, at which rate, and its score.

A row is `codec, bitrate, score` and `source` or `clip`: with both, `source` is the content and
`clip` the encode's name. Optional are `height` or `resolution` (`1080`, `1080p`, `1920x1080`) and
`model`, what scored, and `pooling`, how frames became the score. A bare bitrate is kbit/s;
`800 kbps`, `1.2 Mbps` and `800000 bps` are read too, one unit in a file. A document of
`score --json` is a row once `codec` and `bitrate` are added.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pydantic

from vmaf_jax.corpora.records import (
    MAX_BYTES,
    Number,
    decode,
    parse_record,
    read_json,
    read_number,
    read_records,
)
from vmaf_jax.errors import InputError
from vmaf_jax.files import read_limited

_UNITS = {"bps": 1e-3, "kbps": 1.0, "mbps": 1e3}
# Spellings in small letters; ffmpeg writes `kb/s` and `kbits/s` and reads `500k`.
_SPELLINGS = {
    f"{prefix}{spelling}": f"{prefix}bps"
    for prefix in ("", "k", "m")
    for spelling in ("bps", "b/s", "bit/s", "bits/s")
} | {"k": "kbps", "m": "mbps", "": "kbps"}
_BITRATE = re.compile(r"\s*([0-9.eE+-]+)\s*([a-zA-Z/]*)\s*")
_RESOLUTION = re.compile(r"\s*(?:[0-9]{1,5}\s*[xX×]\s*)?([0-9]{1,5})(?:\.0|p)?\s*")
_RATES = (1e-3, 1e9)  # kbit/s: one bit a second, and more than uncompressed video takes
# Neighbouring rates of one content with a larger ratio are taken for different units; an encode of
# score 97 or more may be lossless, and so may be further apart.
_MAX_RATIO, _MAX_LOSSLESS_RATIO, _LOSSLESS_SCORE = 100.0, 500.0, 97.0


class _Row(pydantic.BaseModel, frozen=True, extra="ignore", str_strip_whitespace=True):
    codec: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    bitrate: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    score: Number = pydantic.Field(ge=0, le=100)
    source: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    clip: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    reference: str | None = None
    height: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    resolution: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    model: str | None = None
    pooling: str | None = None


@dataclasses.dataclass(frozen=True)
class Encode:
    """One encode with its score.

    Attributes:
        content: what was encoded, the same for all encodes of a ladder.
        codec: what made it.
        kbps: kbit/s, above 0.
        score: 0-100.
        height: lines of the encoded picture; None where the list does not say.
    """

    content: str
    codec: str
    kbps: float
    score: float
    height: int | None = None


def read_encodes(path: Path) -> list[Encode]:
    """Reads the encodes that a CSV, JSON, JSON Lines or Parquet file lists.

    Raises:
        InputError: a file or row that cannot be, a rate that is not above 0, units or models that
            are mixed, heights that only some rows have, or one encode listed twice.
    """
    records = enumerate(_read_rows(path), 1)
    rows = [parse_record(_Row, path, number, values) for number, values in records]
    if not rows:
        raise InputError(f"{path}: lists no encode; add rows.")
    _check_one_model(rows, path)
    units = [_unit_of(row.bitrate, path, number) for number, row in enumerate(rows, 1)]
    if len(set(units)) > 1:
        other = next(number for number, unit in enumerate(units, 1) if unit != units[0])
        raise InputError(
            f"{path}: row 1 has its bitrate in {units[0]}, row {other} in {units[other - 1]}; "
            f"write all of them in one unit."
        )
    encodes = [_parse_encode(row, units[0], path, number) for number, row in enumerate(rows, 1)]
    _check_heights(encodes, path)
    _check_unique(encodes, path)
    _check_rates(encodes, path)
    return encodes


def group_encodes(encodes: Sequence[Encode]) -> dict[str, dict[str, list[Encode]]]:
    """Groups encodes by content and codec, in their order."""
    groups: dict[str, dict[str, list[Encode]]] = {}
    for encode in encodes:
        groups.setdefault(encode.content, {}).setdefault(encode.codec, []).append(encode)
    return groups


def _read_rows(path: Path) -> Iterator[object]:
    if path.suffix.lower() != ".json":
        yield from read_records(path, "list of encodes", _Row)
        return
    content = read_limited(path, "MANIFEST_BYTES", MAX_BYTES)
    try:
        rows = read_json(decode(content))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable ({error}); check the file.") from error
    if isinstance(rows, dict) and "ranked" in rows:
        raise InputError(
            f"{path}: is a ranking of `score --json`; write the list under `ranked` alone, with "
            f"codec and bitrate added to each."
        )
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of encodes; put [ and ] around them.")
    yield from rows


def _unit_of(text: str, path: Path, number: int) -> str:
    match = _BITRATE.fullmatch(text)
    written = match[2] if match else "?"
    if "B" in written and not written.isupper():
        raise InputError(
            f"{path}: row {number}, bitrate {text[:40]!r}: {written} is bytes; write kbit/s, or "
            f"bps, kbps or Mbps with a small b."
        )
    unit = _SPELLINGS.get(written.lower(), "")
    if not unit:
        raise InputError(
            f"{path}: row {number}, bitrate {text[:40]!r}: expected a number of kbit/s, or one "
            f"with bps, kbps or Mbps."
        )
    return unit


def _parse_encode(row: _Row, unit: str, path: Path, number: int) -> Encode:
    content = row.source or row.clip or (Path(row.reference).stem if row.reference else "")
    if not content:
        raise InputError(f"{path}: row {number} has neither source nor clip; name what it is of.")
    match = _BITRATE.fullmatch(row.bitrate)
    try:
        rate = read_number(match[1]) * _UNITS[unit] if match else math.nan
    except ValueError:
        rate = math.nan
    if not _RATES[0] <= rate <= _RATES[1]:
        raise InputError(
            f"{path}: row {number}, bitrate {row.bitrate[:40]!r}: a rate is above 0, from "
            f"{_RATES[0]:g} to {_RATES[1]:g} kbit/s; correct it."
        )
    height = None
    if (text := row.height or row.resolution) is not None:
        size = _RESOLUTION.fullmatch(text)
        height = int(size[1]) if size else 0
        if height == 0:
            raise InputError(
                f"{path}: row {number}, resolution {text[:40]!r}: expected lines or width x "
                f"height, as 1080 or 1920x1080."
            )
    return Encode(content, row.codec, rate, row.score, height)


def _check_one_model(rows: Sequence[_Row], path: Path) -> None:
    columns = {"models": [row.model for row in rows], "poolings": [row.pooling for row in rows]}
    for what, names in columns.items():
        if len(found := sorted({name or "none named" for name in names})) > 1:
            raise InputError(
                f"{path}: scores of different {what} ({', '.join(found)[:200]}); a ladder takes "
                f"one, score all encodes with it."
            )


def _check_heights(encodes: Sequence[Encode], path: Path) -> None:
    missing = [number for number, encode in enumerate(encodes, 1) if encode.height is None]
    if missing and len(missing) < len(encodes):
        raise InputError(
            f"{path}: row {missing[0]} has no height, others have one; fill it in, or drop the "
            f"column."
        )


def _check_unique(encodes: Sequence[Encode], path: Path) -> None:
    first_row: dict[tuple[object, ...], int] = {}
    for number, encode in enumerate(encodes, 1):
        key = (encode.content, encode.codec, encode.height, encode.kbps)
        if (first := first_row.setdefault(key, number)) != number:
            raise InputError(
                f"{path}: rows {first} and {number} are both of {encode.content!r} by "
                f"{encode.codec} at {encode.kbps:g} kbit/s; remove one of them."
            )


def _check_rates(encodes: Sequence[Encode], path: Path) -> None:
    """Refuses rates that can only be in different units: codecs, or neighbours, far apart."""
    for by_codec in group_encodes(encodes).values():
        ladders = [sorted(group, key=lambda encode: encode.kbps) for group in by_codec.values()]
        # Ladders of codecs are compared by their middle rates.
        middles = sorted((group[len(group) // 2] for group in ladders), key=lambda e: e.kbps)
        for group in (*ladders, middles):
            for low, high in itertools.pairwise(group):
                _check_step(low, high, path)


def _check_step(low: Encode, high: Encode, path: Path) -> None:
    most = _MAX_LOSSLESS_RATIO if high.score >= _LOSSLESS_SCORE else _MAX_RATIO
    if high.kbps / low.kbps >= most:
        raise InputError(
            f"{path}: bitrates of {low.content!r} stand a factor of {most:g} and more apart, as "
            f"if units were mixed: {low.kbps:g} kbit/s by {low.codec} and {high.kbps:g} by "
            f"{high.codec}; write all of them in kbit/s, or leave that encode out."
        )
